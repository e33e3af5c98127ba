"""What is remembered: over a daemon's end, of one session, and in its log file."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes import START, Fleet

from wakit.core.declaration import Pairing, SessionSpec
from wakit.core.lifecycle import Happening, State
from wakit.core.observation import Credential
from wakit.core.retry import Backoff
from wakit.reconciler import logbook as room
from wakit.reconciler.logbook import Logbook
from wakit.reconciler.memory import recollect
from wakit.reconciler.tracked import Shown, Tracked
from wakit.redact import PhoneNumber, Secret
from wakit.vault.record import SessionRecord, Verdict
from wakit.vault.vault import Finding

PAIRED = START - timedelta(days=1)
LINKED = SessionRecord(epoch=3, paired_at=PAIRED, account="00ff")


def verdict(state: State, until: datetime | None = None) -> Verdict:
    return Verdict(state.value, "the words of then", PAIRED, until)


@pytest.mark.parametrize(
    ("credential", "record", "state", "waits"),
    [
        (Credential.ABSENT, SessionRecord(), State.RETIRED, False),
        (Credential.PRESENT, LINKED, State.DECLARED, False),
        (Credential.ARCHIVED, LINKED, State.RETIRED, False),
        (Credential.DAMAGED, LINKED, State.FAILED, True),
        (Credential.GIVEN_AWAY, LINKED, State.FAILED, True),
        (Credential.UNLINKED, SessionRecord(paired_at=PAIRED, unlinked_at=PAIRED), State.LOGGED_OUT, True),
        (Credential.PRESENT, SessionRecord(paired_at=PAIRED, retired_at=PAIRED), State.RETIRED, False),
        (Credential.ABSENT, SessionRecord(verdict=verdict(State.DECLARED)), State.DECLARED, True),
        (Credential.ABSENT, SessionRecord(verdict=verdict(State.PASSKEY_REQUIRED)), State.PASSKEY_REQUIRED, True),
        (Credential.PRESENT, SessionRecord(paired_at=PAIRED, verdict=verdict(State.CONFLICT)), State.CONFLICT, True),
    ],
)
def test_a_session_is_taken_up_where_it_was_left(
    credential: Credential, record: SessionRecord, state: State, waits: bool
) -> None:
    tracked = recollect("a", Finding(credential, record, "what is wrong"), START)
    assert (tracked.state, tracked.waits_for_person, tracked.credential) == (state, waits, credential)
    assert bool(tracked.reason) is waits
    assert tracked.why_waits == (tracked.reason if waits else "")
    assert tracked.paired_at == record.paired_at
    if record.verdict is not None:
        assert tracked.since == PAIRED


def test_the_way_out_is_said_as_the_vault_has_it() -> None:
    """Also one that speaks of no command, and also of a problem that does."""
    finding = Finding(Credential.DAMAGED, LINKED, "`wakit` does not understand it", "put the real file in its place")
    assert recollect("a", finding, START).reason == "`wakit` does not understand it; put the real file in its place"


def test_a_ban_is_remembered_with_its_end_and_a_parking_with_its_wish() -> None:
    end = START + timedelta(hours=1)
    banned = SessionRecord(paired_at=PAIRED, parked=True, verdict=verdict(State.BANNED, end))
    tracked = recollect("a", Finding(Credential.PRESENT, banned), START)
    assert (tracked.waits_for_person, tracked.next_try_at, tracked.parked) == (False, end, True)


def test_a_verdict_of_another_version_still_waits_for_a_person() -> None:
    record = SessionRecord(paired_at=PAIRED, verdict=Verdict("abducted", "by aliens", PAIRED))
    tracked = recollect("a", Finding(Credential.PRESENT, record), START)
    assert (tracked.state, tracked.reason, tracked.waits_for_person) == (State.FAILED, "by aliens", True)


def test_a_session_shows_no_secret_of_itself() -> None:
    tracked = Tracked(
        "a",
        since=START,
        spec=SessionSpec("a", phone=PhoneNumber("+34600000001"), proxy=Secret("http://user:hunter2@127.0.0.1:1")),
        phone=PhoneNumber("+34600000001"),
        shown=Shown(Pairing.CODE, Secret("ABCD-2345"), START + timedelta(seconds=9)),
    )
    told = repr(tracked) + tracked.info(START).model_dump_json() + repr(tracked.observed())
    for secret in ("34600000001", "hunter2", "ABCD"):
        assert secret not in told
    shown = tracked.pairing_shown(START)
    assert shown is not None
    assert (shown.event, shown.code, shown.payload) == ("code", "ABCD-2345", None)
    assert tracked.pairing_shown(START + timedelta(seconds=9)) is None
    assert tracked.info(START).needs_person


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "why"),
        ({"next_try_at": START + timedelta(seconds=12)}, "why; next try in 12 s"),
        ({"not_before": START + timedelta(seconds=7), "next_try_at": START}, "why; next try in 7 s"),
        ({"next_try_at": START + timedelta(seconds=12), "running": "x"}, "why"),
        ({"next_try_at": START - timedelta(seconds=12)}, "why"),
        ({"next_try_at": START + timedelta(seconds=12), "state": State.PARKED}, "why"),
        ({"held": "the edit retires too much"}, "why; held: the edit retires too much"),
        ({"held": "why"}, "why"),
    ],
)
def test_a_reason_says_when_it_goes_on(changes: dict[str, object], reason: str) -> None:
    tracked = Tracked("a", since=START, state=State.RECONNECTING, reason="why")
    for key, value in changes.items():
        setattr(tracked, key, value)
    assert tracked.info(START).reason == reason


def test_a_state_changes_only_as_the_table_says_and_is_told_once(fleet: Fleet) -> None:
    tracked = fleet.roster.get("a")
    fleet.roster.happen(tracked, Happening.START, "begins")
    fleet.roster.happen(tracked, Happening.START, "begins")
    fleet.roster.happen(tracked, Happening.HEARS_AGAIN, "means nothing here")
    assert (tracked.state, tracked.reason) == (State.STARTING, "begins")
    (told,) = fleet.ledger.told("state")
    assert (told.state_from, told.state_to, told.session) == ("declared", "starting", "a")
    assert fleet.roster.get("a") is tracked


def test_pauses_grow_and_are_drawn_by_chance(fleet: Fleet) -> None:
    tracked = fleet.roster.get("a")
    pauses = []
    for chance in (0.0, 0.5, 0.999):
        fleet.chance = chance
        fleet.roster.retry_later(tracked, Backoff(first=1.0, cap=3.0))
        assert tracked.next_try_at is not None
        pauses.append((tracked.next_try_at - fleet.now()).total_seconds())
    assert pauses == [0.05, 1.0, pytest.approx(2.997)]
    assert tracked.attempt == 3


# -- the logbook -----------------------------------------------------------------------------------------------------


@pytest.fixture
def logs(tmp_path: Path) -> Logbook:
    return Logbook(tmp_path, lambda: datetime(2026, 1, 1, 12, tzinfo=UTC))


def test_a_line_is_json_private_and_scrubbed(logs: Logbook, tmp_path: Path) -> None:
    logs.write("sales", 'INFO Client: pair code: ABCD-2345 for 34600000001@s.whatsapp.net "quoted"\u2028')
    logs.write("w17", "fatal error: concurrent map writes", worker=True)
    (line,) = logs.tail("sales", 10)
    assert json.loads(line) == {
        "ts": "2026-01-01T12:00:00.000+00:00", "line": 'INFO Client: pair code: [code] for [jid] "quoted"\u2028'
    }  # fmt: skip
    assert stat.S_IMODE((tmp_path / "sales.log").stat().st_mode) == 0o600
    assert json.loads((tmp_path / "_workers.log").read_text())["worker"] == "w17"


def test_half_a_secret_at_the_cut_is_none(logs: Logbook) -> None:
    key = "Zm9vYmFyYmF6cXV4" * 4
    logs.write("sales", "-" * 1990 + " " + key)
    assert "Zm9v" not in logs.tail("sales", 1)[0]


def test_a_log_is_rotated_and_read_across_the_turn(
    logs: Logbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_MAX_BYTES", 500)
    for number in range(40):
        logs.write("sales", f"line {number}")
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() == {"sales.log", "sales.log.1"} or sizes.keys() == {"sales.log.1"}
    assert max(sizes.values()) < 700
    assert [json.loads(line)["line"] for line in logs.tail("sales", 3)] == ["line 37", "line 38", "line 39"]
    assert logs.tail("sales", 0) == logs.tail("nobody", 5) == []


@pytest.mark.parametrize("name", ["../escape", "", "UPPER", "a/b", "x" * 200])
def test_a_name_is_never_a_path(logs: Logbook, tmp_path: Path, name: str) -> None:
    logs.write(name, "line")
    assert not list(tmp_path.iterdir())
    assert not (tmp_path.parent / "escape.log").exists()


def test_a_log_that_cannot_be_written_costs_nothing_else(logs: Logbook, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / "sales.log").symlink_to(tmp_path / "target")
    logs.write("sales", "line")
    assert (tmp_path / "target").read_text() == "precious", "no link is followed"
    (tmp_path / "support.log").mkdir()
    logs.write("support", "line")
