"""Credentials as other tools leave them, made here: keys that belong together, in those tools' own spelling."""

from __future__ import annotations

import base64
import json
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from wakit.sim.curve import KeyPair, sign

USER = "34600000001"
LID = "123456789012345"
DJB = b"\x05"


def buffer(value: bytes) -> dict[str, str]:
    """Bytes as Baileys' own replacer writes them."""
    return {"type": "Buffer", "data": base64.b64encode(value).decode()}


def text(value: bytes) -> str:
    """Bytes as protobufjs, and libsignal-node, write them."""
    return base64.b64encode(value).decode()


def pair_of(keys: KeyPair) -> dict[str, Any]:
    return {"private": buffer(keys.private), "public": buffer(keys.public)}


def device_keys() -> dict[str, Any]:
    """What a device that an account linked has, by whatsmeow's names."""
    identity, account, pre_key = KeyPair.generate(), KeyPair.generate(), KeyPair.generate()
    details = b"\x08\x01\x10\x02\x18\x01"
    account_signature = sign(account.private, b"\x06\x00" + details + identity.public)
    return {
        "registration_id": 4711,
        "noise_key": KeyPair.generate().private,
        "identity_key": identity.private,
        "signed_pre_key": pre_key.private,
        "signed_pre_key_id": 1,
        "signed_pre_key_sig": sign(identity.private, DJB + pre_key.public),
        "adv_key": secrets.token_bytes(32),
        "adv_details": details,
        "adv_account_sig": account_signature,
        "adv_account_sig_key": account.public,
        "adv_device_sig": sign(identity.private, b"\x06\x01" + details + identity.public + account.public),
    }


def creds(user: str = USER, lid: str | None = LID, keys: dict[str, Any] | None = None) -> dict[str, Any]:
    """A ``creds.json``."""
    keys = keys or device_keys()
    return {
        "noiseKey": pair_of(KeyPair.of(keys["noise_key"])),
        "pairingEphemeralKeyPair": pair_of(KeyPair.generate()),
        "signedIdentityKey": pair_of(KeyPair.of(keys["identity_key"])),
        "signedPreKey": {
            "keyPair": pair_of(KeyPair.of(keys["signed_pre_key"])),
            "signature": buffer(keys["signed_pre_key_sig"]),
            "keyId": keys["signed_pre_key_id"],
        },
        "registrationId": keys["registration_id"],
        "advSecretKey": text(keys["adv_key"]),
        "nextPreKeyId": 1,
        "firstUnuploadedPreKeyId": 1,
        "account": {
            "details": text(keys["adv_details"]),
            "accountSignatureKey": text(keys["adv_account_sig_key"]),
            "accountSignature": text(keys["adv_account_sig"]),
            "deviceSignature": text(keys["adv_device_sig"]),
        },
        "me": {"id": f"{user}:7@s.whatsapp.net", "name": "Me", **({"lid": f"{lid}:7@lid"} if lid else {})},
        "platform": "android",
    }


def folder(path: Path, found: Any = None, **entries: Any) -> Path:
    """A Baileys folder; entries by file name without ``.json``."""
    path.mkdir(exist_ok=True)
    (path / "creds.json").write_text(json.dumps(creds() if found is None else found))
    for name, value in entries.items():
        (path / f"{name}.json").write_text(json.dumps(value))
    return path


def add_device(database: Path, user: str, device: int = 7, keys: dict[str, Any] | None = None) -> str:
    """Link another device in a whatsmeow store; return its address."""
    jid = f"{user}:{device}@s.whatsapp.net"
    row = {"jid": jid, "lid": f"{int(user) * 3}:{device}@lid", **(keys or device_keys())}
    insert(database, "whatsmeow_device", **row)
    insert(database, "whatsmeow_pre_keys", jid=jid, key_id=1, key=secrets.token_bytes(32), uploaded=1)
    return jid


def insert(database: Path, table: str, **row: object) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def rows(database: Path, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(f"SELECT {columns} FROM {table}").fetchall()


def session_record(theirs: KeyPair) -> dict[str, Any]:
    """An open session in libsignal-node's JSON, in which both have written, and they have moved on once."""
    base, sending, receiving, left = (KeyPair.generate() for _ in range(4))
    return {
        "_sessions": {
            text(DJB + base.public): {
                "registrationId": 99,
                "currentRatchet": {
                    "ephemeralKeyPair": {"pubKey": text(DJB + sending.public), "privKey": text(sending.private)},
                    "lastRemoteEphemeralKey": text(DJB + receiving.public),
                    "previousCounter": 4,
                    "rootKey": text(b"\x44" * 32),
                },
                "indexInfo": {
                    "baseKey": text(DJB + base.public),
                    "baseKeyType": 1,
                    "closed": -1,
                    "used": 2,
                    "created": 1,
                    "remoteIdentityKey": text(DJB + theirs.public),
                },
                "_chains": {
                    text(DJB + left.public): {
                        "chainKey": {"counter": 5},
                        "chainType": 2,
                        "messageKeys": {"3": text(b"\x03" * 32)},
                    },
                    text(DJB + receiving.public): {
                        "chainKey": {"counter": 11, "key": text(b"\x22" * 32)},
                        "chainType": 2,
                        "messageKeys": {"10": text(b"\x10" * 32), "9": text(b"\x09" * 32)},
                    },
                    text(DJB + sending.public): {
                        "chainKey": {"counter": -1, "key": text(b"\x33" * 32)},
                        "chainType": 1,
                        "messageKeys": {},
                    },
                },
            }
        },
        "version": "v1",
    }
