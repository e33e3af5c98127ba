"""One HTTP exchange over a Unix socket: bytes out, bytes in, no I/O here (h11 speaks the protocol).

A connection carries exactly one exchange. On a Unix socket that costs 0.1 ms, and in return a client has nothing to
keep, to leak, or to tie to one event loop: it works the same in a thread, after a fork of the kernel, and in every
loop a notebook starts. The usual HTTP libraries were measured and left out: their import alone takes 150 to 200 ms,
which every command of the command line would pay.
"""

from __future__ import annotations

from typing import Any, Final

import h11

from wakit.control.calls import Call
from wakit.control.refusals import from_info
from wakit.control.schemas import ErrorInfo
from wakit.errors import ControlError, NoDaemonError, WakitError

CHUNK: Final = 1 << 18


class Exchange:
    """Feed it what the socket gives until :attr:`done`; then :meth:`result` reads the answer or raises its error."""

    def __init__(self, call: Call[Any]) -> None:
        self._connection = h11.Connection(h11.CLIENT)
        self._call = call
        self._status = 0
        self._body: list[bytes] = []
        self.done = False

    def request(self) -> bytes:
        """Return the whole request."""
        content = self._call.body or b""
        headers = [("Host", "wakit"), ("Connection", "close"), ("Content-Length", str(len(content)))]
        if self._call.body is not None:
            headers.append(("Content-Type", "application/json"))
        send = self._connection.send
        head = send(h11.Request(method=self._call.method, target=self._call.path, headers=headers)) or b""
        return head + (send(h11.Data(data=content)) or b"") + (send(h11.EndOfMessage()) or b"")

    def feed(self, content: bytes) -> None:
        """Take what was read; b"" means that the daemon closed.

        Raises:
            NoDaemonError: It closed before the answer was whole.
            ControlError: What it sent is not HTTP.
        """
        try:
            self._connection.receive_data(content)
            while True:
                event = self._connection.next_event()
                if isinstance(event, h11.Response):
                    self._status = event.status_code
                elif isinstance(event, h11.Data):
                    self._body.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    self.done = True
                    return
                else:
                    break
        except h11.RemoteProtocolError as error:
            if not content:
                raise went_away() from error
            raise ControlError("The daemon's answer is not HTTP", why="something else listens on its socket") from error
        if not content:
            raise went_away()

    def result(self) -> bytes:
        """Return the answer's body, or raise the error it tells."""
        body = b"".join(self._body)
        if self._status in self._call.accepts:
            return body
        raise read_error(self._status, body)


def read_error(status: int, body: bytes) -> WakitError:
    """Make an error of a refusal's body."""
    try:
        return from_info(ErrorInfo.model_validate_json(body))
    except ValueError:
        return ControlError(f"The daemon refused the request with status {status}")


def went_away() -> NoDaemonError:
    """Say that the daemon was there and is not any more."""
    return NoDaemonError(
        "The daemon went away before it answered",
        why="it was stopped, or it crashed",
        hint="run `wakit status` to see whether it is back, `wakit up` to start it",
    )
