"""Real credentials of real tools, made against the loopback WhatsApp: they become wakit's, and nobody notices.

Needs Node, npm, PyPI and network namespaces; where one is missing the test is skipped, but not in CI.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from harness import Fleet, endpoint_table, fleet_in
from support.whatsapp import LoopbackWhatsApp, StockClients, fresh_number, loopback_whatsapp
from talkers import GROUP, HERE, Talker, baileys, neonize, relayed

from wakit.errors import CredentialError
from wakit.redact import PhoneNumber
from wakit.runtime import import_foreign, locate
from wakit.vault.migration import Migrated, migrate
from wakit.worker.tables import make_tables

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

# One from before libraries shared an upgrader and before hidden numbers, one from in between.
OLD_RELEASES = ("0.3.4", "0.3.12")


def connects(fleet: Fleet, whatsapp: LoopbackWhatsApp, name: str, number: str) -> None:
    """The session connects with what it was given: the same device, no QR code, nobody thrown out."""
    before = whatsapp.sim.status().totals
    fleet.up()
    fleet.wait_connected(name)
    after = whatsapp.sim.status()
    account = after.account(number)
    assert account is not None
    assert [device.connected for device in account.devices] == [True]
    assert account.devices[0].replaced == 0
    assert after.totals.get("pairing", 0) == before.get("pairing", 0)
    assert fleet.sql("SELECT count(*) AS n FROM events WHERE kind = 'pair_started'") == [{"n": 0}]


def take_in(fleet: Fleet, name: str, source: Path, account: str | None = None) -> Migrated:
    number = PhoneNumber(account) if account else None
    migrated = import_foreign(locate(fleet.config), name, source, account=number)
    assert not (fleet.state / "transfer").exists()
    return migrated


def test_baileys_becomes_a_session(installed: Path, tmp_path: Path, running: list[Talker]) -> None:
    number = fresh_number()
    with loopback_whatsapp() as whatsapp, fleet_in(head=endpoint_table(whatsapp)) as fleet:
        running.append(theirs := baileys(whatsapp, installed, tmp_path / "auth"))
        whatsapp.sim.scan(number, theirs.expect("qr")["payload"])
        theirs.expect("connected")
        theirs.kill()

        fleet.write("[sessions.moved]\n")
        migrated = take_in(fleet, "moved", tmp_path / "auth")
        assert migrated.account.reveal() == number[1:]
        assert migrated.carried["device"] == 1
        with pytest.raises(CredentialError, match="of its own"):
            take_in(fleet, "moved", tmp_path / "auth")
        with pytest.raises(CredentialError, match="linked as 'moved' already"):
            take_in(fleet, "again", tmp_path / "auth")
        connects(fleet, whatsapp, "moved", number)


def test_old_correspondents_are_understood_and_understand(
    installed: Path, tmp_path: Path, relaying: LoopbackWhatsApp, running: list[Talker]
) -> None:
    """Ratchets and sender keys go on where Baileys left them: no message is asked for twice.

    With the friend the last word was the friend's, so the chain on which it writes goes on. The stranger has not
    answered yet, so the chain on which we write goes on, and with it how the session was begun.
    """
    people: list[str] = []
    for name in ("moving", "friend", "stranger"):
        running.append(talker := baileys(relaying, installed, tmp_path / name))
        relaying.sim.scan(fresh_number(), talker.expect("qr")["payload"])
        people.append(talker.expect("connected")["lid"].partition(":")[0] + "@lid")
    moving, friend, stranger = running
    to_moving, to_friend, to_stranger = people

    for who, other in ((friend, moving), (moving, friend)):
        who.write(GROUP, "hello all", members=people)
        other.expect("message", text="hello all")
    stranger.expect("message", text="hello all")
    moving.write(to_friend, "we met")
    friend.expect("message", text="we met")
    friend.write(to_moving, "so we did")
    moving.expect("message", text="so we did")
    moving.write(to_stranger, "you do not know me")
    stranger.expect("message", text="you do not know me")
    moving.kill()
    friend.write(to_moving, "nobody is there")  # lost: the chain has to step over it
    friend.write(GROUP, "nobody heard", members=people)

    (tmp_path / "out").mkdir(mode=0o700)
    migrated = migrate(tmp_path / "moving", tmp_path / "out" / "creds.db", blank=make_tables)
    assert migrated.carried["sessions"] >= 2
    assert migrated.carried["sender keys"] == 2
    assert not migrated.left

    seen = len(relayed(relaying))
    running.append(moved := neonize(relaying, tmp_path / "out" / "creds.db"))
    moved.expect("connected")
    friend.write(to_moving, "are you back")
    moved.expect("message", text="are you back")
    moved.write(to_stranger, "I have moved")
    stranger.expect("message", text="I have moved")
    moved.write(to_friend, "I am")
    friend.expect("message", text="I am")
    friend.write(to_moving, "good")
    moved.expect("message", text="good")
    friend.write(GROUP, "they are back", members=people)
    moved.expect("message", text="they are back")

    since = relayed(relaying)[seen:]
    assert "qr" not in [each["event"] for each in moved.events]
    one_to_one = [each["enc"] for each in since if each["kind"] == "message" and each["enc"] != ["skmsg"]]
    assert one_to_one == [["msg"], ["pkmsg"], ["msg"], ["msg"]]
    assert "retry" not in [each["type"] for each in since if each["kind"] == "receipt"]


def test_one_of_several_devices_of_a_store_becomes_a_session(stock: StockClients, tmp_path: Path) -> None:
    numbers = [fresh_number(), fresh_number()]
    with loopback_whatsapp() as whatsapp, fleet_in(head=endpoint_table(whatsapp)) as fleet:
        for name, number in zip("ab", numbers, strict=True):
            stock.paired(whatsapp, name, number)
        stock.kill_all()
        pour_together(tmp_path / "a.db", tmp_path / "b.db")

        fleet.write("[sessions.chosen]\n")
        with pytest.raises(CredentialError) as refused:
            take_in(fleet, "chosen", tmp_path / "a.db")
        assert refused.value.hint == "say which: --account NUMBER"
        assert all(number not in str(refused.value) for number in numbers)
        migrated = take_in(fleet, "chosen", tmp_path / "a.db", numbers[1])
        assert migrated.account.reveal() == numbers[1][1:]
        database = fleet.state / "sessions/chosen/shared/creds.db"
        assert numbers[0][1:].encode() not in database.read_bytes()
        connects(fleet, whatsapp, "chosen", numbers[1])


def pour_together(store: Path, other: Path) -> None:
    """Put the rows of one store into another, and a table of another tool beside them, as wuzapi has them."""
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("ATTACH ? AS other", (str(other),))
        tables = [row[0] for row in connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table not in ("whatsmeow_version", "whatsmeow_lid_map"):
                connection.execute(f"INSERT INTO main.{table} SELECT * FROM other.{table}")
        connection.execute("INSERT OR IGNORE INTO main.whatsmeow_lid_map SELECT * FROM other.whatsmeow_lid_map")
        connection.execute("CREATE TABLE users (name TEXT, token TEXT)")
        connection.execute("INSERT INTO users VALUES ('me', 'secret')")
        connection.execute("CREATE TRIGGER t AFTER INSERT ON users BEGIN DELETE FROM whatsmeow_device; END")


@pytest.mark.parametrize("release", OLD_RELEASES)
def test_a_store_of_an_old_release_becomes_a_session(release: str, tmp_path: Path) -> None:
    number = fresh_number()
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), f"neonize=={release}"]
    subprocess.run(pip, check=True, capture_output=True, timeout=200)
    state = Path(f"/tmp/wkold{os.getpid()}{release}")
    state.mkdir(mode=0o700)
    try:
        pair_alone({"site": str(site), "state": str(state), "database": str(tmp_path / "old.db"), "number": number})
        with loopback_whatsapp(state) as whatsapp, fleet_in(head=endpoint_table(whatsapp)) as fleet:
            fleet.write("[sessions.aged]\n")
            migrated = take_in(fleet, "aged", tmp_path / "old.db")
            assert migrated.carried["pre keys"] == 50
            assert not migrated.left
            connects(fleet, whatsapp, "aged", number)
    finally:
        shutil.rmtree(state)


def pair_alone(config: dict[str, str]) -> None:
    """Let an old release pair, in a namespace that no packet leaves."""
    unshare = ["unshare", "-n", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-n", "-m"]
    possible = (
        shutil.which("unshare") and not subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode
    )
    if not possible:
        if os.environ.get("CI"):
            pytest.fail("CI must be able to make a namespace")
        pytest.skip("this machine lets nobody make a namespace")
    command = [*unshare, sys.executable, str(HERE / "old_client.py"), json.dumps(config)]
    told = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert told.stdout == "paired\n", told.stderr
