"""What a phone does when it links a companion: the cryptography of scanning a QR code and of typing a code.

Scanning: the QR text carries the companion's keys and a secret. The phone signs the companion's identity with the
account's identity key and seals the result with the secret, so that the companion knows that this very QR was scanned.

Typing: both sides derive a key from the eight characters and exchange ephemeral keys under it; the companion then sends
its identity, sealed under what both now share, and both derive the secret that a QR would have carried.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from wakit.sim import wire
from wakit.sim.curve import KEY_SIZE, KeyPair, agree, sign, verify
from wakit.sim.noise import derive

_ACCOUNT_SIGNATURE: Final = b"\x06\x00"
_DEVICE_SIGNATURE: Final = b"\x06\x01"
_ITERATIONS: Final = 2 << 16
_SALT, _IV, _NONCE = 32, 16, 12
_QR_PARTS = 4
WRAPPED_SIZE: Final = _SALT + _IV + KEY_SIZE


class PhoneError(ValueError):
    """The phone refuses: the text, code or proof in front of it is not right. The message holds no secret."""


@dataclass(frozen=True, slots=True)
class QrCode:
    """What a QR code says: which pairing, the companion's two public keys, and the secret."""

    ref: str
    noise_key: bytes
    identity: bytes
    secret: bytes

    def __repr__(self) -> str:
        return "QrCode('•••')"


def read_qr(text: str) -> QrCode:
    """Read the text of a QR code: an optional URL up to ``#``, then comma-separated parts.

    Raises:
        PhoneError: It is not the QR code of a companion.
    """
    parts = text.strip().rpartition("#")[2].split(",")
    if len(parts) < _QR_PARTS:
        raise PhoneError("this is not the QR code of a companion")
    try:
        keys = [base64.b64decode(part, validate=True) for part in parts[1:_QR_PARTS]]
    except binascii.Error:
        raise PhoneError("this QR code is damaged") from None
    if any(len(key) != KEY_SIZE for key in keys):
        raise PhoneError("this QR code is damaged")
    return QrCode(parts[0], *keys)


def sign_companion(account: KeyPair, companion_identity: bytes, details: bytes) -> wire.DeviceIdentity:
    """Sign a companion's identity with the account's key."""
    signature = sign(account.private, _ACCOUNT_SIGNATURE + details + companion_identity)
    return wire.DeviceIdentity(details, account.public, signature)


def seal_identity(identity: wire.DeviceIdentity, secret: bytes) -> bytes:
    """Serialize a signed identity, sealed with the secret of the QR code or of the typed code."""
    signed = wire.write_identity(identity)
    return wire.identity_container(signed, hmac.digest(secret, signed, hashlib.sha256))


def check_companion_signature(sent: wire.DeviceIdentity, answer: wire.DeviceIdentity, identity: bytes) -> None:
    """Check that a companion signed the identity the phone gave it.

    Raises:
        PhoneError: It signed something else, or not with its identity key.
    """
    if answer.details != sent.details:
        raise PhoneError("the companion signed another identity than it was given")
    message = _DEVICE_SIGNATURE + sent.details + identity + sent.account_key
    if not verify(identity, message, answer.device_signature):
        raise PhoneError("the companion's signature does not verify")


def plain_code(code: str) -> str:
    """Return a typed code in the form both sides derive keys from; raises PhoneError if it has not eight characters."""
    compact = code.replace("-", "").replace(" ", "").upper()
    if len(compact) != 8 or not compact.isalnum():  # noqa: PLR2004
        raise PhoneError("a pairing code has eight letters and digits")
    return compact


def wrap_ephemeral(code: str, public: bytes) -> bytes:
    """Encrypt an ephemeral public key under a code: 32 salt, 16 IV, 32 ciphertext."""
    salt, iv = secrets.token_bytes(_SALT), secrets.token_bytes(_IV)
    return salt + iv + _code_cipher(code, salt, iv, public)


def unwrap_ephemeral(code: str, wrapped: bytes) -> bytes:
    """Decrypt an ephemeral public key; a wrong code gives a wrong key, not an error.

    Raises:
        PhoneError: The bytes have not the size of a wrapped key.
    """
    if len(wrapped) != WRAPPED_SIZE:
        raise PhoneError("the companion's wrapped key has the wrong size")
    salt, iv = wrapped[:_SALT], wrapped[_SALT : _SALT + _IV]
    return _code_cipher(code, salt, iv, wrapped[_SALT + _IV :])


def _code_cipher(code: str, salt: bytes, iv: bytes, data: bytes) -> bytes:
    key = hashlib.pbkdf2_hmac("sha256", code.encode(), salt, _ITERATIONS, KEY_SIZE)
    return Cipher(AES(key), CTR(iv)).encryptor().update(data)  # CTR: the same for both directions


@dataclass(frozen=True, slots=True)
class TypedCode:
    """The phone's half of a code pairing, from the typing on until the companion's bundle arrives."""

    account: KeyPair
    shared: bytes
    """What the two ephemeral keys agree on; right only if the code was."""

    def open_bundle(self, wrapped: bytes, companion_identity: bytes) -> bytes:
        """Open the companion's key bundle and return the secret that seals its identity.

        Raises:
            PhoneError: The bundle does not open (the code was wrong), or holds other identities.
        """
        salt, nonce, sealed = wrapped[:_SALT], wrapped[_SALT : _SALT + _NONCE], wrapped[_SALT + _NONCE :]
        key = derive(self.shared, salt=salt, info=b"link_code_pairing_key_bundle_encryption_key", size=KEY_SIZE)
        try:
            bundle = AESGCM(key).decrypt(nonce, sealed, None)
        except (InvalidTag, ValueError):
            raise PhoneError("the companion's key bundle does not open: the code was wrong") from None
        if bundle[: 2 * KEY_SIZE] != companion_identity + self.account.public or len(bundle) != 3 * KEY_SIZE:
            raise PhoneError("the companion's key bundle holds other identities")
        secret = self.shared + agree(self.account.private, companion_identity) + bundle[2 * KEY_SIZE :]
        return derive(secret, salt=None, info=b"adv_secret", size=KEY_SIZE)

    def __repr__(self) -> str:
        return "TypedCode('•••')"
