"""What host and worker say to each other: frames on one inherited socket.

A frame is a 4-byte big-endian length and that many bytes of JSON, a tagged struct. JSON and not pickle, because the
host must be able to read what a broken or hostile worker writes without running it; a socket of its own and never fd 0
to 2, because the Go library prints there (``println``, panics, pairing codes).

Secrets and phone numbers are masked everywhere else. Here, and only here, they are written out: the two hooks below
are the one place where they cross a process boundary, and both ends of the socket belong to wakit.

The first frame each way carries the protocol's number. Both ends come from one installation, so a mismatch means that
wakit was upgraded under a running daemon; it is said in words instead of being guessed around.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec

from wakit.core.declaration import Endpoint
from wakit.redact import PhoneNumber, Secret
from wakit.whatsapp.port import AccountHold, News, SessionStart, WorkerLaunch

PROTOCOL: Final = 4
"""Grows with every change that an older end would misread."""

MAX_FRAME: Final = 4 << 20
"""Bytes of the largest frame; a launch order for some 15,000 sessions still fits."""

_HEADER: Final = 4


class FrameError(ValueError):
    """The other end broke the framing or sent what is no message; the stream cannot be trusted any more."""


class _Message(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Base of every message; the tag is the class's name."""


# --- host to worker


class Prepare(_Message, frozen=True, tag=True, kw_only=True):
    """Before a launch order, if at all: load the library for this endpoint, and wait for the order."""

    endpoint: Endpoint | None


class Launch(_Message, frozen=True, tag=True, kw_only=True):
    """The order: what a worker is for, and its seconds between heartbeats. The first frame, unless it was prepared."""

    protocol: int
    launch: WorkerLaunch
    heartbeat: float


class Call(_Message, frozen=True, tag=True, kw_only=True):
    """Start one session of a worker that was launched on call, with this order."""

    start: SessionStart


class Seal(_Message, frozen=True, tag=True, kw_only=True):
    """Nobody is called any more; whoever was not stays away."""


class Permit(_Message, frozen=True, tag=True, kw_only=True):
    """The fleet's pacing lets one dial of this session through: the answer to the question of that number."""

    session: str
    number: int


class StopSession(_Message, frozen=True, tag=True, kw_only=True):
    """Disconnect one session's client for good; answered by :class:`Done`."""

    request: int
    session: str


class LogoutSession(_Message, frozen=True, tag=True, kw_only=True):
    """Unlink one session's device at WhatsApp; answered by :class:`Done`."""

    request: int
    session: str


class AskSession(_Message, frozen=True, tag=True, kw_only=True):
    """Have one session ask WhatsApp something and wait for the answer; answered by :class:`Done`."""

    request: int
    session: str


class HoldAccount(_Message, frozen=True, tag=True, kw_only=True):
    """Hold the account that a session was linked to just now, or tell :class:`~wakit.whatsapp.port.AccountHeld`."""

    session: str
    account: AccountHold


class Cut(_Message, frozen=True, tag=True, kw_only=True):
    """Close one session's network and refuse its dials, or let them through again."""

    session: str
    cut: bool


class Shutdown(_Message, frozen=True, tag=True, kw_only=True):
    """Disconnect every client within ``grace`` seconds and exit; the host kills whatever is left."""

    grace: float


ToWorker: TypeAlias = (
    Prepare | Launch | Call | Seal | Permit | StopSession | LogoutSession | AskSession | HoldAccount | Cut | Shutdown
)


# --- worker to host


class Hello(_Message, frozen=True, tag=True, kw_only=True):
    """The library is loaded and the sessions start now."""

    protocol: int
    pid: int


class CannotStart(_Message, frozen=True, tag=True, kw_only=True):
    """Instead of a hello: nothing was started, and the worker exits; ``endpoint`` if that is at fault."""

    what: str
    why: str
    hint: str = ""
    endpoint: bool = False


class Told(_Message, frozen=True, tag=True, kw_only=True):
    """One session's event, and when it happened (UTC)."""

    session: str
    at: datetime
    event: News


class PermitAsked(_Message, frozen=True, tag=True, kw_only=True):
    """A session wants to dial; answered by :class:`Permit` whenever the fleet's pacing allows."""

    session: str
    number: int


class PermitReturned(_Message, frozen=True, tag=True, kw_only=True):
    """The session does not dial: the question is void, or the permit that was its answer will not be used."""

    session: str
    number: int


class PermitUsed(_Message, frozen=True, tag=True, kw_only=True):
    """The session's dial goes out now, with the permit of that number."""

    session: str
    number: int


class Line(_Message, frozen=True, tag=True, kw_only=True):
    """One line the library logged for a session, scrubbed by shape."""

    session: str
    line: str


class Traffic(msgspec.Struct, frozen=True, array_like=True):
    """Bytes a session's tunnels carried so far, and when the last one was (None before the first).

    Moments are seconds of the worker's own clock, which a standstill of the host does not touch. ``heard_at`` and
    ``spoke_at`` are about the session's web socket alone, each for one direction.
    """

    received: int = 0
    sent: int = 0
    last_byte: float | None = None
    heard_at: float | None = None
    spoke_at: float | None = None


class Heartbeat(_Message, frozen=True, tag=True, kw_only=True):
    """The worker's loop turns, at this moment of its clock; with the traffic of each session that had some since."""

    at: float
    sessions: dict[str, Traffic]


class Done(_Message, frozen=True, tag=True, kw_only=True):
    """The answer to a request; ``why`` is scrubbed and empty when ``ok``."""

    request: int
    ok: bool
    why: str = ""


ToHost: TypeAlias = Hello | CannotStart | Told | PermitAsked | PermitReturned | PermitUsed | Line | Heartbeat | Done


def _reveal(value: Any) -> Any:
    if isinstance(value, Secret | PhoneNumber):
        return value.reveal()
    raise NotImplementedError(type(value).__name__)


def _wrap(kind: type, value: Any) -> Any:
    if kind in (Secret, PhoneNumber) and isinstance(value, str):
        return kind(value)
    raise NotImplementedError(kind.__name__)


_encoder: Final = msgspec.json.Encoder(enc_hook=_reveal)
_from_host: Final = msgspec.json.Decoder(ToWorker, dec_hook=_wrap)
_from_worker: Final = msgspec.json.Decoder(ToHost, dec_hook=_wrap)


def encode(message: ToWorker | ToHost) -> bytes:
    r"""Return the message as one whole frame.

    Raises:
        FrameError: It is larger than :data:`MAX_FRAME`.

    Example:
        >>> encode(Permit(session="sales", number=1))
        b'\x00\x00\x00.{"type":"Permit","session":"sales","number":1}'
    """
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise FrameError(f"a frame of {len(body)} bytes is over the limit of {MAX_FRAME}")
    return len(body).to_bytes(_HEADER, "big") + body


def decode_to_worker(body: bytes) -> ToWorker:
    """Read a frame's body in the worker; raises :class:`FrameError` if it is no message of the host."""
    try:
        message: ToWorker = _from_host.decode(body)
    except (msgspec.DecodeError, ValueError):
        # The decoder's own text may quote a secret, so neither it nor the chain goes on.
        raise FrameError("the host sent what is no message") from None
    return message


def decode_to_host(body: bytes) -> ToHost:
    """Read a frame's body in the host; raises :class:`FrameError` if it is no message of a worker."""
    try:
        message: ToHost = _from_worker.decode(body)
    except (msgspec.DecodeError, ValueError):
        raise FrameError("the worker sent what is no message") from None
    return message


class FrameSplitter:
    r"""Cuts a byte stream into frame bodies, however the bytes arrive.

    Never holds more than one frame's worth: an announced length over ``limit`` is refused before its bytes are read.

    Example:
        >>> splitter = FrameSplitter()
        >>> splitter.feed(b"\x00\x00"), splitter.feed(b"\x00\x02{}\x00")
        ([], [b'{}'])
    """

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take more of the stream and return the bodies that are complete now.

        Raises:
            FrameError: A frame announces more than the limit.
        """
        self._buffer += data
        bodies: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= _HEADER:
            size = int.from_bytes(self._buffer[start : start + _HEADER], "big")
            if size > self._limit:
                raise FrameError(f"a frame of {size} bytes is over the limit of {self._limit}")
            end = start + _HEADER + size
            if len(self._buffer) < end:
                break
            bodies.append(bytes(self._buffer[start + _HEADER : end]))
            start = end
        del self._buffer[:start]
        return bodies

    @property
    def torn(self) -> bool:
        """True if the stream stands in the middle of a frame."""
        return bool(self._buffer)
