"""How sessions were declared, from the text that the journal keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from wakit.core.declaration import SessionSpec
from wakit.declare import Source, parse
from wakit.declare.remembering import remembered
from wakit.redact import Secret

FILE = """
[defaults]
device_name = "desk"
proxy = "http://127.0.0.1:3128"
[sessions.a]
phone = "+34600000001"
pairing = "code"
priority = 4
[sessions.b]
enabled = false
proxy = ""
[sessions.c]
proxy = "socks5://me:hunter2@127.0.0.1:1080"
labels = { team = "34600000001" }
"""


def test_what_a_masked_text_still_tells_is_what_was_declared(tmp_path: Path) -> None:
    declared = parse(Source(tmp_path / "sessions.toml", "sessions.toml", FILE.encode()), environ={})
    told = remembered(declared.masked_text)
    assert set(told) == {"a", "b"}, "the password of c's proxy is not known any more"
    for name, spec in told.items():
        was = declared.sessions[name]
        assert spec.fingerprint() == was.fingerprint()
        assert (spec.enabled, spec.priority) == (was.enabled, was.priority)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no TOML",
        "sessions = 1",
        "defaults = 1\n[sessions.a]",
        "[sessions]\na = 1",
        "[sessions.A]",
        "[sessions.a]\nproxy = 1",
        "[sessions.a]\npriority = [number]",
        '[sessions.a]\ndevice_name = "[number]"',
        '[sessions.a]\nenabled = "yes"',
    ],
)
def test_what_it_does_not_tell_is_left_out(text: str) -> None:
    assert remembered(text) == {}


def test_a_proxy_without_a_password_is_known() -> None:
    told = remembered('[sessions.a]\nproxy = "socks5://127.0.0.1:1"')
    assert told == {"a": SessionSpec("a", proxy=Secret("socks5://127.0.0.1:1"))}
