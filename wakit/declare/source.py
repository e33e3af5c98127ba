"""Bytes from disk, read once and only if they can be a declaration.

The file is opened without waiting (a FIFO in its place would otherwise hang the daemon), looked at through the open
descriptor (no race between the look and the read), and never read beyond :data:`LIMIT`. Everything that can be wrong
with it is told as a :class:`~wakit.errors.DeclarationError` with the place, so a caller needs one ``except``.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from wakit.errors import DeclarationError, Location

LIMIT: Final = 1 << 20
"""Bytes; 5,000 sessions with labels take about 600 KB."""

LINE_LIMIT: Final = 8192
"""Characters; the TOML parser takes quadratic time over a dotted key, so no line may be arbitrarily long."""

FILE_NAME: Final = "sessions.toml"


def read_bytes(path: Path, display: str) -> bytes:
    """Read a regular file of at most :data:`LIMIT` bytes.

    Args:
        path: The file; symlinks are followed.
        display: How the file is called in errors.

    Raises:
        DeclarationError: It is missing, unreadable, not a regular file, or too large.
    """
    here = Location(display)
    try:
        # O_NONBLOCK: opening a FIFO that nobody writes to would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _unreadable(error, here) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _wrong_kind(status.st_mode, here)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise _unreadable(error, here) from error
    finally:
        os.close(descriptor)
    if len(data) > LIMIT:
        raise DeclarationError(
            "the file is too large",
            location=here,
            why=f"{max(status.st_size, len(data)) / 1e6:.1f} MB; a declaration has at most {LIMIT // 1024} KiB",
            hint="is this really a sessions.toml? Thousands of sessions fit into the limit",
        )
    return data


def decode(data: bytes, display: str) -> str:
    """Decode UTF-8 (a byte order mark is dropped) and refuse what cannot be TOML.

    Raises:
        DeclarationError: Not UTF-8, a NUL byte, or a line that is too long; with line and column.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DeclarationError(
            "the file is not UTF-8",
            location=Location(display, 1, 1),
            why="it begins with a UTF-16 byte order mark",
            hint="save it as UTF-8",
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DeclarationError(
            "the file is not UTF-8",
            location=_place_of_byte(data, error.start, display),
            why=f"the byte 0x{data[error.start]:02x} does not belong there",
            hint="save it as UTF-8; an editor set to Latin-1 or Windows-1252 writes such bytes",
        ) from None
    text = text.removeprefix("\ufeff")
    if (nul := text.find("\0")) >= 0:
        line = text.count("\n", 0, nul) + 1
        raise DeclarationError(
            "the file holds a NUL byte",
            location=Location(display, line, nul - text.rfind("\n", 0, nul)),
            why="it is not a text file, or was cut off while it was written",
            hint="restore it from version control",
        )
    for number, line_text in enumerate(text.split("\n"), 1):
        if len(line_text) > LINE_LIMIT:
            raise DeclarationError(
                "the line is too long",
                location=Location(display, number, LINE_LIMIT + 1),
                why=f"{len(line_text)} characters; at most {LINE_LIMIT} are read",
                hint="spread the value over several lines",
            )
    return text


def find(start: str | os.PathLike[str] = ".", *, name: str = FILE_NAME) -> Path:
    r"""Find the nearest ``sessions.toml``, in ``start`` or above it.

    The search ends at the home directory, at the edge of the file system ``start`` lies on, and at the root, so that a
    stray file far above (or a slow network mount) is not taken for the project's own.

    Args:
        start: A directory, or the file itself.
        name: The file's name.

    Returns:
        The absolute path; symlinks in it are kept.

    Raises:
        DeclarationError: There is none.

    Example:
        >>> import tempfile, pathlib
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "sessions.toml").write_text("[sessions.a]\n")
        >>> (folder / "deep").mkdir()
        >>> find(folder / "deep") == folder / "sessions.toml"
        True
    """
    origin = Path(os.path.abspath(start))  # noqa: PTH100 - resolve() would leave the folder the user stands in
    if not origin.is_dir():
        return _existing(origin)
    home = Path.home()
    device = origin.stat().st_dev
    for folder in (origin, *origin.parents):
        try:
            if folder.stat().st_dev != device:
                break
            if os.path.lexists(folder / name):
                return folder / name
        except OSError:
            break
        if folder == home:
            break
    raise DeclarationError(
        f"there is no {name}",
        location=Location(str(origin)),
        why="neither here nor in a folder above",
        hint="write one with `wakit init`, or name it with `-c PATH`",
    )


def _existing(file: Path) -> Path:
    if os.path.lexists(file):
        return file
    raise DeclarationError(
        "there is no such file", location=Location(str(file)), hint="write one with `wakit init`, or check the path"
    )


def _unreadable(error: Exception, here: Location) -> DeclarationError:
    match error:
        case FileNotFoundError():
            return DeclarationError(
                "there is no such file",
                location=here,
                why="a missing file retires nothing; the last good declaration stays in force",
                hint="write one with `wakit init`, or restore it from version control",
            )
        case PermissionError():
            return DeclarationError(
                "the file cannot be read",
                location=here,
                why="permission denied",
                hint="it must be readable by the user who runs wakit",
            )
        case OSError():
            return DeclarationError(
                "the file cannot be read", location=here, why=(error.strerror or "input/output error").lower()
            )
        case _:  # ValueError: a NUL in the path
            return DeclarationError("this cannot be a file's path", location=Location(here.path.replace("\0", "\\0")))


def _wrong_kind(mode: int, here: Location) -> DeclarationError:
    if stat.S_ISDIR(mode):
        return DeclarationError(
            "this is a directory",
            location=here,
            why="a file is needed",
            hint=f"name the file inside it, for example {here.path}/{FILE_NAME}",
        )
    return DeclarationError(
        "this is not a regular file", location=here, why="it is a device, a socket or a pipe", hint="use a plain file"
    )


def _place_of_byte(data: bytes, index: int, display: str) -> Location:
    line_start = data.rfind(b"\n", 0, index) + 1
    column = len(data[line_start:index].decode("utf-8", "replace")) + 1
    return Location(display, data.count(b"\n", 0, index) + 1, column)
