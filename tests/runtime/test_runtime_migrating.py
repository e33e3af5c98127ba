"""Another tool's credential as a session: placed once, under the right name, and only where it may be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.foreign import USER, creds, folder, rows

from wakit.core.lifecycle import State
from wakit.core.observation import Credential
from wakit.errors import CredentialError, DeclarationError, HeldError
from wakit.redact import PhoneNumber, account_hash
from wakit.runtime import import_foreign, locate, migrating, plan_offline
from wakit.vault import Vault
from wakit.vault.folder import locked
from wakit.vault.layout import Layout, open_layout
from wakit.vault.record import Verdict
from wakit.vault.transfer import scratch
from wakit.worker.tables import make_tables

NUMBER = f"+{USER}"


@pytest.fixture(scope="session")
def library_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tables") / "creds.db"
    make_tables(made)
    rows(made, "whatsmeow_version")  # SQLite takes over what the ended process left in its log
    return made


@pytest.fixture(autouse=True)
def _quick(library_tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library itself is run once; it makes the same tables every time."""
    for key in [key for key in os.environ if key.startswith("WAKIT_")]:
        monkeypatch.delenv(key)
    monkeypatch.setattr(migrating, "make_tables", lambda path: shutil.copy(library_tables, path))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Path]:
    """A fleet's folder; nothing of an import is left in it when a test ends."""
    (tmp_path / "sessions.toml").write_text("[sessions.sales]\n")
    yield tmp_path
    assert not (tmp_path / ".wakit" / "transfer").exists()


def vault_of(fleet: Path) -> Vault:
    return Vault(Layout(fleet / ".wakit"), "shared", lambda: datetime.now(UTC))


def take_in(fleet: Path, name: str = "sales", account: str | None = None) -> Vault:
    place = locate(fleet / "sessions.toml", sim=False)
    number = PhoneNumber(account) if account else None
    migrated = import_foreign(place, name, folder(fleet / "auth"), "baileys", number)
    assert migrated.account.reveal() == USER
    return vault_of(fleet)


def test_it_becomes_a_session_that_is_linked(fleet: Path) -> None:
    vault = take_in(fleet)
    finding = vault.find("sales")
    assert finding.credential is Credential.PRESENT
    assert finding.record.account == account_hash(USER, vault.key)
    assert finding.record.retired_at is None
    (fleet / ".wakit" / "archive").rmdir()  # somebody made room: a look makes no folder and misses none
    (action,) = plan_offline(locate(fleet / "sessions.toml", sim=False)).actions
    assert (action.action, action.session) == ("restore", "sales")
    assert (fleet / ".wakit/sessions/sales/shared/creds.db").stat().st_mode & 0o777 == 0o600


def test_one_that_is_not_declared_is_left_alone_until_it_is(fleet: Path) -> None:
    (fleet / "sessions.toml").write_text('[wakit]\nretire = "logout"\n[sessions.other]\n')
    take_in(fleet)
    place = locate(fleet / "sessions.toml", sim=False)
    assert [action.action for action in plan_offline(place).actions] == ["create"]  # `other`; nothing is unlinked
    (fleet / "sessions.toml").write_text("[sessions.sales]\n")
    assert [action.action for action in plan_offline(place).actions] == ["restore"]


def test_the_declared_number_is_the_account_that_is_meant(fleet: Path) -> None:
    (fleet / "sessions.toml").write_text('[sessions.sales]\nphone = "+34600000002"\n')
    with pytest.raises(CredentialError, match="no device of that account") as refused:
        take_in(fleet)
    assert USER not in str(refused.value)
    with pytest.raises(CredentialError, match="its declared `phone`") as refused:
        take_in(fleet, account=NUMBER)
    assert USER not in str(refused.value)
    (fleet / "sessions.toml").write_text(f'[sessions.sales]\nphone = "{NUMBER}"\n')
    assert take_in(fleet, account=NUMBER).find("sales").credential is Credential.PRESENT


def test_nothing_is_made_for_a_name_that_has_a_credential(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_in(fleet)
    monkeypatch.setattr(migrating, "migrate", None)
    with pytest.raises(CredentialError, match="one of its own"):
        take_in(fleet)


def test_an_account_is_taken_in_under_one_name(fleet: Path) -> None:
    take_in(fleet)
    with pytest.raises(CredentialError, match="linked as 'sales' already"):
        take_in(fleet, "again")
    assert vault_of(fleet).names() == ["sales"]


def test_an_unlinked_session_can_be_filled_anew(fleet: Path) -> None:
    vault = take_in(fleet)
    vault.mark_unlinked("sales", Verdict(State.LOGGED_OUT.value, "unlinked", datetime.now(UTC)))
    assert take_in(fleet).find("sales").credential is Credential.PRESENT


def test_one_is_taken_in_at_a_time(fleet: Path) -> None:
    with scratch(open_layout(fleet / ".wakit")), pytest.raises(HeldError, match="another command does that"):
        take_in(fleet)


def test_a_session_that_is_being_linked_is_not_disturbed(fleet: Path) -> None:
    take_in(fleet)
    place = vault_of(fleet).prepare_pairing("new").directory
    with locked(place), pytest.raises(HeldError):
        import_foreign(
            locate(fleet / "sessions.toml", sim=False), "new", folder(fleet / "other", creds("34600000009", "5"))
        )


def test_what_a_crash_left_is_removed(fleet: Path) -> None:
    left = fleet / ".wakit" / "transfer" / ".migrating-x" / "made"
    left.mkdir(parents=True)
    (left / "creds.db").write_bytes(b"keys")
    (fleet / ".wakit").chmod(0o700)
    take_in(fleet)


def test_a_name_or_a_file_that_is_none_is_refused(fleet: Path) -> None:
    with pytest.raises(CredentialError, match="no session name"):
        take_in(fleet, "../x")
    (fleet / "sessions.toml").write_text("[sessions")
    with pytest.raises(DeclarationError):
        take_in(fleet)
