"""The live WebSocket over a Unix socket, read frame by frame; once for asyncio, once blocking.

The connection's end, of whatever kind, is a :class:`~wakit.errors.NoDaemonError`: to a reader a daemon that ended in
order and one that was killed differ only in the reason.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter

from wakit.control.schemas import EventLogged, Gap, Hello, LiveFrame
from wakit.control.wire import read_error
from wakit.errors import NoDaemonError

if TYPE_CHECKING:
    from websockets.exceptions import ConnectionClosed, InvalidStatus

_FRAME: Final[TypeAdapter[LiveFrame]] = TypeAdapter(LiveFrame, config={"defer_build": True})
# A Hello holds every session, so it has no bound that a client could know; the daemon is trusted. No compression: it
# would cost more than the copy through the kernel. No proxy: this never leaves the machine, whatever the environment
# says. No long goodbye: the daemon's answer to it comes behind all frames that nobody will read any more, which the
# library stops reading while its own queue is full, and would wait ten seconds for.
_OPTIONS: Final[dict[str, Any]] = {
    "max_size": None,
    "compression": None,
    "proxy": None,
    "open_timeout": 10,
    "close_timeout": 0.2,
}


async def frames(socket: Path, uri: str) -> AsyncGenerator[LiveFrame, None]:
    """Yield the frames of one live connection.

    Raises:
        NoDaemonError: The connection ended.
        WakitError: The daemon refused the stream.
        OSError: Nobody listens.
    """
    from websockets.asyncio.client import unix_connect  # noqa: PLC0415 - 150 ms that only a live stream has to pay
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus  # noqa: PLC0415

    try:
        async with unix_connect(str(socket), uri, **_OPTIONS) as connection:
            async for message in connection:
                yield _FRAME.validate_json(message)
            raise _ended(connection.close_code, connection.close_reason)
    except InvalidStatus as error:
        raise _refused(error) from error
    except ConnectionClosed as error:
        raise _broken(error) from error
    except (InvalidHandshake, EOFError) as error:
        raise _ended(None, None) from error


def blocking_frames(socket: Path, uri: str) -> Iterator[LiveFrame]:
    """Yield the frames of one live connection, blocking; raises as :func:`frames` does."""
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus  # noqa: PLC0415
    from websockets.sync.client import unix_connect  # noqa: PLC0415

    try:
        with unix_connect(str(socket), uri, **_OPTIONS) as connection:
            for message in connection:
                yield _FRAME.validate_json(message)
            raise _ended(connection.close_code, connection.close_reason)
    except InvalidStatus as error:
        raise _refused(error) from error
    except ConnectionClosed as error:
        raise _broken(error) from error
    except (InvalidHandshake, EOFError) as error:
        raise _ended(None, None) from error


def newest(frame: LiveFrame, since: int | None) -> int | None:
    """Return the journal's ``seq`` to ask on from after this frame.

    A Hello sets it only where nothing was known: with ``since`` given, the events up to the Hello's ``seq`` are still
    to come, and a stream that broke in between would skip them.
    """
    match frame:
        case Hello(seq=seq):
            return seq if since is None else min(since, seq)
        case EventLogged(event=event):
            return event.seq
        case Gap(last=last):
            return last
        case _:
            return since


def _refused(error: InvalidStatus) -> Exception:
    return read_error(error.response.status_code, bytes(error.response.body or b""))


def _broken(error: ConnectionClosed) -> NoDaemonError:
    return _ended(error.rcvd.code, error.rcvd.reason) if error.rcvd else _ended(None, None)


def _ended(code: int | None, reason: str | None) -> NoDaemonError:
    why = reason or ("it was stopped, or it crashed" if code is None else f"it closed the stream with code {code}")
    return NoDaemonError("The daemon ended the live stream", why=why, hint="`wakit status` says whether it is back")
