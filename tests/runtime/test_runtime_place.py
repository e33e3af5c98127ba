"""Where a fleet is, also when its file is broken, and what can be said of it without a daemon."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wakit.control.address import LONGEST_PATH, DaemonRecord, process_started, write_record
from wakit.errors import DeclarationError
from wakit.redact import account_hash
from wakit.runtime import locate, plan_offline
from wakit.runtime.place import state_dir_of
from wakit.vault import Vault
from wakit.vault.layout import open_layout
from wakit.vault.record import Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in [key for key in os.environ if key.startswith("WAKIT_")]:
        monkeypatch.delenv(key)


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))  # short: a socket's path may have 107 bytes
    yield made
    shutil.rmtree(made)


def write(folder: Path, text: str) -> Path:
    path = folder / "sessions.toml"
    path.write_text(text)
    return path


def serve(state_dir: Path, *, pid: int | None = None, sim: bool = False) -> None:
    state_dir.mkdir(mode=0o700, exist_ok=True)
    alive = os.getpid()
    write_record(
        state_dir,
        DaemonRecord(
            pid=pid or alive, process_started=process_started(alive), run_id="r", started_at=NOW, version="0", sim=sim,
            socket=str(state_dir / "control.sock"),
        ),
    )  # fmt: skip


def test_a_fleet_is_where_its_file_says(folder: Path) -> None:
    config = write(folder, '[wakit]\nstate_dir = "state"\n[sessions.a]\n')
    place = locate(config)
    assert (place.config, place.state_dir, place.sim, place.daemon) == (config, folder / "state", False, None)
    assert place.socket == folder / "state" / "control.sock"
    assert not (folder / "state").exists(), "to look is not to make"


def test_the_nearest_file_upwards_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(folder, "[sessions.a]\n")
    (folder / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(folder / "deep" / "er")
    assert locate().config == config
    monkeypatch.chdir("/")
    with pytest.raises(DeclarationError):
        locate()


def test_a_rehearsal_has_a_state_directory_of_its_own(folder: Path) -> None:
    config = write(folder, "[sessions.a]\n")
    assert locate(config, sim=True).state_dir == folder / ".wakit-sim"
    assert locate(config, sim=False).state_dir == folder / ".wakit"


def test_whichever_daemon_runs_is_meant(folder: Path) -> None:
    config = write(folder, "[sessions.a]\n")
    serve(folder / ".wakit-sim", sim=True)
    assert locate(config).sim
    assert locate(config).daemon is not None
    assert locate(config, sim=False).daemon is None
    serve(folder / ".wakit")
    assert not locate(config).sim, "the real one goes first"
    shutil.rmtree(folder / ".wakit")
    serve(folder / ".wakit", pid=2**22 - 7)
    assert locate(config).sim, "a record that a dead daemon left counts for nothing"


def test_a_state_directory_that_is_too_deep_for_a_socket_gets_a_short_one(folder: Path) -> None:
    deep = "/".join(["d" * 40] * 4)
    place = locate(write(folder, f'[wakit]\nstate_dir = "{deep}"\n[sessions.a]\n'))
    assert len(str(place.state_dir / "control.sock")) > LONGEST_PATH
    assert len(os.fsencode(place.socket)) <= LONGEST_PATH
    assert place.socket != place.state_dir / "control.sock"


BROKEN = [
    '[wakit]\nstate_dir = "elsewhere"\n[sessions.a\n',
    '[wakit]\nstate_dir = "elsewhere"\nretire = "burn"\n',
    '[wakit]\nstate_dir = "elsewhere"\n[sessions.a]\nenabld = true\n[sessions.b]\nphone = "',
    '[wakit]\nstate_dir = "elsewhere"\n[sessions."../up"]\n',
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_still_says_where_its_fleet_is(folder: Path, text: str) -> None:
    assert locate(write(folder, text)).state_dir == folder / "elsewhere"


@pytest.mark.parametrize(
    "text", ["", "[wakit\n", "\x00", "[wakit]\nstate_dir = 7\n", "wakit = 3\n", '[wakit]\nstate_dir=""\n']
)
def test_a_file_that_says_nothing_means_the_usual_place(folder: Path, text: str) -> None:
    assert state_dir_of(write(folder, text)) == folder / ".wakit"


def test_a_file_that_is_no_text_or_no_file_means_the_usual_place(folder: Path) -> None:
    (folder / "sessions.toml").write_bytes(b"\xff\xfe[wakit]\n")
    assert state_dir_of(folder / "sessions.toml") == folder / ".wakit"
    (folder / "dir").mkdir()
    assert state_dir_of(folder / "dir") == folder / ".wakit"


def test_the_environment_goes_before_a_broken_file_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(folder, BROKEN[0])
    (folder / ".env").write_text("WAKIT_STATE_DIR=dotted\n")
    assert state_dir_of(config) == folder / "dotted"
    monkeypatch.setenv("WAKIT_STATE_DIR", "~/mine")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert state_dir_of(config) == Path("/home/somebody/mine")


# -- without a daemon ------------------------------------------------------------------------------------------------


def snapshot(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


def test_a_plan_without_a_daemon_for_a_fleet_that_never_ran(folder: Path) -> None:
    config = write(folder, "[sessions.new]\n[sessions.off]\nenabled = false\n")
    before = snapshot(folder)
    decided = plan_offline(locate(config))
    assert [(action.action, action.session) for action in decided.actions] == [("park", "off"), ("create", "new")]
    assert decided.declaration.path == str(config)
    assert snapshot(folder) == before, "it makes nothing, not even the state directory"


def test_a_plan_without_a_daemon_is_what_one_would_begin_with_and_changes_nothing(folder: Path) -> None:
    layout = open_layout(folder / ".wakit")
    vault = Vault(layout, "shared", lambda: NOW)
    for name in ("kept", "gone", "archived", "unlinked", "fought"):
        ticket = vault.prepare_pairing(name)
        with closing(sqlite3.connect(ticket.directory / "creds.db")) as connection, connection:
            connection.execute("CREATE TABLE whatsmeow_device (jid TEXT)")
            connection.execute("INSERT INTO whatsmeow_device VALUES ('34600000001:1@s.whatsapp.net')")
        vault.mark_paired(name, account_hash(f"number of {name}", vault.key))
    vault.retire("archived", keep=False)
    vault.mark_unlinked("unlinked", Verdict("logged_out", "unlinked", NOW))
    vault.update("fought", verdict=Verdict("conflict", "another client logged in", NOW))
    config = write(
        folder, "[sessions.kept]\n[sessions.archived]\n[sessions.unlinked]\n[sessions.fought]\n[sessions.new]\n"
    )
    before = snapshot(folder)
    decided = plan_offline(locate(config))
    assert [(action.action, action.session) for action in decided.actions] == [
        ("retire", "gone"), ("revive", "archived"), ("restore", "kept"), ("create", "new")
    ]  # fmt: skip
    assert decided.waiting == {"unlinked": "waits for a person", "fought": "waits for a person"}
    assert snapshot(folder) == before


def test_a_plan_without_a_daemon_of_a_broken_file_is_refused(folder: Path) -> None:
    with pytest.raises(DeclarationError):
        plan_offline(locate(write(folder, BROKEN[0])))
