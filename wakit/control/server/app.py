"""The routes: each hands one request to the fleet and its answer back.

All handlers are coroutines, so that the fleet is only ever called on the daemon's event loop. Answers are models that
were checked when they were made; they are written as JSON directly, because FastAPI would check them once more.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, FastAPI, Path, Query, WebSocket
from fastapi.responses import Response
from starlette.requests import HTTPConnection

from wakit.control.port import Fleet
from wakit.control.schemas import (
    API_VERSION,
    ApplyRequest,
    BackupList,
    BackupTaken,
    DaemonInfo,
    ErrorInfo,
    JournalInfo,
    LogLines,
    PairingShown,
    PairRequest,
    PingInfo,
    PlanInfo,
    PlanRequest,
    Readiness,
    RestartRequest,
    RestoreRequest,
    SessionInfo,
    SqlRequest,
    StatusInfo,
)
from wakit.control.server import answers, drawing, live, metrics
from wakit.control.server.answers import NothingShownError, answer
from wakit.core.declaration import SESSION_NAME
from wakit.errors import ControlError

ARROW: Final = "application/vnd.apache.arrow.stream"
_AT_THE_END: Final = ("/shutdown", "/sql", "/plan")  # what an ending daemon still answers, of what is posted
_NO_STORE: Final = {"Cache-Control": "no-store"}


class Serving:
    """What the handlers share: the fleet, and what is known about the serving itself."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.stopping = asyncio.Event()
        self.streams: set[asyncio.Task[None]] = set()


def _serving(connection: HTTPConnection) -> Serving:
    serving: Serving = connection.app.state.serving
    return serving


Here = Annotated[Serving, Depends(_serving)]
Name = Annotated[str, Path(pattern=f"^{SESSION_NAME.pattern}$", description="A session's name")]
_no: Final[dict[int | str, dict[str, Any]]] = {
    code: {"model": ErrorInfo, "description": meaning}
    for code, meaning in {
        404: "No such session, or nothing to show",
        409: "Refused: somebody has to change something first",
        422: "The request is not understood",
        503: "Not now",
    }.items()
}


def _open_for_orders(connection: HTTPConnection) -> None:
    """Refuse orders once the daemon ends: nobody would carry them out."""
    path = connection.url.path
    if connection.scope.get("method") == "POST" and not path.endswith(_AT_THE_END):
        waits_for = _serving(connection).fleet.status().daemon.ending
        if waits_for is not None:
            raise ControlError("No order is taken any more", why=f"the daemon ends; it waits for {waits_for}")


router = APIRouter(prefix=f"/v{API_VERSION}", responses=_no, dependencies=[Depends(_open_for_orders)])
health = APIRouter()


@router.get("/sessions", response_model=StatusInfo)
async def sessions(here: Here) -> Response:
    """The daemon and every session."""
    return answer(here.fleet.status())


@router.get("/sessions/{name}", response_model=SessionInfo)
async def session(here: Here, name: Name) -> Response:
    """One session."""
    return answer(here.fleet.session(name))


@router.get(
    "/sessions/{name}/qr",
    response_model=PairingShown,
    responses={200: {"content": {"image/svg+xml": {}, "image/png": {}}}},
)
async def qr(
    here: Here,
    name: Name,
    image: Annotated[
        Literal["json", "svg", "png"], Query(alias="format", description="A record or a picture")
    ] = "json",
    scale: Annotated[int, Query(ge=1, le=40, description="Pixels a module, in a picture")] = 8,
) -> Response:
    """What is to be scanned or typed now."""
    shown = here.fleet.pairing(name)
    if shown is None:
        state = here.fleet.session(name)
        raise NothingShownError(
            f"{name} has nothing to scan or type now",
            why=f"it is {state.state}" + (f" ({state.reason})" if state.reason else ""),
            hint=f"begin with `wakit pair {name}`",
        )
    if image == "json":
        response = answer(shown)
    elif shown.payload is None:
        raise NothingShownError(
            f"{name} shows no QR now", why="it is being paired by a code", hint="ask for format=json to get the code"
        )
    else:
        response = Response(drawing.draw(shown.payload, image, scale), media_type=drawing.MEDIA_TYPES[image])
    response.headers.update(_NO_STORE)
    return response


@router.get("/sessions/{name}/logs", response_model=LogLines)
async def logs(here: Here, name: Name, lines: Annotated[int, Query(ge=1, le=10_000)] = 200) -> Response:
    """The last lines of a session's log."""
    return answer(LogLines(session=name, lines=here.fleet.logs(name, lines)))


@router.post("/sessions/{name}/pair", response_model=SessionInfo)
async def pair(here: Here, name: Name, request: PairRequest | None = None) -> Response:
    """Pair now, because a person asks."""
    return answer(await here.fleet.pair(name, request or PairRequest()))


@router.post("/sessions/{name}/restart", response_model=SessionInfo)
async def restart(here: Here, name: Name, request: RestartRequest | None = None) -> Response:
    """Replace the session's client."""
    return answer(await here.fleet.restart(name, take_over=request is not None and request.take_over))


@router.post("/sessions/{name}/park", response_model=SessionInfo)
async def park(here: Here, name: Name) -> Response:
    """Stop the client until resume."""
    return answer(await here.fleet.park(name))


@router.post("/sessions/{name}/resume", response_model=SessionInfo)
async def resume(here: Here, name: Name) -> Response:
    """Undo park."""
    return answer(await here.fleet.resume(name))


@router.post("/sessions/{name}/ping", response_model=PingInfo)
async def ping(here: Here, name: Name) -> Response:
    """Have the session ask WhatsApp something now, and say whether it was answered."""
    return answer(await here.fleet.ping(name))


@router.get("/sessions/{name}/backups", response_model=BackupList)
async def backups(here: Here, name: Name) -> Response:
    """The backups of a session's credential."""
    return answer(await here.fleet.backups(name))


@router.post("/sessions/{name}/backup", response_model=BackupTaken)
async def backup(here: Here, name: Name) -> Response:
    """Back the session's credential up now."""
    return answer(await here.fleet.backup(name))


@router.post("/sessions/{name}/restore", response_model=SessionInfo)
async def restore(here: Here, name: Name, request: RestoreRequest | None = None) -> Response:
    """Put a backup in the place of the credential in use."""
    return answer(await here.fleet.restore(name, request.backup if request else None))


@router.get("/plan", response_model=PlanInfo)
async def plan(here: Here) -> Response:
    """What the loop would do now."""
    return answer(here.fleet.plan())


@router.post("/plan", response_model=PlanInfo)
async def plan_of(here: Here, request: PlanRequest) -> Response:
    """What the loop would do if the daemon followed another file."""
    return answer(await here.fleet.plan_of(request))


@router.post("/apply", response_model=PlanInfo)
async def apply(here: Here, request: ApplyRequest | None = None) -> Response:
    """Run the loop once now; returns what was carried out."""
    return answer(await here.fleet.apply(confirm=bool(request and request.confirm)))


@router.get("/journal", response_model=JournalInfo)
async def journal(here: Here, since: Annotated[int, Query(ge=0, description="An event's number")] = 0) -> Response:
    """Where the journal stands, and the events after a number."""
    return answer(here.fleet.journal(since))


@router.post("/sql", responses={200: {"content": {ARROW: {}}}})
async def sql(here: Here, request: SqlRequest) -> Response:
    """One read-only SELECT on the journal."""
    table = await here.fleet.sql(request.query, request.params, seconds=request.timeout, max_rows=request.max_rows)
    return Response(table, media_type=ARROW)


@router.post("/replace", response_model=DaemonInfo, status_code=202)
async def replace(here: Here) -> Response:
    """Replace the workers of another release than the installed one, one at a time."""
    return answer(await here.fleet.replace(), 202)


@router.post("/shutdown", response_model=DaemonInfo, status_code=202)
async def shutdown(here: Here) -> Response:
    """Begin the daemon's clean end."""
    daemon = here.fleet.status().daemon
    await here.fleet.shutdown()
    return answer(daemon, 202)


@router.websocket("/live")
async def follow(
    websocket: WebSocket,
    here: Here,
    pairing: Annotated[str | None, Query(pattern=f"^{SESSION_NAME.pattern}$")] = None,
    since: Annotated[int | None, Query(ge=0)] = None,
) -> None:
    """Stream what changes; see LiveFrame in docs/control-api.md."""
    if pairing is not None:
        here.fleet.session(pairing)
    await websocket.accept()
    streaming = asyncio.create_task(
        live.stream(websocket, here.fleet.live(pairing=pairing, since=since), here.stopping)
    )
    here.streams.add(streaming)
    try:
        await streaming
    finally:
        here.streams.discard(streaming)


@health.get("/healthz")
async def healthz() -> Response:
    """The daemon's loop turns."""
    return Response("ok\n", media_type="text/plain")


@health.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
async def readyz(here: Here) -> Response:
    """The daemon does its work."""
    daemon = here.fleet.status().daemon
    if here.stopping.is_set() or daemon.ending is not None:
        why = "it is ending"
    elif not daemon.journal_ok:
        why = "the journal cannot be written"
    elif daemon.declaration.rev == 0:
        why = f"no declaration is in force: {daemon.declaration.error or 'the file was not read yet'}"
    else:
        stuck = daemon.stuck_queries
        return answer(Readiness(ready=True, why=f"queries that cannot be stopped: {stuck}" if stuck else ""))
    return answer(Readiness(ready=False, why=why), 503)


@health.get("/metrics")
async def prometheus(here: Here) -> Response:
    """Figures for Prometheus."""
    page = metrics.render(here.fleet.status(), here.fleet.counters(), len(here.streams))
    return Response(page, media_type=metrics.MEDIA_TYPE)


def create_app(fleet: Fleet) -> FastAPI:
    """Make the control API of a fleet.

    The interactive pages of FastAPI are left out: they load scripts from the internet. ``/v1/openapi.json`` is served.
    """
    app = FastAPI(
        title="wakit control",
        version=str(API_VERSION),
        description="Sessions as a file says. Errors are `ErrorInfo`; times are UTC.",
        openapi_url=f"/v{API_VERSION}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.serving = Serving(fleet)
    answers.install(app)
    app.include_router(router)
    app.include_router(health)
    return app


async def end_streams(app: FastAPI, seconds: float) -> None:
    """Let every live stream say goodbye, at most so many seconds; no request is ready any more."""
    serving: Serving = app.state.serving
    serving.stopping.set()
    if serving.streams:
        await asyncio.wait(serving.streams, timeout=seconds)
