"""The requests of the control API as values, so that the blocking and the asynchronous client say each only once.

A :class:`Call` knows its method, path, body, how long an answer may take, and how to read one. It does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast
from urllib.parse import urlencode

from pydantic import BaseModel

from wakit.control.schemas import (
    NAME_RULE,
    ApplyRequest,
    BackupList,
    BackupTaken,
    DaemonInfo,
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
from wakit.core.declaration import SESSION_NAME
from wakit.errors import ControlError, QueryError, UnknownSessionError
from wakit.redact import PhoneNumber

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
QrImage = Literal["svg", "png"]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request and the reading of its answer; ``seconds`` is the longest an answer may take."""

    method: Literal["GET", "POST"]
    path: str
    read: Callable[[bytes], T] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    seconds: float = 10.0
    accepts: frozenset[int] = frozenset({200, 202})


def status() -> Call[StatusInfo]:
    """``GET /v1/sessions``."""
    return Call("GET", "/v1/sessions", _model(StatusInfo))


def session(name: str) -> Call[SessionInfo]:
    """``GET /v1/sessions/{name}``."""
    return Call("GET", _session(name), _model(SessionInfo))


def qr(name: str) -> Call[PairingShown]:
    """``GET /v1/sessions/{name}/qr``."""
    return Call("GET", _session(name, "qr"), _model(PairingShown))


def qr_image(name: str, image: QrImage) -> Call[bytes]:
    """``GET /v1/sessions/{name}/qr?format=svg|png``."""
    return Call("GET", _session(name, "qr") + "?" + urlencode({"format": image}), bytes)


def logs(name: str, lines: int) -> Call[list[str]]:
    """``GET /v1/sessions/{name}/logs``."""

    def read(content: bytes) -> list[str]:
        return _parse(LogLines, content).lines

    return Call("GET", _session(name, "logs") + "?" + urlencode({"lines": lines}), read)


def pair(name: str, method: Literal["qr", "code"] | None, phone: str | PhoneNumber | None) -> Call[SessionInfo]:
    """``POST /v1/sessions/{name}/pair``."""
    digits = phone.reveal() if isinstance(phone, PhoneNumber) else phone
    try:
        body = _json(PairRequest(method=method, phone=digits))
    except ValueError as error:
        raise ControlError(
            f"{name} cannot be paired like this",
            why="a method is qr or code, and a phone number is a + and 8 to 15 digits, country code first",
            hint='for example method="code", phone="+34600000001"',
        ) from error
    return Call("POST", _session(name, "pair"), _model(SessionInfo), body, seconds=30)


def restart(name: str, *, take_over: bool) -> Call[SessionInfo]:
    """``POST /v1/sessions/{name}/restart``."""
    body = _json(RestartRequest(take_over=take_over))
    return Call("POST", _session(name, "restart"), _model(SessionInfo), body, seconds=30)


def order(name: str, verb: Literal["park", "resume"]) -> Call[SessionInfo]:
    """``POST /v1/sessions/{name}/park|resume``."""
    return Call("POST", _session(name, verb), _model(SessionInfo), seconds=30)


def ping(name: str) -> Call[PingInfo]:
    """``POST /v1/sessions/{name}/ping``."""
    return Call("POST", _session(name, "ping"), _model(PingInfo), seconds=30)


def backups(name: str) -> Call[BackupList]:
    """``GET /v1/sessions/{name}/backups``."""
    return Call("GET", _session(name, "backups"), _model(BackupList), seconds=30)


def backup(name: str) -> Call[BackupTaken]:
    """``POST /v1/sessions/{name}/backup``."""
    return Call("POST", _session(name, "backup"), _model(BackupTaken), seconds=120)


def restore(name: str, chosen: str | None) -> Call[SessionInfo]:
    """``POST /v1/sessions/{name}/restore``."""
    body = _json(RestoreRequest(backup=chosen))
    return Call("POST", _session(name, "restore"), _model(SessionInfo), body, seconds=120)


def plan() -> Call[PlanInfo]:
    """``GET /v1/plan``."""
    return Call("GET", "/v1/plan", _model(PlanInfo), seconds=30)


def plan_of(path: str, text: str, dotenv: str | None) -> Call[PlanInfo]:
    """``POST /v1/plan``."""
    body = _json(PlanRequest(path=path, text=text, dotenv=dotenv))
    return Call("POST", "/v1/plan", _model(PlanInfo), body, seconds=30)


def apply(*, confirm: bool) -> Call[PlanInfo]:
    """``POST /v1/apply``."""
    return Call("POST", "/v1/apply", _model(PlanInfo), _json(ApplyRequest(confirm=confirm)), seconds=120)


def replace() -> Call[DaemonInfo]:
    """``POST /v1/replace``."""
    return Call("POST", "/v1/replace", _model(DaemonInfo), seconds=30)


def shutdown() -> Call[DaemonInfo]:
    """``POST /v1/shutdown``."""
    return Call("POST", "/v1/shutdown", _model(DaemonInfo))


def ready() -> Call[Readiness]:
    """``GET /readyz``."""
    return Call("GET", "/readyz", _model(Readiness), accepts=frozenset({200, 503}))


def journal(since: int) -> Call[JournalInfo]:
    """``GET /v1/journal``."""
    return Call("GET", "/v1/journal?" + urlencode({"since": since}), _model(JournalInfo))


def sql(query: str, params: Sequence[Any] | None, seconds: float, max_rows: int) -> Call[pa.Table]:
    """``POST /v1/sql``; the answer is a table of pyarrow."""
    values = None if params is None else list(params)
    try:
        body = _json(SqlRequest(query=query, params=values, timeout=seconds, max_rows=max_rows))
    except ValueError as error:
        raise QueryError(
            "The query cannot be sent",
            why="a timeout is more than 0 and at most 300 seconds, max_rows is at least 1, and parameters are JSON",
            hint="pass texts, numbers, booleans, dates and None as parameters",
        ) from error
    return Call("POST", "/v1/sql", _read_table, body, seconds=seconds + 10)


def live_uri(pairing: str | None, since: int | None) -> str:
    """Name the live stream; the host is a formality on a Unix socket."""
    asked = {"pairing": pairing, "since": since}
    query = urlencode({key: value for key, value in asked.items() if value is not None})
    return "ws://wakit/v1/live" + (f"?{query}" if query else "")


def _session(name: str, *more: str) -> str:
    # Checked here because a name with a slash in it would be another request.
    if not SESSION_NAME.fullmatch(name):
        raise UnknownSessionError(
            "No session has a name like this", why=NAME_RULE, hint="`wakit status` lists the sessions there are"
        )
    return "/".join(("/v1/sessions", name, *more))


def _json(model: BaseModel) -> bytes:
    return model.model_dump_json().encode()


def _model(model: type[M]) -> Callable[[bytes], M]:
    def read(content: bytes) -> M:
        return _parse(model, content)

    return read


def _parse(model: type[M], content: bytes) -> M:
    try:
        return model.model_validate_json(content)
    except ValueError as error:
        raise ControlError(
            "The daemon's answer is not understood",
            why=f"it is not the {model.__name__} this version knows",
            hint="daemon and client may be of different versions: run `wakit down`, then `wakit up`",
        ) from error


def _read_table(content: bytes) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415 - 100 ms that only a query has to pay

    with pa.ipc.open_stream(pa.py_buffer(content)) as reader:
        return cast("pa.Table", reader.read_all())
