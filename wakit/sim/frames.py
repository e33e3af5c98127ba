"""Frames: a four-byte greeting once, then messages of up to 16 MiB, each behind three bytes of length.

WebSocket messages are only a stream to this layer: a frame may be split over several or share one with others.
"""

from __future__ import annotations

from typing import Final

from wakit.sim.noise import PROLOGUE

MAX_FRAME: Final = (1 << 24) - 1
_LENGTH_SIZE = 3


class FrameError(ValueError):
    """The stream does not start as a WhatsApp client's does."""


class Deframer:
    r"""Cuts a client's stream into frames.

    Example:
        >>> deframer = Deframer()
        >>> deframer.feed(PROLOGUE + b"\x00\x00")
        >>> deframer.pop() is None
        True
        >>> deframer.feed(b"\x02hi")
        >>> deframer.pop()
        b'hi'
    """

    __slots__ = ("_buffer", "_greeted")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._greeted = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream.

        Raises:
            FrameError: The stream's first four bytes are not the greeting this server speaks.
        """
        self._buffer += data
        if not self._greeted:
            self._greet()

    def _greet(self) -> None:
        head = bytes(self._buffer[: len(PROLOGUE)])
        if head != PROLOGUE[: len(head)]:
            raise FrameError("the stream does not begin with the greeting of this protocol version")
        if len(head) == len(PROLOGUE):
            del self._buffer[: len(PROLOGUE)]
            self._greeted = True

    def pop(self) -> bytes | None:
        """Return the next frame, or None until more bytes were fed."""
        if not self._greeted or len(self._buffer) < _LENGTH_SIZE:
            return None
        end = _LENGTH_SIZE + int.from_bytes(self._buffer[:_LENGTH_SIZE], "big")
        if len(self._buffer) < end:
            return None
        frame = bytes(self._buffer[_LENGTH_SIZE:end])
        del self._buffer[:end]
        return frame


def frame(payload: bytes) -> bytes:
    """Put the length in front of ``payload``; raises ValueError beyond 16 MiB."""
    if len(payload) > MAX_FRAME:
        raise ValueError("a frame holds at most 16 MiB")
    return len(payload).to_bytes(_LENGTH_SIZE, "big") + payload
