"""The library opens a database once: its tables are there, nothing was dialled, and the process is gone."""

from __future__ import annotations

import os
import select
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from wakit.errors import WorkerError
from wakit.worker import tables
from wakit.worker.tables import make_tables


def read(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def test_tables_are_made_where_there_is_nothing(tmp_path: Path) -> None:
    database = tmp_path / "creds.db"
    make_tables(database)
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert read(database, "PRAGMA journal_mode") == [("wal",)]
    assert read(database, "PRAGMA integrity_check") == [("ok",)]
    assert read(database, "SELECT count(*) FROM whatsmeow_device") == [(0,)]
    version = read(database, "SELECT * FROM whatsmeow_version")
    make_tables(database)  # nothing is older than it should be
    assert read(database, "SELECT * FROM whatsmeow_version") == version


def test_it_dials_nothing_but_the_port_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the process lives that port is ours, so nobody else can listen there; one who did would be dialled."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        port = listening.getsockname()[1]
        run = tables._run
        monkeypatch.setattr(tables, "_run", lambda arguments, patience: run([arguments[0], str(port)], patience))
        seen: list[bytes] = []

        def answer() -> None:
            caller, _ = listening.accept()
            seen.append(caller.recv(1000))
            caller.close()

        with in_background(answer), pytest.raises(WorkerError):
            make_tables(tmp_path / "creds.db")
    assert seen[0].startswith(b"CONNECT web.whatsapp.com:443")


class in_background:  # noqa: N801 - read as a word
    def __init__(self, work: Callable[[], None]) -> None:
        import threading  # noqa: PLC0415

        self._thread = threading.Thread(target=work)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()


@pytest.mark.parametrize(
    ("folder", "data", "why"),
    [
        ("plain", b"no database at all", "cannot open the credential"),
        ("h#sh", None, "a path that is relative or contains"),
        ("gone/deeper", None, "cannot open the credential"),
    ],
)
def test_what_cannot_be_opened_is_said(folder: str, data: bytes | None, why: str, tmp_path: Path) -> None:
    path = tmp_path / folder
    if "/" not in folder:
        path.mkdir()
    if data is not None:
        (path / "creds.db").write_bytes(data)
    with pytest.raises(WorkerError) as refused:
        make_tables(path / "creds.db")
    assert why in refused.value.why


def test_only_a_credentials_name_is_given_to_the_library(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"creds\.db"):
        make_tables(tmp_path / "other.db")


def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"longer than 0\.01 s"):
        make_tables(tmp_path / "creds.db", patience=0.01)
    assert not (tmp_path / "creds.db").exists()


def test_a_crash_is_told_by_its_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        tables, "_run", lambda *_: (-signal.SIGABRT, b"fatal error: concurrent map writes\n\ngoroutine 1")
    )
    with pytest.raises(WorkerError, match="changed one of its maps at once"):
        make_tables(tmp_path / "creds.db")


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """Whoever starts it may be killed; then its end of the pipe is closed, and nothing of it goes on."""
    theirs, ours = os.pipe()
    command = [sys.executable, "-c", _WAITING, str(tmp_path)]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE) as process:
        os.close(theirs)
        assert process.stdout
        assert process.stdout.readline() == b"waits\n"
        end = os.pidfd_open(process.pid)
        try:
            os.close(ours)
            assert select.select([end], [], [], 20)[0], "it outlived its parent"
        finally:
            os.close(end)
            process.kill()


_WAITING = """
import sys, threading
from wakit.worker import tables
def wait(*_):
    sys.stdout.write("waits\\n")
    sys.stdout.flush()
    threading.Event().wait()
tables._open = wait
sys.argv[1:] = [sys.argv[1] + "/creds.db", "1"]
tables.main()
"""
