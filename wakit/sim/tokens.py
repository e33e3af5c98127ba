"""WhatsApp's token dictionaries, read out of the client library that is loaded in this process.

The dictionaries are 236 single-byte and 4 x 256 double-byte tokens. The library has them as Go strings, that is as
pairs of pointer and length in its data: 236 such pairs in a row for the single tokens (the first is the empty string,
the second ``xmlstreamstart``), and four slices in a row whose first begins with ``read-self``. Reading them there means
that nothing is copied into wakit, and that a new library brings its own dictionaries.

This is the one module of the sim that loads the library. It is imported in the sim's own process only.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from wakit.errors import EndpointError
from wakit.sim.codec import TokenTable

_SINGLE_TOKENS = 236
_PAGES, _PAGE_SIZE = 4, 256
_STRING = 16  # a Go string: pointer, length
_SLICE = 24  # a Go slice: pointer, length, capacity


@dataclass(frozen=True, slots=True)
class _Image:
    """The bytes of a loaded library and where they are in memory."""

    base: int
    data: bytes

    def addresses_of(self, pattern: bytes) -> list[int]:
        found = []
        at = self.data.find(pattern)
        while at >= 0:
            found.append(self.base + at)
            at = self.data.find(pattern, at + 1)
        return found

    def read(self, address: int, size: int) -> bytes:
        start = address - self.base
        if start < 0 or start + size > len(self.data):
            raise LookupError("a pointer leads out of the library")
        return self.data[start : start + size]

    def string(self, header: int) -> str:
        pointer, length = struct.unpack("<QQ", self.read(header, _STRING))
        return self.read(pointer, length).decode() if length else ""

    def strings(self, header: int, count: int) -> tuple[str, ...]:
        return tuple(self.string(header + index * _STRING) for index in range(count))


def load_tokens() -> TokenTable:
    """Load the client library and return its dictionaries.

    Raises:
        EndpointError: This is not Linux, or the library has no dictionaries where they were expected.
    """
    if sys.platform != "linux":
        raise EndpointError(
            "The loopback WhatsApp cannot run here",
            why="it reads the client library's memory through /proc, which only Linux has",
            hint="run it on Linux, or in a Linux container",
        )
    import pylibmagic  # noqa: F401, PLC0415 - brings libmagic to machines without it, so it goes first

    # isort: split
    import neonize  # noqa: PLC0415 - loads the library, which takes a second

    library = str(Path(neonize.__file__).parent)
    try:
        return find_tokens(_loaded_image(library))
    except (LookupError, UnicodeDecodeError) as error:
        raise EndpointError(
            "The loopback WhatsApp cannot read the token dictionaries",
            why=f"the installed neonize lays its library out differently ({error})",
            hint="install the neonize version that wakit pins",
        ) from error


def find_tokens(image: _Image) -> TokenTable:
    """Find both dictionaries in a library's memory.

    Raises:
        LookupError: They are not there.
    """
    return TokenTable(_single_tokens(image), _double_tokens(image))


def _single_tokens(image: _Image) -> tuple[str, ...]:
    for header in _string_headers(image, "xmlstreamstart"):
        first = header - _STRING
        if image.string(first) == "" and image.string(header + _STRING) == "xmlstreamend":
            return image.strings(first, _SINGLE_TOKENS)
    raise LookupError("no single-byte tokens")


def _double_tokens(image: _Image) -> tuple[tuple[str, ...], ...]:
    for header in _string_headers(image, "read-self"):
        for pages in image.addresses_of(struct.pack("<QQQ", header, _PAGE_SIZE, _PAGE_SIZE)):
            starts = [struct.unpack("<Q", image.read(pages + page * _SLICE, 8))[0] for page in range(_PAGES)]
            return tuple(image.strings(start, _PAGE_SIZE) for start in starts)
    raise LookupError("no double-byte tokens")


def _string_headers(image: _Image, text: str) -> list[int]:
    # Go shares the bytes of strings, so the text can begin anywhere: every occurrence is tried.
    return [
        header
        for address in image.addresses_of(text.encode())
        for header in image.addresses_of(struct.pack("<QQ", address, len(text)))
    ]


def _loaded_image(folder: str) -> _Image:
    spans = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, mode, *rest = line.split(maxsplit=5)
        path = rest[-1] if len(rest) == 4 else ""  # noqa: PLR2004 - offset, device, inode, path
        if path.startswith(folder) and path.endswith(".so") and mode.startswith("r"):
            start, end = (int(part, 16) for part in span.split("-"))
            spans.append((start, end))
    if not spans:
        raise LookupError("the library is not loaded")
    base, end = spans[0][0], spans[-1][1]
    data = bytearray(end - base)
    for start, stop in spans:
        data[start - base : stop - base] = ctypes.string_at(start, stop - start)
    return _Image(base, bytes(data))
