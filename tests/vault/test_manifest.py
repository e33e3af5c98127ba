"""A manifest tells of every change to it, and never throws."""

from __future__ import annotations

import json
import sqlite3
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wakit.vault.manifest import MANIFEST, VERSION, Manifest, Sealed, Trouble, Why, decode, encode, read, versions

PLAIN = Manifest(
    version=VERSION,
    created_at=datetime(2026, 1, 1, 12, 30, tzinfo=UTC),
    why=Why.BEFORE_RETIRE,
    session="sales",
    namespace="shared",
    account="0123456789abcdef",
    epoch=7,
    sha256="a" * 64,
    size=4096,
    rows={"whatsmeow_device": 1, "whatsmeow_sessions": 300},
    source="b" * 64,
    made_with=versions(),
)
SEALED = msgspec.structs.replace(PLAIN, sealed=Sealed("c" * 64, 5000, ("0123456789abcdef",)))


@pytest.mark.parametrize("manifest", [PLAIN, SEALED], ids=["plain", "sealed"])
def test_it_is_read_as_it_was_written(manifest: Manifest) -> None:
    decoded = decode(encode(manifest))
    assert isinstance(decoded, Manifest)
    assert msgspec.structs.replace(decoded, checksum="") == manifest
    assert encode(decoded) == encode(manifest)


def test_it_is_json_that_other_tools_read() -> None:
    written = json.loads(encode(PLAIN))
    assert written["why"] == "before_retire"
    assert written["created_at"] == "2026-01-01T12:30:00Z"
    assert written["made_with"] == {
        "wakit": version("wakit"),
        "neonize": version("neonize"),
        "sqlite": sqlite3.sqlite_version,
    }


@pytest.mark.parametrize("manifest", [PLAIN, SEALED], ids=["plain", "sealed"])
def test_every_flipped_bit_is_found(manifest: Manifest) -> None:
    data = encode(manifest)
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            assert isinstance(decode(bytes(flipped)), Trouble), (position, bit)


def test_a_cut_off_or_longer_one_is_found() -> None:
    data = encode(PLAIN)
    for length in range(len(data)):
        assert isinstance(decode(data[:length]), Trouble)
    assert isinstance(decode(data + b"\n"), Trouble)


@pytest.mark.parametrize("field", ["later", "epoch"])
def test_a_newer_one_is_not_guessed_at(field: str) -> None:
    newer = {**json.loads(encode(PLAIN)), "version": VERSION + 1, field: "something else"}
    found = decode(json.dumps(newer).encode())
    assert isinstance(found, Trouble)
    assert "newer wakit" in found.problem
    assert found.unknown, "it may be a good backup"


values = st.recursive(
    st.none() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s), max_leaves=8
)


@given(st.binary() | values.map(lambda value: json.dumps(value).encode()))
def test_nothing_makes_it_throw(data: bytes) -> None:
    assert isinstance(decode(data), Trouble)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"version": 1e999}',
        b'{"version": ' + b"9" * 5000 + b"}",
        b'{"version": 1, "version": 1}',
        b"\xff",
    ],
    ids=["deep", "infinite", "long", "twice", "no text"],
)
def test_nothing_odd_makes_it_throw(data: bytes) -> None:
    assert isinstance(decode(data), Trouble)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert read(tmp_path) == Trouble("its manifest is missing")
    (tmp_path / MANIFEST).symlink_to("elsewhere")
    found = read(tmp_path)
    assert isinstance(found, Trouble)
    assert "symbolic link" in found.problem


def test_versions_are_told_without_loading_the_library() -> None:
    versions()
    assert "neonize" not in sys.modules
