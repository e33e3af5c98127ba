# ruff: noqa: ASYNC240 - a test may touch a file in a coroutine
from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fake_fleet import FakeFleet, session
from hypothesis import given
from hypothesis import strategies as st

from wakit.control.address import (
    LONGEST_PATH,
    DaemonRecord,
    prepare_socket_folder,
    process_started,
    read_record,
    remove_record,
    socket_address,
    write_record,
)
from wakit.control.client import Client, SyncClient
from wakit.control.finding import find_socket
from wakit.control.schemas import PairingShown, PairRequest
from wakit.control.server import create_app, serve_unix
from wakit.control.server.unix import peer_uid
from wakit.errors import HeldError, NoDaemonError, StateDirectoryError


def record(**more: object) -> DaemonRecord:
    values: dict[str, object] = {
        "pid": os.getpid(),
        "process_started": process_started(os.getpid()),
        "run_id": "run-1",
        "started_at": datetime(2026, 1, 2, tzinfo=UTC),
        "version": "0.1.0",
        "sim": False,
        "socket": "/tmp/x.sock",
    }
    return DaemonRecord(**(values | more))  # type: ignore[arg-type]


@given(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=120))
def test_an_address_always_fits_and_says_when_it_is_not_the_usual_one(part: str) -> None:
    state_dir = Path("/srv") / part / ".wakit"
    chosen = socket_address(state_dir, environ={})
    assert len(os.fsencode(chosen.path)) <= LONGEST_PATH
    assert (chosen.path == state_dir / "control.sock") == (chosen.note == "")
    assert socket_address(state_dir, environ={}) == chosen


def test_fallbacks_in_their_order(folder: Path) -> None:
    deep = Path("/srv") / ("d" * 120)
    runtime = folder / "run"
    runtime.mkdir()
    by_runtime = socket_address(deep, environ={"XDG_RUNTIME_DIR": str(runtime)})
    assert by_runtime.path.parent == runtime / "wakit"
    assert "a Unix socket's path may have 107" in by_runtime.note
    by_temp = socket_address(deep, environ={}, temp_dir=folder)
    assert by_temp.path.parent == folder / f"wakit-{os.geteuid()}"
    assert socket_address(deep, environ={}, temp_dir=deep).path.parent == Path(f"/tmp/wakit-{os.geteuid()}")
    for useless in ("relative", "/nonexistent/run", str(deep)):
        assert socket_address(deep, environ={"XDG_RUNTIME_DIR": useless}, temp_dir=folder) == by_temp
    link = folder / "link"
    link.symlink_to(runtime)
    assert socket_address(deep, environ={"XDG_RUNTIME_DIR": str(link)}, temp_dir=folder) == by_temp
    assert socket_address(deep / "x", environ={}, temp_dir=folder) != by_temp


async def test_a_deep_state_directory_is_served_from_the_fallback_and_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    deep = folder / ("d" * 100)
    deep.mkdir(mode=0o700)
    chosen = socket_address(deep)
    async with serve_unix(create_app(FakeFleet(session("sales"))), chosen.path):
        write_record(deep, record(socket=str(chosen.path)))
        monkeypatch.delenv("XDG_RUNTIME_DIR")  # the client's environment is another one
        assert (await Client(deep).status()).sessions[0].name == "sales"
        assert stat.S_IMODE(chosen.path.parent.stat().st_mode) == 0o700


def test_a_folder_that_is_not_ours_is_refused(folder: Path) -> None:
    open_to_all = folder / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    prepare_socket_folder(open_to_all)
    assert stat.S_IMODE(open_to_all.stat().st_mode) == 0o700
    link = folder / "link"
    link.symlink_to(open_to_all)
    file = folder / "file"
    file.touch()
    for wrong, why in ((link, "symlink"), (file, "cannot be made"), (file / "x", "cannot be made")):
        with pytest.raises(StateDirectoryError, match=why) as caught:
            prepare_socket_folder(wrong)
        assert caught.value.hint


def test_another_user_s_folder_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: theirs)
    with pytest.raises(StateDirectoryError, match="it belongs to user"):
        prepare_socket_folder(folder)
    with pytest.raises(StateDirectoryError, match="it belongs to user"):
        find_socket(folder)


def test_the_record_comes_back_and_is_private(folder: Path) -> None:
    written = record()
    write_record(folder, written)
    write_record(folder, written)
    assert read_record(folder) == written
    assert written.alive
    assert stat.S_IMODE((folder / "daemon.json").stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["daemon.json"]
    remove_record(folder, "another-run")
    assert read_record(folder) == written
    remove_record(folder, "run-1")
    assert read_record(folder) is None
    remove_record(folder, "run-1")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": 1}', "\xff", '{"pid": "x"}'])
def test_a_damaged_record_is_none(folder: Path, text: str) -> None:
    (folder / "daemon.json").write_text(text, encoding="latin-1")
    assert read_record(folder) is None


def test_a_process_is_the_same_one_only_with_its_start() -> None:
    ours = record()
    assert ours.alive
    assert not record(process_started="another-boot:1").alive
    assert not record(process_started="").alive
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    theirs = record(pid=child.pid, process_started=process_started(child.pid))
    assert theirs.alive
    assert theirs.process_started != ours.process_started
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie now: ended, and not yet reaped
    assert not theirs.alive
    child.communicate()
    assert not theirs.alive
    assert process_started(child.pid) == ""


def test_a_name_with_spaces_and_brackets_does_not_confuse_the_start() -> None:
    script = "import ctypes; ctypes.CDLL(None).prctl(15, b') R 1 (x', 0, 0, 0); print(); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        before = process_started(child.pid)
        assert child.stdout is not None
        child.stdout.readline()
        assert process_started(child.pid) == before != ""
        child.kill()


def test_no_daemon_says_what_is_known(folder: Path) -> None:
    write_record(folder, record(socket=str(folder / "control.sock"), process_started="gone:1"))
    with pytest.raises(NoDaemonError, match=rf"pid {os.getpid()}\) ended without a goodbye"):
        SyncClient(folder).status()
    write_record(folder, record(socket=str(folder / "control.sock")))
    with pytest.raises(NoDaemonError, match=r"started at 2026-01-02 00:00:00 UTC but does not listen"):
        SyncClient(folder).status()


async def test_the_socket_is_private_from_its_first_moment_and_removed(folder: Path) -> None:
    path = folder / "run" / "control.sock"
    async with serve_unix(create_app(FakeFleet()), path):
        found = path.stat()
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


async def test_a_dead_daemon_s_socket_is_replaced_and_a_living_one_s_is_not(folder: Path) -> None:
    path = folder / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serve_unix(create_app(FakeFleet(session("a"))), path):
        with pytest.raises(HeldError, match="a process answers on"):
            async with serve_unix(create_app(FakeFleet(session("b"))), path):
                raise AssertionError
        assert (await Client(folder).status()).sessions[0].name == "a"


async def test_something_else_in_the_socket_s_place_is_never_removed(folder: Path) -> None:
    path = folder / "control.sock"
    path.write_text("precious")
    with pytest.raises(StateDirectoryError, match="no socket is in its place"):
        async with serve_unix(create_app(FakeFleet()), path):
            raise AssertionError
    assert path.read_text() == "precious"


async def test_another_daemon_s_socket_is_not_removed_at_the_end(folder: Path) -> None:
    path = folder / "control.sock"
    async with serve_unix(create_app(FakeFleet()), path):
        path.unlink()
        path.write_text("somebody else's")
    assert path.exists()


async def test_the_error_of_the_daemon_s_own_block_comes_through(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with serve_unix(create_app(FakeFleet()), folder / "control.sock"):
            raise ZeroDivisionError
    assert list(folder.iterdir()) == []


async def test_a_connection_accepted_in_the_turn_of_the_end_is_closed(folder: Path) -> None:
    with warnings.catch_warnings(record=True) as caught, socket.socket(socket.AF_UNIX) as late:
        warnings.simplefilter("always")
        async with serve_unix(create_app(FakeFleet()), folder / "control.sock"):
            late.connect(str(folder / "control.sock"))
            await asyncio.sleep(0)  # the accepting comes right after this task's own turn
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_the_peer_is_known(folder: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_uid(ours) == os.geteuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_somebody_else_is_not_served_even_if_the_file_lets_them_in(folder: Path) -> None:
    path = folder / "control.sock"
    script = (
        "import socket, sys, os; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(b'GET /healthz HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')\n"
        "try: print(len(s.recv(999)))\nexcept ConnectionError: print(0)"
    )
    async with serve_unix(create_app(FakeFleet()), path):
        folder.chmod(0o755)
        path.chmod(0o666)
        asked = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        out, _ = await asyncio.wait_for(asked.communicate(), 20)
    assert out == b"0\n" or b"BrokenPipe" in out
    folder.chmod(0o700)


def test_the_client_does_not_load_the_server() -> None:
    script = "import sys, json, wakit.control.client; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True).stdout)
    heavy = {"fastapi", "uvicorn", "starlette", "pyarrow", "websockets", "segno", "duckdb", "neonize", "rich", "typer"}
    assert not heavy & set(loaded)


def test_schemas_keep_numbers_out_of_sight() -> None:
    shown = PairingShown(session="a", event="qr", payload="https://secret", expires_at="2026-01-01T00:00:00Z")
    assert "secret" not in repr(shown)
    assert "600" not in repr(PairRequest(phone="+34600000001"))


def test_a_copied_state_directory_is_not_served_by_the_original_daemon(tmp_path: Path) -> None:
    """Otherwise `wakit down` in the copy would end the daemon of the original."""
    original, copy = tmp_path / "a", tmp_path / "b"
    original.mkdir()
    write_record(original, record(socket=str(original / "control.sock")))
    shutil.copytree(original, copy)
    assert read_record(copy) is None
    moved = original.rename(tmp_path / "c")
    assert read_record(moved) is not None, "a folder that was only moved is still the same"
