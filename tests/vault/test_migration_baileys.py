"""A Baileys folder, field by field: what is carried, how, and what is said of the rest."""

from __future__ import annotations

import copy
import json
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.foreign import DJB, LID, USER, buffer, creds, device_keys, folder, pair_of, rows, session_record, text

from wakit.errors import CredentialError
from wakit.redact import PhoneNumber, account_hash
from wakit.sim.curve import KeyPair
from wakit.vault.inspection import inspect
from wakit.vault.migration import Migrated, baileys, migrate
from wakit.vault.migration.baileys_creds import read_creds
from wakit.vault.migration.curve import public_of
from wakit.vault.migration.protobuf import fingerprint

JID = f"{USER}:7@s.whatsapp.net"
Blank = Callable[[Path], None]


def move(source: Path, tmp_path: Path, blank: Blank, account: PhoneNumber | None = None) -> tuple[Migrated, Path]:
    target = tmp_path / "out" / "creds.db"
    target.parent.mkdir(mode=0o700)
    return migrate(source, target, kind="baileys", account=account, blank=blank), target


def test_the_device_is_carried_field_by_field(tmp_path: Path, blank: Blank) -> None:
    keys = device_keys()
    migrated, target = move(folder(tmp_path / "auth", creds(keys=keys)), tmp_path, blank)
    columns = ("jid", "lid", "platform", "business_name", "push_name", *keys)
    (row,) = rows(target, "whatsmeow_device", ", ".join(columns))
    assert row == (JID, f"{LID}:7@lid", "android", "", "Me", *keys.values())
    assert migrated.account.reveal() == USER
    assert dict(migrated.carried) == {"device": 1, "identity keys": 1, "lid map": 1}
    assert migrated.left == ()
    assert "never be started" in migrated.advice[0]
    assert USER not in repr(migrated)


def test_what_is_made_is_a_credential_of_the_vault(tmp_path: Path, blank: Blank) -> None:
    _, target = move(folder(tmp_path / "auth"), tmp_path, blank)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.read_bytes()[18:20] == b"\x02\x02", "not in WAL mode"
    assert [each.name for each in target.parent.iterdir()] == ["creds.db"], "something was left beside it"
    found = inspect(target, b"key")
    assert (found.problem, found.linked, found.account) == ("", True, account_hash(USER, b"key"))


def test_a_device_without_a_hidden_number_learns_it_later(tmp_path: Path, blank: Blank) -> None:
    migrated, target = move(folder(tmp_path / "auth", creds(lid=None)), tmp_path, blank)
    assert rows(target, "whatsmeow_device", "lid") == [(None,)]
    assert dict(migrated.carried) == {"device": 1}


def spellings(value: bytes) -> list[Any]:
    return [
        buffer(value),
        text(value),
        {"type": "Buffer", "data": list(value)},
        {str(index): each for index, each in enumerate(value)},
    ]


@pytest.mark.parametrize("way", range(4))
def test_bytes_are_read_in_every_spelling(way: int) -> None:
    keys = device_keys()
    found = creds(keys=keys)
    found["noiseKey"]["private"] = spellings(keys["noise_key"])[way]
    found["account"]["accountSignature"] = spellings(keys["adv_account_sig"])[way]
    found["advSecretKey"] = spellings(keys["adv_key"])[way]
    read = read_creds(json.dumps(found).encode())
    assert (read.noise_key, read.keys.adv_account_signature) == (keys["noise_key"], keys["adv_account_sig"])


FIELDS = (
    "noiseKey.private",
    "noiseKey.public",
    "signedIdentityKey.private",
    "signedIdentityKey.public",
    "signedPreKey.keyPair.private",
    "signedPreKey.keyPair.public",
    "signedPreKey.signature",
    "signedPreKey.keyId",
    "registrationId",
    "advSecretKey",
    "account.details",
    "account.accountSignatureKey",
    "account.accountSignature",
    "account.deviceSignature",
    "me.id",
)


def with_field(path: str, value: Any) -> dict[str, Any]:
    found = copy.deepcopy(creds())
    *parents, last = path.split(".")
    inner = found
    for name in parents:
        inner = inner[name]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return found


@pytest.mark.parametrize("path", FIELDS)
@pytest.mark.parametrize("value", [None, "", {}, [], -1, buffer(b"short"), "not base64!", {"0": 300}], ids=repr)
def test_a_field_that_is_missing_or_wrong_is_named(path: str, value: Any) -> None:
    with pytest.raises(CredentialError) as refused:
        read_creds(json.dumps(with_field(path, value)).encode())
    # Details may have any size, so wrong ones are noticed by their signature.
    assert path.removesuffix(".public") in refused.value.why or path == "account.details"
    assert "wakit pair" in refused.value.hint


@pytest.mark.parametrize("path", [each for each in FIELDS if each not in ("registrationId", "signedPreKey.keyId")])
def test_a_field_of_another_device_is_noticed(path: str) -> None:
    """Every key is vouched for by another one, but for those that only the server and the phone can tell."""
    found, other = creds(), creds()
    *parents, last = path.split(".")
    inner, theirs = found, other
    for name in parents:
        inner, theirs = inner[name], theirs[name]
    inner[last] = theirs[last]
    if path in ("advSecretKey", "me.id", "account.details"):
        read_creds(json.dumps(found).encode())
        return
    with pytest.raises(CredentialError, match="do not belong together"):
        read_creds(json.dumps(found).encode())


@pytest.mark.parametrize("missing", ["me", "account"])
def test_what_was_never_linked_is_said_so(missing: str) -> None:
    with pytest.raises(CredentialError, match="not linked") as refused:
        read_creds(json.dumps(with_field(missing, None)).encode())
    assert refused.value.hint == "link it: `wakit pair NAME`"


@pytest.mark.parametrize(
    "jid",
    ["123@lid", f"{USER}@s.whatsapp.net", f"{USER}:7@c.us", "x:7@s.whatsapp.net", "7", 7, f"{USER}:x@s.whatsapp.net"],
)
def test_an_address_that_is_no_linked_device_is_refused(jid: Any) -> None:
    with pytest.raises(CredentialError, match=r"me\.id"):
        read_creds(json.dumps(with_field("me.id", jid)).encode())


def test_an_old_address_is_read() -> None:
    assert str(read_creds(json.dumps(with_field("me.id", f"{USER}.0:7@s.whatsapp.net")).encode()).address) == JID


def test_a_hosted_account_is_signed_with_other_prefixes() -> None:
    from wakit.sim.curve import sign  # noqa: PLC0415

    keys, account = device_keys(), KeyPair.generate()
    linked = keys["adv_details"] + public_of(keys["identity_key"])
    keys["adv_account_sig_key"] = account.public
    keys["adv_account_sig"] = sign(account.private, b"\x06\x05" + linked)
    keys["adv_device_sig"] = sign(keys["identity_key"], b"\x06\x06" + linked + account.public)
    read_creds(json.dumps(creds(keys=keys)).encode())


def test_another_account_than_the_one_asked_for_is_refused(tmp_path: Path, blank: Blank) -> None:
    with pytest.raises(CredentialError, match="no device of that account") as refused:
        move(folder(tmp_path / "auth"), tmp_path, blank, PhoneNumber("+34600000002"))
    assert USER not in str(refused.value)


# --- pre-keys


def pre_keys(numbers: range, following: int, unuploaded: int) -> tuple[dict[str, Any], dict[str, Any]]:
    pairs = {number: KeyPair.generate() for number in numbers}
    found = {**creds(), "nextPreKeyId": following, "firstUnuploadedPreKeyId": unuploaded}
    return found, {f"pre-key-{number}": pair_of(pair) for number, pair in pairs.items()}


def test_pre_keys_are_carried_with_what_was_uploaded(tmp_path: Path, blank: Blank) -> None:
    found, entries = pre_keys(range(1, 6), 6, 4)
    migrated, target = move(folder(tmp_path / "auth", found, **entries), tmp_path, blank)
    carried = rows(target, "whatsmeow_pre_keys", "jid, key_id, key, uploaded")
    assert [row[:2] + row[3:] for row in carried] == [(JID, number, int(number < 4)) for number in range(1, 6)]
    for _, number, key, _ in carried:
        assert buffer(public_of(key)) == entries[f"pre-key-{number}"]["public"]
    assert migrated.carried["pre keys"] == 5


def test_no_number_of_a_pre_key_is_given_away_twice(tmp_path: Path, blank: Blank) -> None:
    """The library counts on from the highest it has, and the highest ones may be used up."""
    found, entries = pre_keys(range(1, 3), 31, 31)
    _, target = move(folder(tmp_path / "auth", found, **entries), tmp_path, blank)
    assert rows(target, "whatsmeow_pre_keys", "key_id, uploaded") == [(1, 1), (2, 1), (31, 0)]


@pytest.mark.parametrize("name", ["pre-key-0", "pre-key-01", "pre-key-x", "pre-key-16777216", "pre-key--1", "pre-key-"])
def test_a_pre_key_without_a_number_stays(name: str, tmp_path: Path, blank: Blank) -> None:
    entries = {name: pair_of(KeyPair.generate()), "pre-key-1": pair_of(KeyPair.generate())}
    migrated, target = move(folder(tmp_path / "auth", creds(), **entries), tmp_path, blank)
    assert rows(target, "whatsmeow_pre_keys", "key_id") == [(1,)]
    assert migrated.left == ("1 damaged file stays behind; what they held is made or fetched anew.",)


def test_a_pre_key_of_two_halves_stays(tmp_path: Path, blank: Blank) -> None:
    halves = {**pair_of(KeyPair.generate()), "public": pair_of(KeyPair.generate())["public"]}
    migrated, _ = move(folder(tmp_path / "auth", creds(), **{"pre-key-1": halves}), tmp_path, blank)
    assert "pre keys" not in migrated.carried


# --- sessions, identities, sender keys


def test_sessions_and_identities_get_the_librarys_addresses(tmp_path: Path, blank: Blank) -> None:
    ours, theirs = KeyPair.generate(), KeyPair.generate()
    entries = {
        "session-34600000002.0": session_record(theirs),
        "session-99999_1.3": session_record(theirs),
        "session-99999_128.99": session_record(theirs),
        "session-nobody.0": session_record(theirs),
        "session-34600000003.0": {"_sessions": {}, "version": "v1"},
        "identity-key-34600000004.0": buffer(DJB + theirs.public),
        "identity-key-34600000002.0": buffer(DJB + ours.public),
    }
    migrated, target = move(folder(tmp_path / "auth", creds(), **entries), tmp_path, blank)
    known = sorted(rows(target, "whatsmeow_sessions", "our_jid, their_id"))
    assert known == [(JID, "34600000002:0"), (JID, "99999_128:99"), (JID, "99999_1:3")]
    identities = dict(rows(target, "whatsmeow_identity_keys", "their_id, identity"))
    assert identities.keys() == {f"{LID}_1:0", "34600000002:0", "34600000004:0", "99999_1:3", "99999_128:99"}
    assert identities["34600000002:0"] == theirs.public, "a session knows better than an older note"
    assert migrated.left == (
        "2 closed or damaged sessions stay behind; each is made anew with the next message, by itself.",
    )


def test_what_is_known_by_number_does_not_come_back_over_what_is_newer(tmp_path: Path, blank: Blank) -> None:
    theirs = KeyPair.generate()
    state = sender_key_file()
    entries = {
        "lid-mapping-34600000002": "99999",
        "lid-mapping-99999_reverse": "34600000002",
        "session-34600000002.0": session_record(theirs),
        "session-34600000002.1": session_record(theirs),
        "session-99999_1.0": session_record(theirs),
        "sender-key-1-2@g.us--34600000002--0": state,
        "sender-key-1-2@g.us--99999_1--0": state,
        "sender-key-3@g.us--34600000002--0": state,
    }
    migrated, target = move(folder(tmp_path / "auth", creds(), **entries), tmp_path, blank)
    assert sorted(rows(target, "whatsmeow_sessions", "their_id")) == [("34600000002:1",), ("99999_1:0",)]
    assert sorted(rows(target, "whatsmeow_sender_keys", "chat_id, sender_id")) == [
        ("1-2@g.us", "99999_1:0"),
        ("3@g.us", "34600000002:0"),
    ]
    assert sorted(rows(target, "whatsmeow_lid_map", "pn, lid")) == [(USER, LID), ("34600000002", "99999")]
    assert migrated.left == ()


def sender_key_file() -> dict[str, str]:
    state = {
        "senderKeyId": 5,
        "senderChainKey": {"iteration": 1, "seed": {"type": "Buffer", "data": list(bytes(32))}},
        "senderSigningKey": {"public": buffer(DJB + KeyPair.generate().public), "private": buffer(b"")},
        "senderMessageKeys": [],
    }
    return buffer(json.dumps([state]).encode())


@pytest.mark.parametrize(
    "name", ["sender-key-1@g.us", "sender-key---1--0", "sender-key-1@g.us--x--0", "sender-key-1@g.us--1--"]
)
def test_a_sender_key_of_nobody_stays(name: str, tmp_path: Path, blank: Blank) -> None:
    migrated, _ = move(folder(tmp_path / "auth", creds(), **{name: sender_key_file()}), tmp_path, blank)
    assert "sender keys" not in migrated.carried
    assert len(migrated.left) == 1


def test_a_hidden_number_is_mapped_once(tmp_path: Path, blank: Blank) -> None:
    entries = {
        "lid-mapping-34600000002": "5",
        "lid-mapping-34600000003": "5",
        f"lid-mapping-{USER}": "6",
        "lid-mapping-34600000004": 7,
        "lid-mapping-x": "8",
    }
    migrated, target = move(folder(tmp_path / "auth", creds(), **entries), tmp_path, blank)
    assert sorted(rows(target, "whatsmeow_lid_map", "pn, lid")) == [(USER, LID), ("34600000002", "5")]
    assert migrated.left[0].startswith("2 damaged files stay")


# --- app state and tokens


def test_sync_keys_are_carried_and_versions_are_not(tmp_path: Path, blank: Blank) -> None:
    number, key = bytes.fromhex("0000ffbeef3f"), secrets.token_bytes(32)
    shared = {
        "keyData": text(key),
        "timestamp": "1700000000123",
        "fingerprint": {"rawId": 300, "deviceIndexes": [0, 1]},
    }
    entries = {
        "app-state-sync-key-" + text(number).replace("/", "__"): shared,
        "app-state-sync-key-AAAB": {"keyData": buffer(key)},
        "app-state-sync-key-AAB=": {"keyData": buffer(key)},  # no number is spelt so
        "app-state-sync-key-": {"keyData": buffer(key)},
        "app-state-sync-key-AAAC": {"timestamp": 5},
        "app-state-sync-version-regular": {"version": 3, "hash": buffer(bytes(128)), "indexValueMap": {}},
    }
    migrated, target = move(folder(tmp_path / "auth", creds(), **entries), tmp_path, blank)
    assert sorted(rows(target, "whatsmeow_app_state_sync_keys")) == [
        (JID, b"\x00\x00\x01", key, 0, b""),
        (JID, number, key, 1700000000123, bytes.fromhex("08ac021a020001")),
    ]
    assert rows(target, "whatsmeow_app_state_version") == []
    assert any("fetches them all once" in each for each in migrated.left)
    assert any(each.startswith("3 damaged files") for each in migrated.left)


def test_a_fingerprint_is_the_librarys_protobuf() -> None:
    assert (
        fingerprint({"rawId": 300, "currentIndex": 1, "deviceIndexes": [0, 1, 300]}).hex() == "08ac0210011a040001ac02"
    )
    assert fingerprint(None) == fingerprint({"rawId": -1, "deviceIndexes": "x"}) == b""


def test_tokens_are_carried(tmp_path: Path, blank: Blank) -> None:
    entries = {
        "tctoken-99999@lid": {"token": buffer(b"token"), "timestamp": "1700000000", "senderTimestamp": 1700000001},
        "tctoken-34600000002@s.whatsapp.net": {"token": buffer(b""), "timestamp": 5},
        "tctoken-__index": {"token": buffer(b"[]")},
        "tctoken-34600000002.0@s.whatsapp.net": {"token": buffer(b"x"), "timestamp": 5},
        "tctoken-x": {"token": buffer(b"x")},
    }
    migrated, target = move(folder(tmp_path / "auth", creds(), **entries), tmp_path, blank)
    assert sorted(rows(target, "whatsmeow_privacy_tokens")) == [
        (JID, "34600000002@s.whatsapp.net", b"", 5, None),
        (JID, "99999@lid", b"token", 1700000000, 1700000001),
    ]
    assert migrated.left[0].startswith("2 damaged files")


# --- what strangers bring


def test_a_link_in_the_folder_is_refused(tmp_path: Path, blank: Blank) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps(pair_of(KeyPair.generate())))
    (folder(tmp_path / "auth") / "pre-key-1.json").symlink_to(secret)
    with pytest.raises(CredentialError, match="a link"):
        move(tmp_path / "auth", tmp_path, blank)


def test_a_pipe_in_the_folder_is_refused_and_not_waited_for(tmp_path: Path, blank: Blank) -> None:
    os.mkfifo(folder(tmp_path / "auth") / "session-1.0.json")
    with pytest.raises(CredentialError, match="no plain file"):
        move(tmp_path / "auth", tmp_path, blank)


def test_bounds_hold(tmp_path: Path, blank: Blank, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder(tmp_path / "auth", creds(), **{f"pre-key-{each}": {} for each in range(1, 5)})
    monkeypatch.setattr(baileys, "_MOST_FOLDER", 7)
    with pytest.raises(CredentialError, match="more in it than a credential has"):
        baileys.read(source)
    monkeypatch.undo()
    monkeypatch.setattr("wakit.vault.migration.files.MOST_ENTRIES", 4)
    with pytest.raises(CredentialError, match="more files than a credential has"):
        move(source, tmp_path, blank)
    monkeypatch.undo()
    with (source / "creds.json").open("r+b") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(CredentialError, match="more in it than a credential has"):
        baileys.read(source)


def test_the_folder_is_not_touched(tmp_path: Path, blank: Blank) -> None:
    source = folder(tmp_path / "auth", creds(), **{"pre-key-1": pair_of(KeyPair.generate())})
    before = {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in source.iterdir()}
    move(source, tmp_path, blank)
    assert {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in source.iterdir()} == before


def test_nothing_is_overwritten(tmp_path: Path, blank: Blank) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "creds.db").write_bytes(b"mine")
    with pytest.raises(CredentialError, match="one in its place"):
        migrate(folder(tmp_path / "auth"), tmp_path / "out" / "creds.db", blank=blank)
    assert (tmp_path / "out" / "creds.db").read_bytes() == b"mine"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(buffer(bytes(32))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_clear_error(data: bytes) -> None:
    with pytest.raises(CredentialError) as refused:
        read_creds(data)
    assert refused.value.why
    assert refused.value.hint


@given(path=st.sampled_from(FIELDS), value=JSON)
def test_any_value_of_any_field_is_a_clear_error(path: str, value: Any) -> None:
    # What only the phone can tell from the right one is taken as it is.
    free = path in ("registrationId", "signedPreKey.keyId", "advSecretKey")
    with suppress(CredentialError) if free else pytest.raises(CredentialError):
        read_creds(json.dumps(with_field(path, value)).encode())


KINDS = (
    "pre-key",
    "session",
    "sender-key",
    "identity-key",
    "app-state-sync-key",
    "lid-mapping",
    "tctoken",
    "device-list",
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(kind=st.sampled_from(KINDS), name=st.text("0129.:_-@=abc", max_size=12), value=JSON)
def test_any_entry_is_carried_or_counted(
    tmp_path_factory: pytest.TempPathFactory, kind: str, name: str, value: Any
) -> None:
    source = folder(tmp_path_factory.mktemp("auth"))
    (source / f"{kind}-{name}.json").write_text(json.dumps(value))
    found = baileys.read(source)
    assert found.account.reveal() == USER
    assert sum(len(list(table.rows)) for table in found.tables) >= 3


def test_a_folder_deeper_than_json_goes_is_a_clear_error() -> None:
    with pytest.raises(CredentialError, match="no JSON object"):
        read_creds(b'{"a":' * 100_000)
