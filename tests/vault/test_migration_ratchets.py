"""A ratchet goes on where it was, in another library's spelling. That it really does is tried in tests/migration."""

from __future__ import annotations

import base64
import copy
import hmac
import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.foreign import DJB, buffer, session_record, text

from wakit.sim.curve import KeyPair
from wakit.vault.migration.ratchets import sender_key, session

OURS, THEIRS = KeyPair.generate(), KeyPair.generate()
RECORD = session_record(THEIRS)
OURS_ID = 4711
BASE = next(iter(RECORD["_sessions"]))


def entry_of(record: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = next(iter(record["_sessions"].values()))
    return entry


def convert(record: Any) -> dict[str, Any]:
    found = session(record, OURS.public, OURS_ID)
    assert found is not None
    assert found[1] == THEIRS.public
    converted: dict[str, Any] = json.loads(found[0])
    return converted


def derive(key: bytes, info: bytes, size: int) -> bytes:
    """HKDF by the book (RFC 5869), with a salt of zeros as either library has it."""
    secret, block, out = hmac.digest(bytes(32), key, sha256), b"", b""
    for number in range(1, 5):
        block = hmac.digest(secret, block + info + bytes((number,)), sha256)
        out += block
    return out[:size]


def test_a_session_is_the_same_in_the_other_librarys_words() -> None:
    entry, converted = entry_of(RECORD), convert(RECORD)
    state = converted["SessionState"]
    left, receiving, sending = entry["_chains"]
    assert converted["PreviousStates"] == []
    assert state | {"ReceiverChains": None, "SenderChain": None} == {
        "LocalIdentityPublic": text(DJB + OURS.public),
        "LocalRegistrationID": OURS_ID,
        "NeedsRefresh": False,
        "PendingKeyExchange": None,
        "PendingPreKey": None,
        "PreviousCounter": 4,
        "ReceiverChains": None,
        "RemoteIdentityPublic": text(DJB + THEIRS.public),
        "RemoteRegistrationID": 99,
        "RootKey": text(b"\x44" * 32),
        "SenderBaseKey": BASE,
        "SenderChain": None,
        "SessionVersion": 3,
    }
    # Ours was never used (-1), so its next message has number 0; theirs has used up 11.
    assert state["SenderChain"] == {
        "SenderRatchetKeyPublic": sending,
        "SenderRatchetKeyPrivate": entry["currentRatchet"]["ephemeralKeyPair"]["privKey"],
        "ChainKey": {"Key": text(b"\x33" * 32), "Index": 0},
        "MessageKeys": [],
    }
    assert [each["SenderRatchetKeyPublic"] for each in state["ReceiverChains"]] == [left, receiving]
    assert state["ReceiverChains"][1]["ChainKey"] == {"Key": text(b"\x22" * 32), "Index": 12}


def test_skipped_messages_can_still_be_opened() -> None:
    left, receiving = convert(RECORD)["SessionState"]["ReceiverChains"]
    assert [each["Index"] for each in receiving["MessageKeys"]] == [9, 10]
    for found, raw in ((receiving["MessageKeys"][0], b"\x09" * 32), (left["MessageKeys"][0], b"\x03" * 32)):
        keys = derive(raw, b"WhisperMessageKeys", 80)
        assert [base64.b64decode(found[name]) for name in ("CipherKey", "MacKey", "IV")] == [
            keys[:32], keys[32:64], keys[64:],
        ]  # fmt: skip


def test_nobody_can_write_on_a_chain_that_was_left() -> None:
    first, again = (convert(RECORD)["SessionState"]["ReceiverChains"][0]["ChainKey"] for _ in range(2))
    assert first["Index"] == again["Index"] == 6
    assert len(base64.b64decode(first["Key"])) == 32
    assert first["Key"] != again["Key"], "a key that can be guessed"


@pytest.mark.parametrize(
    ("number", "wanted"), [(5, {"Value": 5, "IsEmpty": False}), (None, {"Value": 0, "IsEmpty": True})]
)
def test_a_session_without_an_answer_says_again_how_it_was_begun(number: int | None, wanted: dict[str, Any]) -> None:
    record = copy.deepcopy(RECORD)
    pending = {"signedKeyId": 3, "baseKey": BASE, **({} if number is None else {"preKeyId": number})}
    entry_of(record)["pendingPreKey"] = pending
    assert convert(record)["SessionState"]["PendingPreKey"] == {
        "PreKeyID": wanted, "SignedPreKeyID": 3, "BaseKey": BASE,
    }  # fmt: skip


def test_closed_sessions_come_after_the_open_one_the_last_used_first() -> None:
    record = copy.deepcopy(RECORD)
    for used in range(50):
        older = entry_of(session_record(THEIRS))
        older["indexInfo"] |= {"closed": 1, "used": used}
        record["_sessions"] = {f"closed {used}": older, **record["_sessions"]}
    converted = convert(record)
    assert converted["SessionState"]["SenderBaseKey"] == BASE
    order = [state["SenderBaseKey"] for state in converted["PreviousStates"]]
    assert order == [record["_sessions"][f"closed {used}"]["indexInfo"]["baseKey"] for used in range(49, 9, -1)]


def test_no_more_chains_are_carried_than_the_library_keeps() -> None:
    record = copy.deepcopy(RECORD)
    chains = entry_of(record)["_chains"]
    for _ in range(7):
        chains[text(DJB + KeyPair.generate().public)] = {
            "chainKey": {"counter": 0, "key": text(bytes(32))}, "chainType": 2, "messageKeys": {},
        }  # fmt: skip
    kept = convert(record)["SessionState"]["ReceiverChains"]
    assert [each["SenderRatchetKeyPublic"] for each in kept] == list(chains)[-5:]


def test_a_counter_before_the_first_is_none() -> None:
    record = copy.deepcopy(RECORD)
    entry_of(record)["currentRatchet"]["previousCounter"] = -1
    assert convert(record)["SessionState"]["PreviousCounter"] == 0


PARTS = (
    "registrationId",
    "currentRatchet",
    "currentRatchet.ephemeralKeyPair.pubKey",
    "currentRatchet.ephemeralKeyPair.privKey",
    "currentRatchet.previousCounter",
    "currentRatchet.rootKey",
    "indexInfo.baseKey",
    "indexInfo.remoteIdentityKey",
    "indexInfo.closed",
    "_chains",
)


@pytest.mark.parametrize("path", PARTS)
@pytest.mark.parametrize("value", [None, "", "x", [], {}, 1 << 40, text(bytes(33)), text(bytes(5))], ids=repr)
def test_a_session_that_is_not_whole_is_not_carried(path: str, value: Any) -> None:
    record = copy.deepcopy(RECORD)
    *parents, last = path.split(".")
    inner = entry_of(record)
    for name in parents:
        inner = inner[name]
    inner[last] = value
    assert session(record, OURS.public, OURS_ID) is None


@pytest.mark.parametrize("chain", [0, 1, 2])
@pytest.mark.parametrize(
    ("name", "value"),
    [("chainKey", {}), ("chainKey", {"counter": "x", "key": text(bytes(32))}), ("messageKeys", {"x": text(bytes(32))}),
     ("messageKeys", {"1": "short"}), ("messageKeys", None)],
)  # fmt: skip
def test_a_chain_that_is_not_whole_is_not_carried(chain: int, name: str, value: Any) -> None:
    if chain == 2 and name == "messageKeys":
        return  # of our own messages none is kept
    record = copy.deepcopy(RECORD)
    list(entry_of(record)["_chains"].values())[chain][name] = value
    assert session(record, OURS.public, OURS_ID) is None


@pytest.mark.parametrize("record", [None, [], "x", {}, {"_sessions": None}, {"_sessions": {"a": None}}])
def test_what_is_no_record_is_not_carried(record: Any) -> None:
    assert session(record, OURS.public, OURS_ID) is None
    assert sender_key(record) is None


def sender_states(count: int) -> list[dict[str, Any]]:
    return [
        {
            "senderKeyId": number,
            "senderChainKey": {"iteration": number, "seed": buffer(bytes((number,)) * 32)},
            "senderSigningKey": {"public": {"type": "Buffer", "data": [5, *THEIRS.public]}, "private": buffer(b"")},
            "senderMessageKeys": [{"iteration": 0, "seed": buffer(b"\x07" * 32)}],
        }
        for number in range(1, count + 1)
    ]


def test_a_sender_key_is_the_same_in_the_other_librarys_words() -> None:
    converted = sender_key(buffer(json.dumps(sender_states(1)).encode()))
    keys = derive(b"\x07" * 32, b"WhisperGroup", 48)
    assert converted is not None
    assert json.loads(converted) == {
        "SenderKeyStates": [
            {
                "Keys": [
                    {"Iteration": 0, "IV": text(keys[:16]), "CipherKey": text(keys[16:]), "Seed": text(b"\x07" * 32)}
                ],
                "KeyID": 1,
                "SenderChainKey": {"Iteration": 1, "ChainKey": text(b"\x01" * 32)},
                "SigningKeyPrivate": text(bytes(32)),
                "SigningKeyPublic": text(DJB + THEIRS.public),
            }
        ]
    }


def test_our_own_sender_key_keeps_what_it_signs_with() -> None:
    states = sender_states(1)
    states[0]["senderSigningKey"] = {"public": buffer(THEIRS.public), "private": buffer(THEIRS.private)}
    converted = sender_key(states)  # older releases keep the list as it is
    assert converted is not None
    (state,) = json.loads(converted)["SenderKeyStates"]
    assert (state["SigningKeyPrivate"], state["SigningKeyPublic"]) == (text(THEIRS.private), text(DJB + THEIRS.public))


def test_the_newest_sender_key_comes_first_and_five_are_kept() -> None:
    converted = sender_key(sender_states(7))
    assert converted is not None
    assert [state["KeyID"] for state in json.loads(converted)["SenderKeyStates"]] == [7, 6, 5, 4, 3]


@pytest.mark.parametrize("name", ["senderKeyId", "senderChainKey", "senderSigningKey", "senderMessageKeys"])
@pytest.mark.parametrize("value", ["x", -1, [1], {"iteration": 1}])
def test_a_sender_key_that_is_not_whole_is_not_carried(name: str, value: Any) -> None:
    states = sender_states(2)
    states[0][name] = value
    assert sender_key(states) is None


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=4) | st.sampled_from([text(bytes(32)), text(DJB + bytes(32))]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(
        ["_sessions", "_chains", "indexInfo", "closed", "chainKey", "key", "messageKeys", "currentRatchet", "seed"]
    ), inner, max_size=4),
)  # fmt: skip


@given(JSON)
def test_any_record_is_carried_or_not(record: Any) -> None:
    assert session(record, OURS.public, OURS_ID) is None or isinstance(record, dict)
    sender_key(record)
