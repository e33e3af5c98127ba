"""What a worker says to its host: frames that are written and never waited for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

from wakit.redact import scrub
from wakit.whatsapp.port import DialFailed, News
from wakit.worker.dialing import LOGIN_HOST, DialError
from wakit.worker.messages import Line, ToHost, Told, encode

_UNREAD: Final = 1 << 20  # bytes the host has not read, above which log lines are dropped


class Reports:
    """Those of one worker. What is said before :meth:`open` is lost."""

    def __init__(self) -> None:
        self._writer: asyncio.StreamWriter | None = None

    def open(self, writer: asyncio.StreamWriter) -> None:
        """Write to this from now on."""
        self._writer = writer

    def send(self, message: ToHost) -> None:
        """Write a frame, if the host is still there."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(message))

    def tell(self, session: str, event: News) -> None:
        """Tell an event of a session that happens now."""
        self.send(Told(session=session, at=datetime.now(UTC), event=event))

    def log(self, session: str, line: str) -> None:
        """Pass on a line that was logged for a session, unless the host has much to read already."""
        if self._writer is not None and self._writer.transport.get_write_buffer_size() < _UNREAD:
            self.send(Line(session=session, line=line))

    def dial_failed(self, session: str, host: str, error: DialError) -> None:
        """Tell why a dial failed; it is logged only if the session's connection is not concerned."""
        if host == LOGIN_HOST:
            self.tell(session, DialFailed(cause=error.cause, detail=error.detail))
        else:
            self.log(session, f"WARN Relay: a dial to {scrub(host)} failed: {error.detail}")
