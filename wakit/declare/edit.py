"""Edits of sessions.toml that a person could have made: the same few lines change, and the file still loads."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from wakit.core.naming import perhaps
from wakit.declare import layout
from wakit.declare.problems import problem
from wakit.declare.rewriting import Edit, Step, carry_out
from wakit.redact import PhoneNumber, Secret

__all__ = ["Edit", "declare", "rename", "retire", "set_enabled"]


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
        >>> from pathlib import Path
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

    def steps(document: Mapping[str, Any]) -> Iterator[Step]:
        if name not in document.get("sessions", {}):
            given = {key: value for key, value in plain.items() if value is not None}
            yield Step(
                partial(layout.add_table, path=("sessions", name), values=given),
                lambda doc: doc.setdefault("sessions", {}).update({name: given}),
            )
            return
        for key, value in plain.items():
            yield _remove(name, key) if value is None else _set(name, key, value)

    return carry_out(path, steps, dry_run=dry_run)


def retire(path: str | os.PathLike[str], name: str, /, *, dry_run: bool = False) -> Edit:
    """Take a session out of the file; what becomes of its credential is the fleet's ``retire`` policy.

    Raises:
        DeclarationErrors: It is not declared, or the file cannot be read or written.
    """

    def steps(document: Mapping[str, Any]) -> Iterator[Step]:
        _require(document, name, path)
        yield Step(partial(_without_session, name=name), lambda doc: doc["sessions"].pop(name))

    return carry_out(path, steps, dry_run=dry_run)


def rename(path: str | os.PathLike[str], old: str, new: str, /, *, dry_run: bool = False) -> Edit:
    """Give a session another name and note the old one as ``renamed_from``, so that its credential moves along.

    Raises:
        DeclarationErrors: ``old`` is not declared, ``new`` is, or the file cannot be read or written.
    """

    def steps(document: Mapping[str, Any]) -> Iterator[Step]:
        _require(document, old, path)
        if new in document["sessions"]:
            raise problem(path, "the new name is already declared", key=f"sessions.{new}", hint="choose another name")

        def rename_in_document(doc: dict[str, Any]) -> None:
            doc["sessions"][new] = doc["sessions"].pop(old)

        yield Step(lambda text: layout.rename_table(text, ("sessions", old), new), rename_in_document)
        yield _set(new, "renamed_from", old)

    return carry_out(path, steps, dry_run=dry_run)


def set_enabled(path: str | os.PathLike[str], name: str, enabled: bool, /, *, dry_run: bool = False) -> Edit:
    """Park a session or take it back into service.

    Raises:
        DeclarationErrors: It is not declared, or the file cannot be read or written.
    """

    def steps(document: Mapping[str, Any]) -> Iterator[Step]:
        _require(document, name, path)
        yield _set(name, "enabled", enabled)

    return carry_out(path, steps, dry_run=dry_run)


def _set(name: str, key: str, value: object) -> Step:
    return Step(
        lambda text: layout.set_value(text, ("sessions", name), key, value),
        lambda doc: doc["sessions"][name].update({key: value}),
    )


def _remove(name: str, key: str) -> Step:
    return Step(
        lambda text: layout.remove_value(text, ("sessions", name), key),
        lambda doc: doc["sessions"][name].pop(key, None),
    )


def _without_session(text: str, name: str) -> str:
    text = layout.remove_table(text, ("sessions", name))
    if "sessions" in tomllib.loads(text):
        return text
    # The last one went: a file without any table is taken for an accident, so the empty table says that it is meant.
    return layout.add_table(text, ("sessions",), {})


def _plain(value: object) -> object:
    return value.reveal() if isinstance(value, Secret | PhoneNumber) else value


def _require(document: Mapping[str, Any], name: str, path: str | os.PathLike[str]) -> None:
    declared = sorted(document.get("sessions", {}))
    if name in declared:
        return
    hint = perhaps(name, declared, listed="look into the file")
    raise problem(path, "no session of that name is declared", key=f"sessions.{name}", hint=hint)
