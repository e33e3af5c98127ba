"""``export`` and ``import``: what people get wrong, what they are told, and what is written where."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest
from cli_support import Served
from credentials import NUMBER, pair
from places import tree

from wakit.cli.run import run
from wakit.core.observation import Credential
from wakit.errors import ControlError
from wakit.vault import Vault
from wakit.vault.layout import open_layout

Said = pytest.CaptureFixture[str]


def vault(folder: Path) -> Vault:
    return Vault(open_layout(folder / ".wakit"), "shared", lambda: datetime.now(UTC))


def private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    return private(tmp_path / "passphrase", "correct horse battery staple\n")


@pytest.fixture
def key(tmp_path: Path) -> tuple[str, Path]:
    secret = pyrage.x25519.Identity.generate()
    return str(secret.to_public()), private(tmp_path / "key.txt", f"# a key\n{secret}\n")


@pytest.fixture
def bundle(folder: Path, tmp_path: Path, key: tuple[str, Path], capsys: Said) -> Path:
    """A bundle of ``sales``, which was linked here."""
    file = tmp_path / "moved.age"
    pair(vault(folder), "sales")
    assert run(["export", "sales", "-o", str(file), "--recipient", key[0]]) == 0
    capsys.readouterr()
    return file


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another project folder, as the working directory."""
    path = tmp_path / "elsewhere"
    path.mkdir()
    (path / "sessions.toml").write_text("[sessions.support]\n")
    return path


def failed(capsys: Said, line: list[str], *says: str, code: int = 1) -> str:
    """It fails as it should, with a hint; nothing is said on stdout, and no number anywhere."""
    assert run(line) == code, line
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert "hint: " in told.err
    for text in says:
        assert text in told.err, told.err
    assert told.out == ""
    assert NUMBER not in told.err
    return told.err


# -- export ----------------------------------------------------------------------------------------------------------


def test_an_export_says_what_it_did(folder: Path, tmp_path: Path, key: tuple[str, Path], capsys: Said) -> None:
    pair(vault(folder), "sales")
    pair(vault(folder), "support", "34600000002")
    file = tmp_path / "moved.age"
    assert run(["export", "support", "sales", "-o", str(file), "--recipient", key[0]]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out.startswith("sales: given away; it is not started here any more\nsupport: given away")
    assert str(file) in told.out
    assert NUMBER not in told.out
    data = file.read_bytes()
    assert data.startswith(b"age-encryption.org/v1\n")
    assert b"whatsmeow" not in data
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert vault(folder).find("sales").credential is Credential.GIVEN_AWAY


def test_an_export_in_json(folder: Path, tmp_path: Path, passphrase: Path, capsys: Said) -> None:
    pair(vault(folder), "sales")
    file = tmp_path / "moved.age"
    line = ["export", "sales", "-o", str(file), "--passphrase-file", str(passphrase), "--json"]
    assert run(line) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"bundle", "file", "size", "sessions"}
    assert told["size"] == file.stat().st_size
    (session,) = told["sessions"]
    assert (session["name"], session["epoch"], session["rows"]) == ("sales", 1, 1)
    assert run([*line, "--again"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["error"] == "BundleError", "the file exists"
    assert run([*line, "--again", "--force"]) == 0


@pytest.mark.parametrize(
    "options",
    [
        ["-o", "x.age"],
        ["-o", "x.age", "--recipient", "KEY", "--passphrase-file", "F"],
        ["-o", "-", "--recipient", "KEY"],
        ["--recipient", "KEY"],
    ],
    ids=["no key", "two ways", "stdout", "no file"],
)
def test_an_export_that_is_asked_for_wrongly(
    folder: Path, key: tuple[str, Path], passphrase: Path, options: list[str], capsys: Said
) -> None:
    pair(vault(folder), "sales")
    names = {"KEY": key[0], "F": str(passphrase)}
    failed(capsys, ["export", "sales", *(names.get(each, each) for each in options)], code=64)
    assert vault(folder).find("sales").credential is Credential.PRESENT
    assert not (folder / "x.age").exists()


def test_a_key_that_is_none(folder: Path, tmp_path: Path, capsys: Said) -> None:
    pair(vault(folder), "sales")
    secret = str(pyrage.x25519.Identity.generate())
    for recipient in ("age1nonsense", "", secret):
        told = failed(capsys, ["export", "sales", "-o", str(tmp_path / "x"), "--recipient", recipient])
        assert secret not in told
    assert vault(folder).find("sales").credential is Credential.PRESENT


def test_what_is_not_there_is_not_exported(folder: Path, tmp_path: Path, key: tuple[str, Path], capsys: Said) -> None:
    line = ["export", "nobody", "-o", str(tmp_path / "x.age"), "--recipient", key[0]]
    failed(capsys, line, "never linked")
    assert not (folder / ".wakit").exists(), "a command that finds nothing makes no state directory"
    pair(vault(folder), "sales")
    failed(capsys, line, "'nobody' is not exported")
    failed(capsys, [line[0], "../x", *line[2:]], "no session name")
    assert not (tmp_path / "x.age").exists()


def _loose(path: Path) -> None:
    path.chmod(0o644)


def _empty(path: Path) -> None:
    path.write_text("\n")


def _gone(path: Path) -> None:
    path.unlink()


def _long(path: Path) -> None:
    path.write_text("x" * 5000)


def _binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_loose, "chmod 600"),
        (_empty, "no passphrase"),
        (_gone, "cannot be read"),
        (_long, "too large"),
        (_binary, "no text"),
    ],
)
def test_a_passphrase_file_that_cannot_be_trusted(
    folder: Path, passphrase: Path, change: Callable[[Path], None], says: str, capsys: Said
) -> None:
    pair(vault(folder), "sales")
    change(passphrase)
    failed(capsys, ["export", "sales", "-o", "x.age", "--passphrase-file", str(passphrase)], says)
    failed(capsys, ["import", str(passphrase), "--passphrase-file", str(passphrase)], says)
    assert vault(folder).find("sales").credential is Credential.PRESENT


# -- import ----------------------------------------------------------------------------------------------------------


def test_an_import_says_what_is_left_to_do(
    bundle: Path, key: tuple[str, Path], elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.chdir(elsewhere)
    line = ["import", str(bundle), "--identity", str(key[1])]
    assert run([*line, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("sales: would be imported; add [sessions.sales] to sessions.toml\n")
    assert "nothing was changed" in told
    assert tree(elsewhere).keys() == {"sessions.toml"}, "not even a state directory"
    assert run(line) == 0
    assert capsys.readouterr().out == "sales: imported; add [sessions.sales] to sessions.toml\n"
    assert vault(elsewhere).find("sales").credential is Credential.PRESENT
    failed(capsys, line, "imported here already")
    failed(capsys, [*line, "--dry-run"], "imported here already")


def test_an_import_under_another_name_in_json(
    bundle: Path, key: tuple[str, Path], elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.chdir(elsewhere)
    line = ["import", str(bundle), "--identity", str(key[1]), "--name", "sales=support"]
    for dry in (["--dry-run"], []):
        assert run([*line, *dry, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["dry_run"] is bool(dry)
        (session,) = told["sessions"]
        assert session == {
            "name": "support", "source": "sales", "outcome": "new", "size": session["size"], "declared": True,
            "parked": False, "problem": None, "hint": None,
        }  # fmt: skip


def test_what_would_be_refused_is_told_by_a_dry_run(
    bundle: Path, key: tuple[str, Path], elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    pair(vault(elsewhere), "sales", "34600000002")
    before = tree(elsewhere)
    monkeypatch.chdir(elsewhere)
    line = ["import", str(bundle), "--identity", str(key[1])]
    assert run([*line, "--dry-run"]) == 1
    assert "sales: refused: a session of that name was linked here; give it another" in capsys.readouterr().out
    failed(capsys, line, "linked here", "--name sales=NEW")
    assert tree(elsewhere) == before


def test_what_was_given_away_is_taken_back(folder: Path, bundle: Path, key: tuple[str, Path], capsys: Said) -> None:
    assert run(["import", str(bundle), "--identity", str(key[1])]) == 0
    assert capsys.readouterr().out == "sales: taken back\n"
    assert vault(folder).find("sales").credential is Credential.PRESENT


def test_a_bundle_that_cannot_be_opened(
    folder: Path, bundle: Path, key: tuple[str, Path], passphrase: Path, capsys: Said
) -> None:
    stranger = private(folder / "stranger.txt", f"{pyrage.x25519.Identity.generate()}\n")
    with_key = ["--identity", str(key[1])]
    failed(capsys, ["import", str(bundle)], code=64)
    failed(capsys, ["import", str(bundle), *with_key, "--passphrase-file", str(passphrase)], code=64)
    failed(capsys, ["import", str(bundle), *with_key, "--name", "sales"], "OLD=NEW", code=64)
    failed(capsys, ["import", str(bundle), "--identity", str(stranger)], "none of the keys fits")
    failed(capsys, ["import", str(bundle), "--passphrase-file", str(passphrase)])
    failed(capsys, ["import", str(folder / "nowhere"), *with_key], "cannot be read")
    failed(capsys, ["import", str(folder), *with_key], "cannot be read")
    failed(capsys, ["import", str(key[1]), *with_key], "not an age file")
    data = bundle.read_bytes()
    for damaged in (data[:-1], data[:300], data[:-5] + bytes([data[-5] ^ 1]) + data[-4:], b""):
        bundle.write_bytes(damaged)
        failed(capsys, ["import", str(bundle), *with_key])
    for foreign in (b"", b"no archive", os.urandom(5000)):
        recipient = pyrage.x25519.Recipient.from_str(key[0])
        bundle.write_bytes(pyrage.encrypt(foreign, [recipient]))
        failed(capsys, ["import", str(bundle), *with_key], "bundle cannot be used")
    key[1].chmod(0o640)
    failed(capsys, ["import", str(bundle), *with_key], "chmod 600", "0640")
    assert vault(folder).find("sales").credential is Credential.GIVEN_AWAY


def test_an_ssh_key_opens_it(folder: Path, tmp_path: Path, capsys: Said) -> None:
    pair(vault(folder), "sales")
    identity, file = tmp_path / "id", tmp_path / "moved.age"
    try:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", identity], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no ssh-keygen here")
    recipient = identity.with_suffix(".pub").read_text()
    assert run(["export", "sales", "-o", str(file), "--recipient", recipient]) == 0
    assert run(["import", str(file), "--identity", str(identity)]) == 0
    assert "sales: taken back" in capsys.readouterr().out


@pytest.mark.long
def test_a_passphrase_opens_it(folder: Path, tmp_path: Path, passphrase: Path, capsys: Said) -> None:
    pair(vault(folder), "sales")
    file = tmp_path / "moved.age"
    assert run(["export", "sales", "-o", str(file), "--passphrase-file", str(passphrase)]) == 0
    capsys.readouterr()
    wrong = private(tmp_path / "wrong", "another one")
    failed(capsys, ["import", str(file), "--passphrase-file", str(wrong)], "passphrase is wrong")
    windows = private(tmp_path / "windows", "correct horse battery staple\r\n")
    assert run(["import", str(file), "--passphrase-file", str(windows)]) == 0
    assert "sales: taken back" in capsys.readouterr().out


# -- beside a daemon -------------------------------------------------------------------------------------------------


def test_a_daemon_is_told(served: Served, bundle: Path, key: tuple[str, Path], capsys: Said) -> None:
    """The fixture exported beside it already."""
    assert served.do(lambda fleet: fleet.orders) == [("apply", False)]
    assert run(["import", str(bundle), "--identity", str(key[1]), "--dry-run"]) == 0
    assert served.do(lambda fleet: len(fleet.orders)) == 1
    assert run(["import", str(bundle), "--identity", str(key[1])]) == 0
    assert served.do(lambda fleet: fleet.orders) == [("apply", False)] * 2
    assert capsys.readouterr().err == ""


def test_a_daemon_that_cannot_be_told_changes_nothing_about_what_was_done(
    served: Served, bundle: Path, key: tuple[str, Path], capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*_: object, **__: object) -> None:
        raise ControlError("It is busy", why="for a test")

    served.do(lambda fleet: monkeypatch.setattr(fleet, "apply", refuses))
    assert run(["import", str(bundle), "--identity", str(key[1])]) == 0
    told = capsys.readouterr()
    assert told.out == "sales: taken back\n"
    assert told.err == "note: the daemon was not told (It is busy: for a test); `wakit apply` has it look\n"
