"""Any bytes are a bundle or one clear error, at a bounded price."""

from __future__ import annotations

import builtins
import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bundles import archive, bundled, manifest, session
from hypothesis import given, settings
from hypothesis import strategies as st

from wakit.errors import BundleError
from wakit.vault import arrival, bundle
from wakit.vault.bundle import Bundle

_DATA = b"first database" * 99
_VALID = bundled(_DATA, os.urandom(3000))
_PRICE = 8 * 2**20
_ZEROS = 2**26
unhurried = settings(deadline=None)


def looked_through(data: bytes) -> Bundle | None:
    """Read, and hold that nothing but our error comes out; no file is touched, and little memory is taken."""
    touched: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "open", lambda *args, **_: touched.append(args))
        patch.setattr(os, "open", lambda *args, **_: touched.append(args))
        try:
            found: Bundle | None = bundle.read(data)
        except BundleError as error:
            found, told = None, bool(error.why and error.hint)
        else:
            told = True
    assert told
    assert not touched
    return found


def refused(data: bytes, match: str) -> None:
    with pytest.raises(BundleError, match=match):
        bundle.read(data)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    databases = [tmp_path / "a.db", tmp_path / "b.db"]
    for path in databases:
        path.write_bytes(os.urandom(300_000) + bytes(300_000))
    said = manifest([session(path.stem, path.read_bytes()) for path in databases], bundle=bundle.new_id())
    data = bundle.write(said, databases)
    found = bundle.read(data)
    assert found.manifest == said
    for index, path in enumerate(databases):
        file = io.BytesIO()
        found.extract(index, file)
        assert file.getvalue() == path.read_bytes()
    assert len(data) < 700_000, "it is compressed"


def test_ids_are_of_letters_and_differ() -> None:
    made = {bundle.new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(each) == 16 and each.isalpha() and each.islower() for each in made)


# -- anything at all -------------------------------------------------------------------------------------------------


@given(st.binary(max_size=400))
@unhurried
def test_random_bytes_are_no_bundle(data: bytes) -> None:
    assert looked_through(data) is None


@given(st.integers(0, len(_VALID) - 1))
@unhurried
def test_a_beginning_is_no_bundle(length: int) -> None:
    assert looked_through(_VALID[:length]) is None


@given(st.lists(st.tuples(st.integers(0, len(_VALID) - 1), st.binary(max_size=6), st.integers(0, 6)), min_size=1))
@settings(max_examples=600, deadline=None)
def test_a_mutated_bundle_is_refused_or_says_the_same(cuts: list[tuple[int, bytes, int]]) -> None:
    """A byte may not matter (a time in the archive); then what is read is what was written."""
    data = bytearray(_VALID)
    for at, put, drop in cuts:
        data[at : at + drop] = put
    found = looked_through(bytes(data))
    if found is not None:
        assert found.manifest == bundle.read(_VALID).manifest
        file = io.BytesIO()
        found.extract(0, file)
        assert file.getvalue() == _DATA


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _with(path: list[str | int], value: Any) -> bytes:
    """A bundle whose manifest has another value somewhere."""
    said: Any = msgspec.json.decode(msgspec.json.encode(manifest([session("s0", _DATA)])))
    inner = said
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return archive({"manifest.json": msgspec.json.encode(said), "0.db": _DATA})


_FIELDS = [["format"], ["version"], ["bundle"], ["created_at"], ["wakit"], ["library"], ["sessions"]] + [
    ["sessions", 0, key]
    for key in ("name", "namespace", "account", "paired_at", "epoch", "sha256", "size", "rows")
]  # fmt: skip


@given(st.sampled_from(_FIELDS), _JSON)
@settings(max_examples=400, deadline=None)
def test_any_value_in_the_manifest(path: list[str | int], value: Any) -> None:
    found = looked_through(_with(path, value))
    if found is not None:
        assert found.manifest.sessions[0].size == len(_DATA)


_MEMBERS = st.sampled_from(
    ["manifest.json", "0.db", "1.db", "../0.db", "/tmp/0.db", "a/../../0.db", "C:\\0.db", "0.db/", "", "\0", "ж.db"]
)


_CONTENT = st.sampled_from([b"", b"{}", _DATA, msgspec.json.encode(manifest([session("s0", _DATA)]))])
_KINDS = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])


@given(st.lists(st.tuples(_MEMBERS, _CONTENT), max_size=5), _KINDS)
@unhurried
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_any_members(members: list[tuple[str, bytes]], kind: int) -> None:
    found = looked_through(archive(members, kind=kind))
    if found is not None:
        assert sorted(name for name, _ in members) == ["0.db", "manifest.json"]


# -- what people with bad intentions would try -----------------------------------------------------------------------


def test_a_newer_version_is_told_as_such() -> None:
    newer = msgspec.json.encode({"format": "wakit-bundle", "version": 2, "sessions": "otherwise"})
    refused(archive({"manifest.json": newer}), "newer wakit")


@pytest.mark.parametrize("name", ["a\n", "../x", "a/b", "A", "", "a" * 64, "."])
def test_no_name_in_a_manifest_leads_anywhere(name: str) -> None:
    refused(_with(["sessions", 0, "name"], name), "not one of a bundle")
    refused(_with(["bundle"], name), "not one of a bundle")


def test_a_session_is_named_once() -> None:
    said = msgspec.json.encode(manifest([session("a", _DATA), session("a", _DATA)]))
    refused(archive({"manifest.json": said, "0.db": _DATA, "1.db": _DATA}), "twice")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_are_those_of_the_manifest() -> None:
    said = msgspec.json.encode(manifest([session("a", _DATA)]))
    refused(archive({"manifest.json": said}), "other members")
    refused(archive({"manifest.json": said, "0.db": _DATA, "1.db": b"x"}), "other members")
    refused(archive([("manifest.json", said), ("0.db", _DATA), ("0.db", _DATA)]), "other members")
    refused(archive([("manifest.json", said), ("manifest.json", said), ("0.db", _DATA)]), "other members")
    refused(archive({"0.db": _DATA}), "no manifest")


def test_sizes_and_checksums_that_lie() -> None:
    refused(_with(["sessions", 0, "size"], len(_DATA) + 1), "another size")
    refused(_with(["sessions", 0, "sha256"], "0" * 64), "another checksum")
    refused(_with(["sessions", 0, "size"], bundle.MAX_DATABASE + 1), "not one of a bundle")


def test_a_member_that_ends_before_its_size() -> None:
    """A stored member may be shorter than it says, with a checksum that fits: zipfile does not mind."""
    said = session("a", _DATA, size=len(_DATA) + 1000)
    data = archive({"manifest.json": msgspec.json.encode(manifest([said])), "0.db": _DATA}, kind=zipfile.ZIP_STORED)
    lying = bytearray(data)
    for at in (_central(data, "0.db") + 24, data.index(b"0.db") - 30 + 22):
        struct.pack_into("<L", lying, at, said.size)
    refused(bytes(lying), "shorter than it says")


def test_more_than_any_bundle_has_is_not_even_inflated() -> None:
    big = [session(f"s{index}", _DATA, size=bundle.MAX_DATABASE) for index in range(3)]
    said = msgspec.json.encode(manifest(big))
    refused(archive({"manifest.json": said} | {f"{index}.db": _DATA for index in range(3)}), "larger than any")


def _central(data: bytes, name: str) -> int:
    """Where the directory's entry of a member begins."""
    at = data.rindex(name.encode())
    return data.rindex(b"PK\x01\x02", 0, at)


def test_a_member_is_never_inflated_beyond_what_it_declares() -> None:
    """64 MiB of zeros that call themselves 1386 bytes: deflate makes 65 kB of them."""
    zeros = archive({"manifest.json": msgspec.json.encode(manifest([session("a", _DATA)])), "0.db": bytes(_ZEROS)})
    lying = bytearray(zeros)
    for at in (_central(zeros, "0.db") + 24, zeros.index(b"0.db") - 30 + 22):
        struct.pack_into("<L", lying, at, len(_DATA))
    assert price(bytes(lying)) < _PRICE


def test_a_manifest_that_inflates_is_refused() -> None:
    assert price(archive({"manifest.json": b" " * _ZEROS, "0.db": _DATA})) < _PRICE
    deep = b"[" * 10**6
    assert (
        price(archive({"manifest.json": b'{"format":"wakit-bundle","version":1,"x":' + deep, "0.db": _DATA})) < _PRICE
    )


def test_a_directory_of_millions_is_not_built_in_memory() -> None:
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    directory = entry * 500_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 5, 5, len(directory), 0, 0)
    assert price(directory + end) < _PRICE
    # The same, announced by the larger end of ZIP64, which zipfile would believe rather than the smaller one.
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 500_000, 500_000, len(directory), 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(directory), 1)
    small = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, len(directory) + len(end64) + len(locator), 0)
    assert price(directory + end64 + locator + small) < _PRICE


def price(data: bytes) -> int:
    """How much memory it takes to refuse this."""
    tracemalloc.start()
    try:
        with pytest.raises(BundleError):
            bundle.read(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"before" + data,
        lambda data: data + b"after",
        lambda data: data[:-2] + b"\x05\x00" + b"hello",
        lambda data: data.replace(b"PK\x01\x02", b"PK\x01\x03"),
    ],
)
def test_nothing_stands_before_behind_or_between(change: Callable[[bytes], bytes]) -> None:
    assert looked_through(change(_VALID)) is None


def test_an_encrypted_member_is_refused() -> None:
    data = bytearray(_VALID)
    for at in (_central(_VALID, "0.db") + 8, _VALID.index(b"0.db") - 30 + 6):
        data[at] |= 1
    refused(bytes(data), "damaged")


def test_what_would_be_too_big_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(_DATA)
    with pytest.raises(BundleError, match="too big"):
        bundle.write(manifest([session("a", _DATA, size=bundle.MAX_DATABASE + 1)]), [path])
    big = [session(f"s{index}", _DATA, size=bundle.MAX_DATABASE) for index in range(3)]
    with pytest.raises(BundleError, match="too big"):
        bundle.write(manifest(big), [path] * 3)


# -- unpacking -------------------------------------------------------------------------------------------------------


@given(st.binary(min_size=1, max_size=200))
@settings(max_examples=50, deadline=None)
def test_what_is_unpacked_lies_in_its_folder_and_is_no_credential(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    root = tmp_path_factory.mktemp("unpacked")
    folder = root / "transfer"
    folder.mkdir()
    with pytest.raises(BundleError, match="cannot be used"):
        arrival.unpack(bundle.read(bundled(data)), folder, b"key")
    assert [path.relative_to(root).as_posix() for path in sorted(root.rglob("*"))] == [
        "transfer", "transfer/0", "transfer/0/creds.db",
    ]  # fmt: skip
    assert (folder / "0" / "creds.db").stat().st_mode & 0o777 == 0o600
