"""The pairing widget's Python side: it decides the phase and sends it, and what a phone has to see, as a message.

Nothing here is a synced trait but the session's name: ipywidgets writes traits into the saved notebook, and a QR, a
code or a number must never be there. The secret comes from a live stream that asked for this session's pairing; it is
kept only while it is valid, and only here and in the browser's memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any, Literal

import anywidget
import traitlets

from wakit.control.schemas import Disconnected, LiveFrame, PairingFrame, PairingShown, SessionInfo
from wakit.errors import WakitError
from wakit.notebook.kernel import kernel_loop
from wakit.notebook.link import Link
from wakit.notebook.outbox import Outbox
from wakit.notebook.widgets.board import sentence
from wakit.notebook.widgets.bundle import script, style
from wakit.notebook.widgets.qr import modules
from wakit.redact import PhoneNumber

Method = Literal["qr", "code"]


class Phase(StrEnum):
    """What the widget shows; ``pairing.js`` has the words for each."""

    GONE = "gone"
    UNKNOWN = "unknown"
    CHOOSE = "choose"
    WAITING = "waiting"
    QR = "qr"
    CODE = "code"
    EXPIRED = "expired"
    LINKED = "linked"
    CONNECTED = "connected"
    PASSKEY = "passkey"
    FAILED = "failed"


class Progress(IntEnum):
    """How far the pairing has come that this widget is about."""

    IDLE = 0
    ASKED = 1  # asked for; the session has not moved since, so what it says is about what was before
    UNDER_WAY = 2
    SHOWN = 3  # a QR or a code was on the screen


def phase_of(session: SessionInfo | None, shown: PairingShown | None, progress: Progress, *, reachable: bool) -> Phase:
    """Decide what the widget shows.

    Args:
        session: The session as it is, None if it is not declared.
        shown: The QR or code that is valid now.
        progress: What this widget asked for and has seen of it.
        reachable: The daemon answers.

    Example:
        >>> phase_of(None, None, Progress.IDLE, reachable=False)
        <Phase.GONE: 'gone'>
    """
    if not reachable:
        return Phase.GONE
    if session is None:
        return Phase.UNKNOWN
    if shown is not None:
        return Phase.QR if shown.event == "qr" else Phase.CODE
    if progress is Progress.ASKED:
        return Phase.WAITING
    match session.state:
        case "connected" | "degraded":
            return Phase.CONNECTED
        case "passkey_required":
            return Phase.PASSKEY
        case "conflict" | "logged_out" | "banned" | "outdated" | "failed":
            # A failure only after a try: a session that was logged out long ago is here to be linked again.
            return Phase.FAILED if progress > Progress.IDLE else Phase.CHOOSE
        case "paired":
            return Phase.LINKED
        case "starting" | "pairing" | "reconnecting" if progress > Progress.IDLE:
            return Phase.LINKED if session.paired and progress is Progress.SHOWN else Phase.WAITING
        case "declared" if progress > Progress.IDLE:
            return Phase.EXPIRED if session.needs_person else Phase.WAITING
        case _:
            return Phase.CHOOSE


class Pairing(anywidget.AnyWidget):
    """Links one session to a phone. Made by ``fleet["name"].pair()``.

    Args:
        session: The session's name.
        link: The live connection.
        method: Begin at once with this way of pairing; None lets the person choose.
        phone: The number for ``"code"``, if it is not the file's.
        loop: The loop to write on; the kernel's by default.
        clock: The time now, with its zone.
    """

    _esm = script("pairing")
    _css = style("pairing")
    session = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        session: str,
        link: Link,
        *,
        method: Method | None = None,
        phone: PhoneNumber | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._link = link
        self._clock = clock
        self._method: Method = method or "qr"
        self._phone = phone
        self._progress = Progress.IDLE
        self._before: SessionInfo | None = None
        self._error = ""
        self._shown: PairingShown | None = None
        self._serial = 0
        self._said: dict[str, Any] | None = None
        self._where = loop or kernel_loop()
        super().__init__(session=session)
        self.on_msg(self._receive)
        self._outbox = Outbox(self._where, self._deliver)
        self._ends = [link.listen(self._outbox.post), link.stream(session, self._take)]
        if method is not None:
            self._pair(method, phone)

    def __repr__(self) -> str:
        return f"<pairing of {self.session}: shown in a notebook; in a terminal use `wakit pair {self.session}`>"

    def close(self) -> None:
        """Take the widget off the page and stop following; a pairing that runs goes on."""
        for end in getattr(self, "_ends", ()):  # ipywidgets closes a half-made widget, too
            end()
        if hasattr(self, "_outbox"):
            self._outbox.close()
        self._shown = None
        super().close()

    def _take(self, frame: LiveFrame | Disconnected) -> None:
        """Note what is to be shown; runs in the link's thread."""
        if isinstance(frame, PairingFrame):
            shown = frame.shown
        elif isinstance(frame, Disconnected):
            shown = None  # what the next daemon shows is another code
        else:
            return
        if shown != self._shown:
            self._serial += 1
            self._shown = shown
            if shown is not None:
                self._progress = Progress.SHOWN
            self._outbox.post()

    def _valid(self) -> PairingShown | None:
        shown = self._shown
        return shown if shown is not None and shown.expires_at > self._clock() else None

    def _phase(self) -> Phase:
        snapshot = self._link.snapshot
        session = snapshot.sessions.get(self.session)
        if self._progress is Progress.ASKED and session is not self._before:
            self._progress = Progress.UNDER_WAY
        return phase_of(session, self._valid(), self._progress, reachable=snapshot.reachable)

    def _view(self) -> dict[str, Any]:
        snapshot = self._link.snapshot
        session = snapshot.sessions.get(self.session)
        shown = self._valid()
        phase = self._phase()
        reason = snapshot.trouble if phase is Phase.GONE else (session.reason if session else "")
        view: dict[str, Any] = {
            "type": "view",
            "phase": str(phase),
            "reason": reason,
            "error": self._error,
            "method": shown.event if shown else self._method,
        }
        if shown is not None and phase in {Phase.QR, Phase.CODE}:
            left = (shown.expires_at - self._clock()).total_seconds()
            view |= {"serial": self._serial, "left": int(left * 1000)}
            if shown.event == "qr" and shown.payload is not None:
                view["rows"] = modules(shown.payload)
            else:
                view["code"] = shown.code
        return view

    def _deliver(self) -> None:
        view = self._view()
        # Time left is always less than it was, so it is no news; and what was shown is not kept: its serial is enough.
        news = {key: value for key, value in view.items() if key not in {"left", "rows", "code"}}
        if news != self._said:
            self._said = news
            self.send(view)

    def _receive(self, _widget: Any, content: Mapping[str, Any], _buffers: Any) -> None:
        """Answer the browser; what it says is checked like any input."""
        match content:
            case {"type": "hello"}:
                self._said = None
                self._deliver()
            case {"type": "pair", "method": ("qr" | "code") as method, "phone": str(text)} if text:
                try:
                    phone = PhoneNumber(text)
                except ValueError as error:
                    self._fail(f"That number cannot be right: {error}")
                else:
                    self._pair(method, phone)
            case {"type": "pair", "method": ("qr" | "code") as method}:
                self._pair(method, self._phone if method == "code" else None)
            case _:
                pass  # a newer view than this kernel

    def _pair(self, method: Method, phone: PhoneNumber | None) -> None:
        # The number is kept for "New code", as a type that shows nothing of it.
        self._method, self._phone = method, phone or self._phone
        self._error, self._progress = "", Progress.ASKED
        self._before = self._link.snapshot.sessions.get(self.session)
        try:
            future = self._link.pair(self.session, method, phone)
        except WakitError as error:
            self._fail(sentence(error))
            return

        def done(future: Future[Any]) -> None:
            if not future.cancelled() and (error := future.exception()) is not None and self._where is not None:
                self._where.call_soon_threadsafe(lambda: self._fail(sentence(error)))

        future.add_done_callback(done)

    def _fail(self, said: str) -> None:
        self._error, self._progress, self._said = said, Progress.IDLE, None
        self._outbox.post()
