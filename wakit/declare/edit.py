"""Edits of sessions.toml that a person could have made: the same few lines change, and the file still loads.

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
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError

from wakit.core.declaration import Declaration
from wakit.declare import layout, source
from wakit.declare.loading import Source, parse, read_source
from wakit.declare.positions import find_positions
from wakit.declare.problems import DeclarationErrors, closest
from wakit.declare.syntax import parse_toml
from wakit.durable import sync_folder, write_file
from wakit.errors import DeclarationError, Location
from wakit.redact import PhoneNumber, Secret, scrub

_ATTEMPTS: Final = 5
_LISTED: Final = 12  # names that fit a hint
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
class _Step:
    """One change, said twice: as a change of text and as a change of the document it stands for."""

    of_text: Callable[[str], str]
    of_document: Callable[[dict[str, Any]], None]


def declare(path: str | os.PathLike[str], name: str, /, *, dry_run: bool = False, **keys: object) -> Edit:
    r"""Declare a session, or change keys of a declared one.

    Args:
        path: The file.
        name: The session's name.
        dry_run: Compute and check the edit, but write nothing.
        **keys: Keys of a session as they stand in the file (``phone``, ``pairing``, ``labels``, …); None removes one.

    Returns:
        The edit.

    Raises:
        DeclarationErrors: The file would not load afterwards, or cannot be read or written; it is as it was.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "sessions.toml"
        >>> _ = file.write_text("[sessions.support]  # the desk\n")
        >>> _ = declare(file, "sales", phone="+34600000001", pairing="code")
        >>> print(file.read_text(), end="")
        [sessions.support]  # the desk
        <BLANKLINE>
        [sessions.sales]
        phone = "+34600000001"
        pairing = "code"
    """
    plain = {key: _plain(value) for key, value in keys.items()}

    def steps(document: Mapping[str, Any]) -> Iterator[_Step]:
        if name not in document.get("sessions", {}):
            given = {key: value for key, value in plain.items() if value is not None}
            yield _Step(
                partial(layout.add_table, path=("sessions", name), values=given),
                lambda doc: doc.setdefault("sessions", {}).update({name: given}),
            )
            return
        for key, value in plain.items():
            yield _remove(name, key) if value is None else _set(name, key, value)

    return _edit(path, steps, dry_run=dry_run)


def retire(path: str | os.PathLike[str], name: str, /, *, dry_run: bool = False) -> Edit:
    """Take a session out of the file; what becomes of its credential is the fleet's ``retire`` policy.

    Raises:
        DeclarationErrors: It is not declared, or the file cannot be read or written.
    """

    def steps(document: Mapping[str, Any]) -> Iterator[_Step]:
        _require(document, name, path)
        yield _Step(partial(_without_session, name=name), lambda doc: doc["sessions"].pop(name))

    return _edit(path, steps, dry_run=dry_run)


def rename(path: str | os.PathLike[str], old: str, new: str, /, *, dry_run: bool = False) -> Edit:
    """Give a session another name and note the old one as ``renamed_from``, so that its credential moves along.

    Raises:
        DeclarationErrors: ``old`` is not declared, ``new`` is, or the file cannot be read or written.
    """

    def steps(document: Mapping[str, Any]) -> Iterator[_Step]:
        _require(document, old, path)
        if new in document["sessions"]:
            raise _problem(path, "the new name is already declared", key=f"sessions.{new}", hint="choose another name")

        def rename_in_document(doc: dict[str, Any]) -> None:
            doc["sessions"][new] = doc["sessions"].pop(old)

        yield _Step(lambda text: layout.rename_table(text, ("sessions", old), new), rename_in_document)
        yield _set(new, "renamed_from", old)

    return _edit(path, steps, dry_run=dry_run)


def set_enabled(path: str | os.PathLike[str], name: str, enabled: bool, /, *, dry_run: bool = False) -> Edit:
    """Park a session or take it back into service.

    Raises:
        DeclarationErrors: It is not declared, or the file cannot be read or written.
    """

    def steps(document: Mapping[str, Any]) -> Iterator[_Step]:
        _require(document, name, path)
        yield _set(name, "enabled", enabled)

    return _edit(path, steps, dry_run=dry_run)


def starter(path: str | os.PathLike[str]) -> Path:
    """Write a commented file to begin with.

    Args:
        path: The new file, or the folder it shall stand in.

    Returns:
        The file's absolute path.

    Raises:
        DeclarationErrors: Something stands there already, or the file cannot be written.
    """
    file = Path(path).absolute()
    if file.is_dir():
        file /= source.FILE_NAME
    text = files("wakit.declare").joinpath("starter.toml").read_bytes()
    try:
        with file.open("xb") as new:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
        sync_folder(file.parent)
    except FileExistsError:
        raise _problem(file, "the file is already there", why="it is not overwritten", hint="edit it") from None
    except OSError as error:
        raise _unwritable(file, error) from error
    return file


def _set(name: str, key: str, value: object) -> _Step:
    return _Step(
        lambda text: layout.set_value(text, ("sessions", name), key, value),
        lambda doc: doc["sessions"][name].update({key: value}),
    )


def _remove(name: str, key: str) -> _Step:
    return _Step(
        lambda text: layout.remove_value(text, ("sessions", name), key),
        lambda doc: doc["sessions"][name].pop(key, None),
    )


def _without_session(text: str, name: str) -> str:
    text = layout.remove_table(text, ("sessions", name))
    if "sessions" in tomllib.loads(text):
        return text
    # The last one went: a file without any table is taken for an accident, so the empty table says that it is meant.
    return layout.add_table(text, ("sessions",), {})


def _edit(
    path: str | os.PathLike[str], steps: Callable[[Mapping[str, Any]], Iterator[_Step]], *, dry_run: bool
) -> Edit:
    with _folder_lock(path):
        for _ in range(_ATTEMPTS):
            before = read_source(path)
            edit, data = _computed(before, steps)
            if dry_run or not edit.changed:
                return edit
            if read_source(path).data == before.data:
                _replace(before.path, data)
                return edit
    raise _problem(path, "the file keeps changing", why="another program writes it all the time", hint="try again")


def _computed(before: Source, steps: Callable[[Mapping[str, Any]], Iterator[_Step]]) -> tuple[Edit, bytes]:
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


def _carried_out(step: _Step, text: str, wanted: dict[str, Any], before: Source) -> str:
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
    raise _problem(
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
        raise _unwritable(path, error) from error


@contextmanager
def _folder_lock(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the folder's lock; a lock file beside sessions.toml would only end up in version control."""
    folder = Path(os.path.realpath(path)).parent
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unwritable(Path(path), error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _plain(value: object) -> object:
    return value.reveal() if isinstance(value, Secret | PhoneNumber) else value


def _require(document: Mapping[str, Any], name: str, path: str | os.PathLike[str]) -> None:
    declared = sorted(document.get("sessions", {}))
    if name in declared:
        return
    near = closest(name, declared)
    if near is not None:
        hint = f"did you mean {near}?"
    elif len(declared) <= _LISTED:
        hint = f"declared are {', '.join(declared) or 'none'}"
    else:
        hint = f"{len(declared)} sessions are declared; look into the file"
    raise _problem(path, "no session of that name is declared", key=f"sessions.{name}", hint=hint)


def _problem(
    path: str | os.PathLike[str], what: str, *, key: str = "", why: str = "", hint: str = ""
) -> DeclarationErrors:
    return DeclarationErrors([DeclarationError(what, location=Location(os.fspath(path)), key=key, why=why, hint=hint)])


def _unwritable(path: Path, error: OSError) -> DeclarationErrors:
    why = (error.strerror or "input/output error").lower()
    return _problem(
        path, "the file cannot be written", why=why, hint="check the permissions of the file and its folder"
    )
