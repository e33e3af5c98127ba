"""Random histories of one credential's backups: what is offered is always the newest copy nobody has been at."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import msgspec
from backed import KEY, RECORD, backups, credential, fill, flip, unfinished
from credentials import Clock, store
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wakit.core.declaration import VaultPolicy
from wakit.redact import account_hash
from wakit.vault.manifest import Why
from wakit.vault.verification import Backup

_USERS = ("34600000001", "34600000002")


class Histories(RuleBasedStateMachine):
    """Takes, spoils and thins out, while the clock jumps and the account changes."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.folder = credential(self.root, rows=1)
        self.clock = Clock()
        self.user = _USERS[0]
        self.sound: dict[str, str] = {}  # name → user, of every backup nobody has been at
        self.spoiled: set[str] = set()
        self.policy = VaultPolicy(keep=2, max_bytes=10**9)

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    def account(self) -> str:
        return account_hash(self.user, KEY)

    def listed(self) -> list[Backup]:
        return backups(self.folder).listed()

    @rule(rows=st.integers(1, 3))
    def the_library_writes(self, rows: int) -> None:
        fill(self.folder / "creds.db", rows)

    @rule()
    def it_is_linked_to_another_account(self) -> None:
        self.user = _USERS[1 - _USERS.index(self.user)]
        for path in self.folder.glob("creds.db*"):
            path.unlink()
        store(self.folder / "creds.db", self.user)

    @rule()
    def one_is_taken(self) -> None:
        before = {backup.name for backup in self.listed()}
        record = msgspec.structs.replace(RECORD, account=self.account())
        taken = backups(self.folder, self.policy, now=self.clock).take(Why.SCHEDULE, record)
        assert taken.new == (taken.backup.name not in before)
        assert taken.backup.name not in self.spoiled
        if taken.new:
            assert not before or taken.backup.name > max(before), "a new one is the newest"
            self.sound[taken.backup.name] = self.user
        assert self.offered() == taken.backup.name, "what was just taken is what would be put back"

    @precondition(lambda self: self.sound)
    @rule(data=st.data())
    def somebody_spoils_one(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.sound)))
        file = self.folder / "backups" / name / data.draw(st.sampled_from(["creds.db", "manifest.json"]))
        if data.draw(st.booleans()):
            flip(file, data.draw(st.integers(0, file.stat().st_size - 1)), data.draw(st.integers(0, 7)))
        else:
            file.unlink()
        del self.sound[name]
        self.spoiled.add(name)

    @rule(hours=st.integers(-100, 100))
    def the_clock_jumps(self, hours: int) -> None:
        self.clock.moment += timedelta(hours=hours)

    @rule(keep=st.integers(1, 4), max_bytes=st.sampled_from([1, 40_000, 80_000, 10**9]))
    def the_policy_changes(self, keep: int, max_bytes: int) -> None:
        self.policy = VaultPolicy(keep=keep, max_bytes=max_bytes)

    @rule()
    def they_are_thinned_out(self) -> None:
        before = self.listed()
        pruned = backups(self.folder, self.policy, now=self.clock).prune()
        left = {backup.name for backup in self.listed()}
        assert left == {backup.name for backup in before} - set(pruned.deleted)
        for user in _USERS:
            of_user = [name for name, whose in self.sound.items() if whose == user]
            assert not of_user or max(of_user) in left, "the last good one is gone"
        for name in self.spoiled & set(pruned.deleted):
            assert any(good > name for good in self.sound), "it had no good newer one"
        self.sound = {name: user for name, user in self.sound.items() if name in left}
        self.spoiled &= left
        assert unfinished(self.folder) == []

    def offered(self) -> str | None:
        backup = backups(self.folder).newest_good(self.account())
        return backup.name if backup else None

    @invariant()
    def the_newest_sound_one_of_the_account_is_offered(self) -> None:
        mine = [name for name, user in self.sound.items() if user == self.user]
        assert self.offered() == max(mine, default=None)

    @invariant()
    def everything_is_listed(self) -> None:
        assert {backup.name for backup in self.listed()} == self.sound.keys() | self.spoiled


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
