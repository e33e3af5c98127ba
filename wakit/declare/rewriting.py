"""How any edit of sessions.toml is carried out, so that it does what it says and nothing else.

Each edit is computed on a copy and then held against its intent: parsed again, the text must mean exactly the old
document with that one change, and it must load. Only then is it written, by a temporary file beside it, fsync, rename,
fsync of the folder, so that a crash leaves the old file or the new one. Edits of two processes are serialised by a lock
on the folder; a save by an editor in between is noticed, and the edit is computed anew.
"""

from __future__ import annotations

import difflib
import fcntl
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import tomlkit
from tomlkit.exceptions import TOMLKitError

from wakit.core.declaration import Declaration
from wakit.declare import source
from wakit.declare.loading import Source, parse, read_source
from wakit.declare.positions import find_positions
from wakit.declare.problems import DeclarationErrors, problem, unwritable
from wakit.declare.syntax import parse_toml
from wakit.durable import write_file
from wakit.errors import DeclarationError
from wakit.redact import scrub

_ATTEMPTS: Final = 5
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Edit:
    """What an edit did, or would do.

    Attributes:
        declaration: What the file declares afterwards.
        diff: Unified diff with numbers and passwords masked; empty if nothing changes.
        changed: The bytes change; a masked diff may not show how.
    """

    declaration: Declaration
    diff: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One change, said twice: as a change of text and as a change of the document it stands for."""

    of_text: Callable[[str], str]
    of_document: Callable[[dict[str, Any]], None]


Steps: TypeAlias = Callable[[Mapping[str, Any]], Iterator[Step]]
"""What an edit comes to, given the document as it is."""


def carry_out(path: str | os.PathLike[str], steps: Steps, *, dry_run: bool) -> Edit:
    """Carry out an edit, or only compute and check it.

    Raises:
        DeclarationErrors: It cannot be done, or the file would not load afterwards; the file is as it was.
    """
    with _folder_lock(path):
        for _ in range(_ATTEMPTS):
            before = read_source(path)
            edit, data = _computed(before, steps)
            if dry_run or not edit.changed:
                return edit
            if read_source(path).data == before.data:
                _replace(before.path, data)
                return edit
    raise problem(path, "the file keeps changing", why="another program writes it all the time", hint="try again")


def _computed(before: Source, steps: Steps) -> tuple[Edit, bytes]:
    try:
        text = source.decode(before.data, before.display)
        document = parse_toml(text, find_positions(text), before.display)
    except DeclarationError as error:
        raise DeclarationErrors([error]) from error
    wanted = deepcopy(document)
    changed = text
    for step in steps(document):
        step.of_document(wanted)
        changed = _carried_out(step, changed, wanted, before)
    data = (_BOM if before.data.startswith(_BOM) else b"") + changed.encode()
    after = Source(before.path, before.display, data, before.dotenv)
    declaration = parse(after, environ=os.environ)
    return Edit(declaration, _masked_diff(before, declaration), data != before.data), data


def _carried_out(step: Step, text: str, wanted: dict[str, Any], before: Source) -> str:
    """Carry out a step in the text; where its layout is an unusual one (inline tables), through tomlkit's document."""
    with suppress(LookupError):
        changed = step.of_text(text)
        if _means(changed, wanted):
            return changed
    with suppress(TOMLKitError, LookupError, TypeError, ValueError, AttributeError):
        document = tomlkit.parse(text)
        step.of_document(document)
        changed = document.as_string()
        if _means(changed, wanted):
            return changed
    raise problem(
        before.display,
        "this file's layout cannot be edited without touching more than was asked for",
        hint="edit it by hand, or write each session as [sessions.NAME]",
    )


def _means(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == wanted
    except (tomllib.TOMLDecodeError, RecursionError):
        return False


def _masked_diff(before: Source, after: Declaration) -> str:
    try:
        old = parse(before, environ=os.environ).masked_text
    except DeclarationErrors:  # it is mended by this edit
        old = scrub(before.data.decode("utf-8", "replace"))
    lines = difflib.unified_diff(
        old.splitlines(keepends=True),
        after.masked_text.splitlines(keepends=True),
        fromfile=f"a/{before.path.name}",
        tofile=f"b/{before.path.name}",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _replace(path: Path, data: bytes) -> None:
    target = path.resolve()  # a symlink stays one; what it points to is replaced
    try:
        write_file(target, data, like=target.stat())
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def _folder_lock(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the folder's lock; a lock file beside sessions.toml would only end up in version control."""
    folder = Path(os.path.realpath(path)).parent
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise unwritable(Path(path), error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
