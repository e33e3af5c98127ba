"""One device out of a whatsmeow store: chosen, distilled, brought up to date; and every store that cannot be."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from credentials import run_sql
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.foreign import USER, add_device, device_keys, insert, rows

from wakit.errors import CredentialError
from wakit.redact import PhoneNumber
from wakit.vault.migration import Migrated, migrate
from wakit.vault.migration import store as reading
from wakit.vault.migration.belongings import LID_MAP, VERSIONS

OTHER = "34600000002"
Blank = Callable[[Path], None]


def move(source: Path, tmp_path: Path, blank: Blank, account: str | None = None) -> tuple[Migrated, Path]:
    target = tmp_path / "out" / "creds.db"
    target.parent.mkdir(mode=0o700)
    number = PhoneNumber(f"+{account}") if account else None
    return migrate(source, target, kind="whatsmeow", account=number, blank=blank), target


def refuse(source: Path, tmp_path: Path, blank: Blank, account: str | None = None) -> CredentialError:
    with pytest.raises(CredentialError) as refused:
        move(source, tmp_path, blank, account)
    said = f"{refused.value} {refused.value.hint}"
    assert USER not in said
    assert OTHER not in said
    assert list((tmp_path / "out").iterdir()) == []
    return refused.value


def belongings_of(store: Path, user: str) -> dict[str, Any]:
    """Give a device a row in every kind of table; return what they are."""
    jid = add_device(store, user)
    friend = f"9{user}"
    insert(store, "whatsmeow_sessions", our_jid=jid, their_id=f"{friend}_1:0", session=b"{}")
    insert(store, "whatsmeow_identity_keys", our_jid=jid, their_id=f"{friend}_1:0", identity=bytes(32))
    insert(store, "whatsmeow_sender_keys", our_jid=jid, chat_id="1@g.us", sender_id=f"8{user}:0", sender_key=b"{}")
    insert(store, "whatsmeow_app_state_version", jid=jid, name="regular", version=1, hash=bytes(128))
    insert(
        store, "whatsmeow_app_state_mutation_macs",
        jid=jid, name="regular", version=1, index_mac=bytes(32), value_mac=bytes(32),
    )  # fmt: skip
    insert(store, "whatsmeow_privacy_tokens", our_jid=jid, their_jid=f"{friend}@lid", token=b"t", timestamp=1)
    insert(store, LID_MAP, lid=friend, pn=f"7{user}")
    insert(store, LID_MAP, lid=f"6{user}", pn=f"8{user}")
    return {"jid": jid, "friend": friend}


def test_only_the_chosen_devices_rows_come_along(store: Path, tmp_path: Path, blank: Blank) -> None:
    mine, theirs = belongings_of(store, USER), belongings_of(store, OTHER)
    insert(store, LID_MAP, lid="55555", pn="44444")  # nobody here knows them
    before = store.read_bytes()
    migrated, target = move(store, tmp_path, blank, OTHER)
    assert migrated.account.reveal() == OTHER
    assert dict(migrated.carried) == {
        "device": 1,
        "pre keys": 1,
        "sessions": 1,
        "identity keys": 1,
        "sender keys": 1,
        "app state version": 1,
        "app state mutation macs": 1,
        "privacy tokens": 1,
        "lid map": 2,
    }
    assert migrated.left == ()
    assert rows(target, "whatsmeow_device") == [
        row for row in rows(store, "whatsmeow_device") if row[0] == theirs["jid"]
    ]
    assert mine["friend"].encode() not in target.read_bytes(), "somebody else's correspondent came along"
    assert store.read_bytes() == before, "the other tool's store was changed"
    assert not list(tmp_path.glob("store.db-*"))


def test_a_store_with_one_device_needs_no_choice(store: Path, tmp_path: Path, blank: Blank) -> None:
    add_device(store, USER)
    migrated, _ = move(store, tmp_path, blank)
    assert migrated.account.reveal() == USER


def test_several_devices_are_listed_by_their_ends(store: Path, tmp_path: Path, blank: Blank) -> None:
    add_device(store, USER, 3)
    add_device(store, OTHER, 4)
    refused = refuse(store, tmp_path, blank)
    assert refused.why == "it holds +34•••01 (device 3), +34•••02 (device 4)"
    assert refused.hint == "say which: --account NUMBER"


def test_an_account_that_is_not_there_is_said_so(store: Path, tmp_path: Path, blank: Blank) -> None:
    add_device(store, USER, 3)
    refused = refuse(store, tmp_path, blank, OTHER)
    assert (refused.what, refused.why) == ("The store holds no device of that account", "it holds +34•••01 (device 3)")


def test_two_devices_of_one_account_are_not_guessed_between(store: Path, tmp_path: Path, blank: Blank) -> None:
    add_device(store, USER, 3)
    add_device(store, USER, 4)
    assert "one account" in refuse(store, tmp_path, blank, USER).what


@pytest.mark.parametrize("jid", [None, "", "x", "12:3@msgr", "12:3@lid"])
def test_a_store_without_a_linked_device_is_said_so(store: Path, tmp_path: Path, blank: Blank, jid: str | None) -> None:
    if jid is not None:
        insert(store, "whatsmeow_device", jid=jid, **device_keys())
    assert refuse(store, tmp_path, blank).what == "The store holds no linked device"


def test_another_tools_tables_triggers_and_views_stay(store: Path, tmp_path: Path, blank: Blank) -> None:
    add_device(store, USER)
    run_sql(store, "CREATE TABLE users (name TEXT, token TEXT)")
    run_sql(store, "INSERT INTO users VALUES ('me', 'hunter2')")
    run_sql(store, "CREATE TRIGGER t AFTER INSERT ON whatsmeow_device BEGIN DELETE FROM whatsmeow_device; END")
    run_sql(store, "CREATE VIEW whatsmeow_view AS SELECT * FROM users")
    run_sql(store, "CREATE TABLE whatsmeow_notes (our_jid TEXT, note TEXT)")
    run_sql(store, f"INSERT INTO whatsmeow_notes VALUES ('{USER}:7@s.whatsapp.net', 'x')")
    migrated, target = move(store, tmp_path, blank)
    assert dict(migrated.carried) == {"device": 1, "pre keys": 1}
    assert migrated.left == ("2 columns of a newer release stay behind; this release makes do without.",)
    assert b"hunter2" not in target.read_bytes()
    assert {"users", "t", "whatsmeow_view", "whatsmeow_notes"}.isdisjoint(
        name for (name,) in rows(target, "sqlite_master", "name")
    )


def test_a_virtual_table_is_not_read(store: Path, tmp_path: Path, blank: Blank) -> None:
    add_device(store, USER)
    run_sql(store, "CREATE VIRTUAL TABLE whatsmeow_words USING fts5(our_jid, words)")
    migrated, _ = move(store, tmp_path, blank)
    assert "words" not in migrated.carried


def test_what_was_only_written_ahead_is_seen(store: Path, tmp_path: Path, blank: Blank) -> None:
    with closing(sqlite3.connect(store)) as tool:  # its process was killed: nothing was checkpointed
        tool.execute("PRAGMA wal_autocheckpoint=0")
        jid = f"{USER}:7@s.whatsapp.net"
        names = {"jid": jid, **device_keys()}
        with tool:
            tool.execute(
                f"INSERT INTO whatsmeow_device ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
                tuple(names.values()),
            )
        (tmp_path / "killed").mkdir()
        for part in ("", "-wal"):
            shutil.copy(f"{store}{part}", tmp_path / "killed")
    migrated, _ = move(tmp_path / "killed" / "store.db", tmp_path, blank)
    assert migrated.account.reveal() == USER


def test_a_transaction_that_was_cut_off_is_rolled_back(store: Path, tmp_path: Path, blank: Blank) -> None:
    add_device(store, USER)
    run_sql(store, "PRAGMA journal_mode=DELETE")
    with closing(sqlite3.connect(store, isolation_level=None)) as tool:
        tool.execute("PRAGMA cache_size=1")
        tool.execute("BEGIN")
        tool.execute("DELETE FROM whatsmeow_device")
        tool.executemany("INSERT INTO whatsmeow_lid_map VALUES (?, ?)", ((f"1{i}", f"2{i}") for i in range(5000)))
        (tmp_path / "killed").mkdir()
        for part in ("", "-journal"):
            shutil.copy(f"{store}{part}", tmp_path / "killed")
    migrated, _ = move(tmp_path / "killed" / "store.db", tmp_path, blank)
    assert migrated.carried["device"] == 1


def test_a_store_that_is_written_to_is_refused(
    store: Path, tmp_path: Path, blank: Blank, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_device(store, USER)
    copy = reading._copy_file

    def while_a_tool_writes(source: Path, part: str, target: Path) -> None:
        copy(source, part, target)
        os.utime(store)

    monkeypatch.setattr(reading, "_copy_file", while_a_tool_writes)
    assert refuse(store, tmp_path, blank).why == "a program is writing to it"


def test_a_link_beside_a_store_is_refused(store: Path, tmp_path: Path, blank: Blank) -> None:
    add_device(store, USER)
    (tmp_path / "store.db-wal").unlink(missing_ok=True)
    (tmp_path / "store.db-wal").symlink_to(tmp_path / "elsewhere")
    assert "a link" in refuse(store, tmp_path, blank).why


def test_a_store_beyond_all_bounds_is_refused(
    store: Path, tmp_path: Path, blank: Blank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MOST", 100)
    assert "larger" in refuse(store, tmp_path, blank).why


def test_a_database_of_something_else_is_said_so(tmp_path: Path, blank: Blank) -> None:
    source = tmp_path / "users.db"
    run_sql(source, "CREATE TABLE users (name TEXT)")
    refused = refuse(source, tmp_path, blank)
    assert refused.why == "it has 1 table, but none of devices"
    assert "whatsmeow_device" in refused.hint


def test_keys_of_two_devices_are_noticed(store: Path, tmp_path: Path, blank: Blank) -> None:
    add_device(store, USER, keys={**device_keys(), "signed_pre_key_sig": device_keys()["signed_pre_key_sig"]})
    assert "do not belong together" in refuse(store, tmp_path, blank).why


def test_values_that_the_library_could_not_have_written_are_refused(store: Path, tmp_path: Path, blank: Blank) -> None:
    """A store whose tables allow what the library's do not."""
    add_device(store, USER)
    run_sql(store, "DROP TABLE whatsmeow_pre_keys")
    run_sql(store, "CREATE TABLE whatsmeow_pre_keys (jid, key_id, key, uploaded)")
    insert(store, "whatsmeow_pre_keys", jid=f"{USER}:7@s.whatsapp.net", key_id=1, key=b"short", uploaded=1)
    assert "among its pre keys" in refuse(store, tmp_path, blank).why


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE whatsmeow_x (our_jid, a AS (jid || 'x'))",
        "CREATE TABLE whatsmeow_x (our_jid TEXT CHECK (load_extension('x')))",
        'CREATE TABLE whatsmeow_x (our_jid, "a; DROP TABLE b" TEXT)',
        "CREATE TABLE whatsmeow_x (our_jid TEXT DEFAULT (randomblob(1)))",
    ],
)
def test_tables_with_tricks_lead_to_an_error_or_are_left(
    store: Path, tmp_path: Path, blank: Blank, statement: str
) -> None:
    add_device(store, USER)
    run_sql(store, statement.replace("(jid", "(our_jid"))
    try:
        migrated, _ = move(store, tmp_path, blank)
    except CredentialError:
        assert list((tmp_path / "out").iterdir()) == []
    else:
        assert set(migrated.carried) == {"device", "pre keys"}


# --- versions


def with_version(store: Path, number: int, compatible: int | None) -> None:
    run_sql(store, f"UPDATE {VERSIONS} SET version = {number}, compat = {'NULL' if compatible is None else compatible}")


def ours(library_tables: Path) -> int:
    return int(rows(library_tables, VERSIONS, "version")[0][0])


def test_an_older_store_is_brought_up_to_date_by_the_library(
    store: Path, tmp_path: Path, blank: Blank, library_tables: Path
) -> None:
    add_device(store, USER)
    with_version(store, 8, None)
    brought: list[Path] = []

    def library(path: Path) -> None:
        if not path.exists():
            return blank(path)
        assert rows(path, "whatsmeow_device", "count(*)") == [(1,)]
        brought.append(path)
        return with_version(path, ours(library_tables), 8)

    move(store, tmp_path, library)
    assert len(brought) == 1
    assert brought[0].name == "creds.db"


def test_a_store_that_the_library_cannot_bring_up_to_date_is_said_so(store: Path, tmp_path: Path, blank: Blank) -> None:
    add_device(store, USER)
    with_version(store, 1, None)
    refused = refuse(store, tmp_path, lambda path: None if path.exists() else blank(path))
    assert refused.what == "The store is too old"


def test_a_newer_store_is_read_if_it_allows_it(store: Path, tmp_path: Path, blank: Blank, library_tables: Path) -> None:
    add_device(store, USER)
    run_sql(store, "ALTER TABLE whatsmeow_device ADD COLUMN news TEXT DEFAULT 'x'")
    newer = ours(library_tables) + 1
    with_version(store, newer, ours(library_tables))
    migrated, _ = move(store, tmp_path, blank)
    assert migrated.left == ("1 column of a newer release stays behind; this release makes do without.",)
    with_version(store, newer, newer)
    shutil.rmtree(tmp_path / "out")
    assert refuse(store, tmp_path, blank).what == "The store is too new"


@pytest.mark.parametrize("change", ["DELETE FROM whatsmeow_version", "UPDATE whatsmeow_version SET version = 'x'",
                                    "DROP TABLE whatsmeow_version"])  # fmt: skip
def test_a_store_without_a_version_is_no_store(store: Path, tmp_path: Path, blank: Blank, change: str) -> None:
    add_device(store, USER)
    run_sql(store, change)
    assert "which version" in refuse(store, tmp_path, blank).why


def test_a_library_that_makes_no_tables_is_an_error(store: Path, tmp_path: Path) -> None:
    add_device(store, USER)
    assert "did not make its tables" in refuse(store, tmp_path, lambda _: None).why


def test_every_table_of_the_librarys_has_an_owner_or_is_known(library_tables: Path) -> None:
    """A table that all devices share has to be thought about: whose rows are to come along?"""
    with reading.opened(library_tables) as found:
        shared = {name for name, columns in found.tables.items() if not {"our_jid", "jid"} & set(columns)}
    assert shared == {VERSIONS, LID_MAP}


# --- the disk


def test_what_the_system_refuses_is_not_blamed_on_the_store(store: Path, tmp_path: Path, blank: Blank) -> None:
    """A file-size limit stands for a full disk: SQLite meets both in its write."""
    add_device(store, USER)
    size = store.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def without_room(path: Path) -> None:
        blank(path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        insert(store, "whatsmeow_message_secrets", **secret(100_000))
        refused = refuse(store, tmp_path, without_room)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert "did not let a database be read or written" in refused.why
    assert refused.hint.startswith("make room")


def secret(size: int) -> dict[str, Any]:
    jid = f"{USER}:7@s.whatsapp.net"
    return {"our_jid": jid, "chat_jid": "1@lid", "sender_jid": "1@lid", "message_id": "x", "key": bytes(size)}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("odd")])
def test_a_full_disk_leaves_nothing_behind(
    error: OSError, store: Path, tmp_path: Path, blank: Blank, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise error

    add_device(store, USER)
    monkeypatch.setattr("wakit.vault.migration.writer.move", full)
    refused = refuse(store, tmp_path, blank)
    assert refused.hint.startswith("make room")
    assert refused.why == (error.strerror or "OSError")


# --- damage


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@example(cuts=[(0.46484375, b"\x80")], keep=1.0)
@given(
    cuts=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=40)), min_size=1, max_size=4),
    keep=st.floats(0, 1) | st.just(1.0),
)
def test_any_damage_is_a_clear_error_or_a_sound_credential(
    tmp_path_factory: pytest.TempPathFactory,
    library_tables: Path,
    blank: Blank,
    cuts: list[tuple[float, bytes]],
    keep: float,
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    source = Path(shutil.copy(library_tables, folder / "store.db"))
    add_device(source, USER)
    data = bytearray(source.read_bytes())
    for place, bytes_ in cuts:
        at = int(place * (len(data) - 1))
        data[at : at + len(bytes_)] = bytes_
    source.write_bytes(data[: int(len(data) * keep)])
    with suppress(CredentialError):
        migrated, target = move(source, folder, blank)
        assert migrated.account.reveal()
        assert rows(target, "whatsmeow_device", "count(*)") == [(1,)]
