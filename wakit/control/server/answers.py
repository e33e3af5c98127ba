"""How the daemon says no: every refusal is an ErrorInfo with a fitting status code, in wakit's own sentences.

A mistake of ours (any exception that is no WakitError) is answered with 500 and no detail; its traceback goes to the
daemon's log, with the texts of the exceptions scrubbed. The guard stands inside Starlette's own error page and around
everything else, so that neither Starlette nor uvicorn ever prints a traceback with somebody's number in it.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from fastapi import FastAPI, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wakit import errors
from wakit.control.refusals import to_info, trace
from wakit.control.schemas import NAME_RULE, ErrorInfo
from wakit.errors import WakitError

_LOG: Final = logging.getLogger("wakit.control")

# The first class of an error's ancestry that stands here decides. What a person must change first is a 409, what may
# work in a moment a 503.
STATUS_CODES: Final[dict[type[WakitError], int]] = {
    errors.UnknownSessionError: 404,
    errors.QueryError: 400,
    errors.NoDaemonError: 503,
    errors.WorkerError: 503,
    errors.JournalError: 503,
    errors.StateDirectoryError: 503,
    errors.MissingExtraError: 501,
    errors.NotConvergedError: 504,
    WakitError: 409,
}


class NothingShownError(errors.ControlError):
    """No QR or code is to be shown now; travels as a ControlError, with status 404."""


def answer(model: BaseModel, status: int = 200) -> Response:
    """Answer with a model as JSON, validated when it was made and not once more."""
    return Response(model.model_dump_json(), status, media_type="application/json")


def refuse(error: WakitError) -> Response:
    """Answer with an error."""
    if isinstance(error, NothingShownError):
        return answer(to_info(error), 404)
    return answer(to_info(error), next(STATUS_CODES[kind] for kind in type(error).__mro__ if kind in STATUS_CODES))


def misunderstood(problems: list[Any]) -> Response:
    """Answer a request that does not fit the API, without repeating what it said."""
    why = "; ".join(_sentence(problem) for problem in problems)
    info = ErrorInfo(
        error="ControlError", what="The request is not understood", why=why, hint="see docs/control-api.md"
    )
    return answer(info, 422)


def install(app: FastAPI) -> None:
    """Make the application say no like this."""
    app.add_exception_handler(WakitError, _on_wakit_error)
    app.add_exception_handler(RequestValidationError, _on_misunderstanding)
    app.add_exception_handler(WebSocketRequestValidationError, _on_misunderstanding)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_middleware(_Guard)


async def _on_wakit_error(connection: Any, error: Exception) -> Any:
    assert isinstance(error, WakitError)
    return await _deliver(connection, refuse(error))


async def _on_misunderstanding(connection: Any, error: Exception) -> Any:
    assert isinstance(error, RequestValidationError | WebSocketRequestValidationError)
    return await _deliver(connection, misunderstood(list(error.errors())))


async def _on_http_error(connection: Any, error: Exception) -> Any:
    assert isinstance(error, HTTPException)
    hint = "see docs/control-api.md; the daemon may be older than its client"
    info = ErrorInfo(error="ControlError", what=f"The API has no such request ({error.detail})", hint=hint)
    return await _deliver(connection, answer(info, error.status_code))


async def _deliver(connection: Any, response: Response) -> Response | None:
    """What a handler returns is sent; for a WebSocket only by some versions of Starlette, so that is done by hand."""
    if isinstance(connection, WebSocket):
        await connection.send_denial_response(response)
        return None
    return response


class _Guard:
    """Answers for our own mistakes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:  # noqa: BLE001 - the last line of defence
            _LOG.error("a request failed: %s", trace(error))
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1011, "reason": "the daemon made a mistake"})
            elif not begun:
                await _mistake(error)(scope, receive, send)


def _mistake(error: Exception) -> Response:
    info = ErrorInfo(
        error="ControlError",
        what="The daemon made a mistake with this request",
        why=f"an unexpected {type(error).__name__}",
        hint="logs/_daemon.log in the state directory has the details; please report it",
    )
    return answer(info, 500)


def _sentence(problem: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in problem["loc"] if part not in ("body", "query", "path"))
    if where in ("name", "pairing"):
        return NAME_RULE
    said = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {said}" if where and problem["type"] != "json_invalid" else f"the body: {said}"
