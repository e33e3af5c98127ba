"""Signal sessions and sender keys: from the JSON of libsignal-node (Baileys) to that of Go's libsignal (whatsmeow).

Both keep the same ratchet, cut up differently (libsignal-node's session_cipher.js, Go's SessionCipher.go and
ChainState.go; whatsmeow's store serializes with Go's names and base64):

- A *chain* counts the keys it has used up in one, and names the next one in the other: the index is one more.
- A key that was skipped over is kept raw in one and derived in the other (HKDF, as either does when it is used).
- A chain that the correspondent has left has lost its key in one, and needs one in the other. It gets a random one:
  nobody can have written anything that it opens, while the keys that were skipped over still do what they should.
- The initiator's first receiving chain, which Go keeps and the other does not, is never used by anybody.
- Of closed sessions, old messages may still arrive, so they become the previous ones, the last used first.

A record that is not whole is not carried at all: without a session a correspondent's message is answered by a retry
receipt, and it comes again, while a wrong session would have us write what nobody can read.
"""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wakit.vault.migration.curve import DJB, KEY
from wakit.vault.migration.octets import member, octets, read_json, whole

_VERSION: Final = 3
_NEVER: Final = -1  # in libsignal-node: a session that is not closed, and a chain that was never used
_SENDING, _RECEIVING = 1, 2  # chain_type.js
_MOST: Final = (1 << 32) - 1
# What Go's libsignal keeps at most (SessionState.go, SessionRecord.go, SenderKeyRecord.go).
_CHAINS: Final = 5
_SKIPPED: Final = 2000
_PREVIOUS: Final = 40
_STATES: Final = 5


class _BrokenError(Exception):
    """Something in a record is not as it should be."""


def session(record: Any, our_identity: bytes, our_registration: int) -> tuple[bytes, bytes] | None:
    """Convert one correspondent's record.

    Args:
        record: A ``session-*.json``, read.
        our_identity: Our public identity key, 32 bytes.
        our_registration: Our registration id.

    Returns:
        What whatsmeow stores, and the correspondent's identity key (32 bytes); None if there is no whole open session.
    """
    entries = member(record, "_sessions")
    if not isinstance(entries, dict):
        return None
    states: dict[str, dict[str, Any]] = {}
    for name, entry in entries.items():
        try:
            states[name] = _state(entry, our_identity, our_registration)
        except _BrokenError:
            continue
    current = next((name for name in states if member(entries[name], "indexInfo", "closed") == _NEVER), None)
    if current is None:
        return None
    closed = [name for name in states if name != current]
    previous = sorted(closed, key=lambda name: _last_used(entries[name]), reverse=True)
    converted = {
        "SessionState": states[current],
        "PreviousStates": [states[name] for name in previous[:_PREVIOUS]],
    }
    return _go_json(converted), base64.b64decode(states[current]["RemoteIdentityPublic"])[1:]


def sender_key(record: Any) -> bytes | None:
    """Convert the keys with which one member writes to one group; None if they are not whole.

    Args:
        record: A ``sender-key-*.json``, read: bytes, in which there is JSON once more.
    """
    inner = octets(record)
    states = read_json(inner) if inner is not None else record
    if not isinstance(states, list) or not states:
        return None
    try:
        # The newest stands last in one and first in the other.
        return _go_json({"SenderKeyStates": [_sender_state(each) for each in states[: -_STATES - 1 : -1]]})
    except _BrokenError:
        return None


def _state(entry: Any, our_identity: bytes, our_registration: int) -> dict[str, Any]:
    ratchet, info = member(entry, "currentRatchet"), member(entry, "indexInfo")
    ours = _bytes(member(ratchet, "ephemeralKeyPair", "pubKey"), KEY + 1)
    chains = member(entry, "_chains")
    if not isinstance(chains, dict):
        raise _BrokenError
    sender = next((each for name, each in chains.items() if octets(name) == ours), None)
    if sender is None or member(sender, "chainType") != _SENDING:
        raise _BrokenError
    receivers = [(name, each) for name, each in chains.items() if member(each, "chainType") == _RECEIVING]
    return {
        "LocalIdentityPublic": _text(DJB + our_identity),
        "LocalRegistrationID": our_registration,
        "NeedsRefresh": False,
        "PendingKeyExchange": None,
        "PendingPreKey": _pending(member(entry, "pendingPreKey")),
        "PreviousCounter": max(0, _whole(member(ratchet, "previousCounter"), _NEVER)),
        "ReceiverChains": [_receiver(name, each) for name, each in receivers[-_CHAINS:]],
        "RemoteIdentityPublic": _text(_bytes(member(info, "remoteIdentityKey"), KEY + 1)),
        "RemoteRegistrationID": _whole(member(entry, "registrationId")),
        "RootKey": _text(_bytes(member(ratchet, "rootKey"), KEY)),
        "SenderBaseKey": _text(_bytes(member(info, "baseKey"), KEY + 1)),
        "SenderChain": {
            "SenderRatchetKeyPublic": _text(ours),
            "SenderRatchetKeyPrivate": _text(_bytes(member(ratchet, "ephemeralKeyPair", "privKey"), KEY)),
            "ChainKey": {"Key": _text(_bytes(member(sender, "chainKey", "key"), KEY)), "Index": _next(sender)},
            "MessageKeys": [],
        },
        "SessionVersion": _VERSION,
    }


def _receiver(name: str, chain: Any) -> dict[str, Any]:
    key = member(chain, "chainKey", "key")
    closed = secrets.token_bytes(KEY)
    skipped = member(chain, "messageKeys")
    if not isinstance(skipped, dict):
        raise _BrokenError
    kept = sorted((_whole(index), _bytes(raw, KEY)) for index, raw in skipped.items())
    return {
        "SenderRatchetKeyPublic": _text(_bytes(name, KEY + 1)),
        "SenderRatchetKeyPrivate": None,
        "ChainKey": {"Key": _text(closed if key is None else _bytes(key, KEY)), "Index": _next(chain)},
        "MessageKeys": [_message_key(index, raw) for index, raw in kept[-_SKIPPED:]],
    }


def _message_key(index: int, raw: bytes) -> dict[str, Any]:
    derived = HKDF(SHA256(), 80, salt=bytes(32), info=b"WhisperMessageKeys").derive(raw)
    cipher_key, mac_key, iv = derived[:32], derived[32:64], derived[64:]
    return {"CipherKey": _text(cipher_key), "MacKey": _text(mac_key), "IV": _text(iv), "Index": index}


def _pending(pending: Any) -> dict[str, Any] | None:
    """Convert what goes along with every message until the first answer: whose keys the session was begun with."""
    if pending is None:
        return None
    number = member(pending, "preKeyId")
    return {
        "PreKeyID": {"Value": 0 if number is None else _whole(number), "IsEmpty": number is None},
        "SignedPreKeyID": _whole(member(pending, "signedKeyId")),
        "BaseKey": _text(_bytes(member(pending, "baseKey"), KEY + 1)),
    }


def _sender_state(state: Any) -> dict[str, Any]:
    public = _bytes(member(state, "senderSigningKey", "public"), KEY, KEY + 1)
    private = octets(member(state, "senderSigningKey", "private"), 0, KEY) or bytes(KEY)  # only we have our own
    skipped = member(state, "senderMessageKeys") or []
    if not isinstance(skipped, list):
        raise _BrokenError
    return {
        "Keys": [_sender_message_key(each) for each in skipped[-_SKIPPED:]],
        "KeyID": _whole(member(state, "senderKeyId")),
        "SenderChainKey": {
            "Iteration": _whole(member(state, "senderChainKey", "iteration")),
            "ChainKey": _text(_bytes(member(state, "senderChainKey", "seed"), KEY)),
        },
        "SigningKeyPrivate": _text(private),
        "SigningKeyPublic": _text(public if len(public) > KEY else DJB + public),
    }


def _sender_message_key(key: Any) -> dict[str, Any]:
    seed = _bytes(member(key, "seed"), KEY)
    derived = HKDF(SHA256(), 48, salt=bytes(32), info=b"WhisperGroup").derive(seed)
    return {
        "Iteration": _whole(member(key, "iteration")),
        "IV": _text(derived[:16]),
        "CipherKey": _text(derived[16:]),
        "Seed": _text(seed),
    }


def _next(chain: Any) -> int:
    return _whole(member(chain, "chainKey", "counter"), _NEVER) + 1


def _last_used(entry: Any) -> int:
    return whole(member(entry, "indexInfo", "used"), 0, 1 << 53) or 0


def _bytes(value: Any, *sizes: int) -> bytes:
    found = octets(value, *sizes)
    if found is None or (len(found) == KEY + 1 and found[:1] != DJB):
        raise _BrokenError
    return found


def _whole(value: Any, least: int = 0) -> int:
    found = whole(value, least, _MOST - 1)
    if found is None:
        raise _BrokenError
    return found


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _go_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
