"""A user's mistakes: one clear error each, exit code 1, never a traceback, and nothing made or lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Fleet, fleet_in

from wakit.redact import scrub

MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "bad syntax": (lambda file: file.write_text("[sessions.a\n"), ":1:"),
    "a wrong type": (lambda file: file.write_text('[sessions.a]\nenabled = "yes"\n'), ":2:"),
    "an unknown key": (lambda file: file.write_text("[sessions.a]\nenabeld = true\n"), "did you mean"),
    "phones twice": (
        lambda file: file.write_text('[sessions.a]\nphone = "+34600000001"\n[sessions.b]\nphone = "+34600000001"\n'),
        ":4:",
    ),
    "a name that climbs": (lambda file: file.write_text('[sessions."../x"]\n'), "name"),
    "a name with a space": (lambda file: file.write_text('[sessions."a b"]\n'), "name"),
    "a NUL": (lambda file: file.write_bytes(b"[sessions.a]\n\0"), ":2:"),
    "ten megabytes": (lambda file: file.write_bytes(b"#" * 10_000_000), "too large"),
    "not UTF-8": (lambda file: file.write_bytes(b"[sessions.a]\n# caf\xe9\n"), ":2:"),
    "a directory": (lambda file: file.mkdir(), "directory"),
    "nothing at all": (lambda file: file.write_bytes(b""), "empty"),
    "an endpoint out in the world": (
        lambda file: file.write_text(
            '[endpoint]\nproxy = "http://192.0.2.1:1"\nca_file = "ca.pem"\n'
            f'noise_root_key = "{"00" * 32}"\n[sessions.a]\n'
        ),
        "loopback",
    ),
}


# Found by the same reading of the file, whichever command does it; the others are tried with both.
_READ_THE_SAME = {"a wrong type", "phones twice", "a name with a space", "a NUL", "not UTF-8", "a directory"}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_file(mistake: str) -> None:
    make, says = MISTAKES[mistake]
    with fleet_in() as fleet:
        make(fleet.config)
        for command in ("up",) if mistake in _READ_THE_SAME else ("plan", "up"):
            result = fleet.run(command)
            assert result.returncode == 1, result
            assert result.stderr.startswith("error: "), result.stderr
            assert "Traceback" not in result.stderr + result.stdout
            assert says in result.stderr
            assert "34600000001" not in result.stderr
        assert not fleet.state.exists(), "nothing was made for a file that is no declaration"


def test_no_file_at_all() -> None:
    with fleet_in() as fleet:
        result = fleet.run("plan")
        assert result.returncode == 1
        assert "wakit init" in result.stderr


def test_a_read_only_state_directory(fleet: Fleet) -> None:
    fleet.write("[sessions.a]\n")
    fleet.state.mkdir(mode=0o500)
    try:
        result = fleet.run("up")
        assert result.returncode == 1
        assert "read-only" in result.stderr
        assert "hint: " in result.stderr
        assert list(fleet.state.iterdir()) == []
    finally:
        fleet.state.chmod(0o700)


def test_a_state_directory_too_deep_for_a_socket(fleet: Fleet) -> None:
    deep = "d" * 60 + "/" + "e" * 60
    fleet.head = f'[wakit]\nstate_dir = "{deep}"\n' + fleet.head
    fleet.write("[sessions.a]\n")
    fleet.up()
    fleet.wait_states(a="pairing")
    socket = Path(fleet.status().daemon.socket)
    assert len(os.fsencode(socket)) <= 107
    assert not socket.is_relative_to(fleet.folder)
    told = fleet.sql("SELECT reason FROM events WHERE kind = 'warning'")
    # The hash in its name may have digits enough to look like a number, and is masked then.
    assert any(scrub(str(socket)) in row["reason"] for row in told), "it is said where the socket is"
    fleet.end()
    assert not socket.exists()
