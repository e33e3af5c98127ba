"""What people bring: recognised, or answered with the shortest way on."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.foreign import USER, creds, folder

from wakit.errors import CredentialError
from wakit.vault.migration import Found, migrate, recognise


def browser(path: Path) -> Path:
    (path / "session-sales" / "Default" / "IndexedDB").mkdir(parents=True)
    return path


def file(data: bytes) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path = path / "file"
        path.write_bytes(data)
        return path

    return make


def entry(name: str, data: bytes = b"{}") -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
        return path

    return make


def link(path: Path) -> Path:
    folder(path / "real")
    (path / "link").symlink_to(path / "real")
    return path / "link"


def pipe(path: Path) -> Path:
    os.mkfifo(path / "pipe")
    return path / "pipe"


# What there is, what is said of it, and the way on.
WRONG: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "the folder of whatsapp-web.js": (browser, "browser", "wakit pair"),
    "a profile in it": (lambda path: browser(path) / "session-sales", "browser", "wakit pair"),
    "what is in that": (lambda path: browser(path) / "session-sales" / "Default", "browser", "wakit pair"),
    "where whatsapp-web.js runs": (entry(".wwebjs_auth/session/x"), "browser", "wakit pair"),
    "Chromium's folder": (entry("Local State"), "browser", "wakit pair"),
    "a PostgreSQL address": (lambda _: Path("postgres://u:hunter2@h/db"), "PostgreSQL", "in a file"),
    "another one": (lambda _: Path("postgresql://u:hunter2@h/db"), "PostgreSQL", "in a file"),
    "a single-file state": (file(json.dumps({"creds": creds(), "keys": {}}).encode()), "single-file", "in a folder"),
    "creds.json itself": (lambda path: folder(path) / "creds.json", "out of a Baileys folder", "name the folder"),
    "a folder without creds.json": (entry("pre-key-1.json"), "without its creds.json", "put creds.json back"),
    "a folder of folders": (entry(f"{USER}/creds.json"), "folder of Baileys folders", "name one of them"),
    "a folder with a store": (entry("store.db"), "with a database", "name the database"),
    "an empty folder": (lambda path: path, "an empty folder", "check the path"),
    "some folder": (entry("notes.txt"), "no credential wakit knows", "creds.json"),
    "nothing": (lambda path: path / "nothing", "nothing at that path", "check the path"),
    "no path": (lambda _: Path("a\0b"), "no path", "check the path"),
    "a link": (link, "symbolic link", "what it points to"),
    "a pipe": (pipe, "neither a file nor a folder", "creds.json"),
    "an empty file": (file(b""), "zero bytes", "from a copy"),
    "a bundle": (file(b"age-encryption.org/v1\n-> X25519"), "encrypted", "without --from"),
    "an archive": (file(b"PK\x03\x04rest"), "an archive", "unpack it"),
    "an old session": (file(b'{"WABrowserId": "x"}'), "before linked devices", "wakit pair"),
    "some JSON": (file(b'{"a": 1}'), "JSON file", "creds.json"),
    "broken JSON": (file(b'{"a": '), "JSON file", "creds.json"),
    "some file": (file(b"\x7fELF"), "of a kind wakit does not know", "creds.json"),
}


@pytest.mark.parametrize(("make", "what", "way"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_carried_gets_the_shortest_way_on(
    make: Callable[[Path], Path], what: str, way: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    source = make(tmp_path / "in")
    with pytest.raises(CredentialError) as refused:
        migrate(source, tmp_path / "creds.db", blank=fails)
    assert what in refused.value.why
    assert way in refused.value.hint
    said = f"{refused.value} {refused.value.hint}"
    assert "hunter2" not in said
    assert USER not in said
    assert not (tmp_path / "creds.db").exists()


def fails(_: Path) -> None:
    raise AssertionError("the library was needed for what cannot be carried")


def test_what_can_be_carried_is_recognised(tmp_path: Path) -> None:
    assert recognise(folder(tmp_path / USER)).kind == "baileys"
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection, connection:
        connection.execute("CREATE TABLE t (a)")
    assert recognise(tmp_path / "x.db").kind == "whatsmeow"


def test_a_number_in_a_path_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / USER).mkdir()
    with pytest.raises(CredentialError) as refused:
        migrate(tmp_path / USER, tmp_path / "creds.db", blank=fails)
    assert USER not in str(refused.value)


def test_who_names_the_wrong_tool_is_told_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="no whatsmeow credential: it is a Baileys folder") as refused:
        migrate(folder(tmp_path / "auth"), tmp_path / "creds.db", kind="whatsmeow", blank=fails)
    assert refused.value.hint == "say --from baileys"


def test_a_folder_that_may_not_be_read_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: Any, **__: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", deny)
    found = recognise(tmp_path)
    monkeypatch.undo()
    assert found == Found(None, "it cannot be read: Permission denied", "check the path and its permissions")


@given(data=st.binary(max_size=200), name=st.sampled_from(["creds.json", "x.db", "y"]))
def test_there_is_an_answer_to_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(data)
    assert recognise(path).what
    assert recognise(path.parent).what
