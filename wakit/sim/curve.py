"""Curve25519 as WhatsApp uses it: key agreement, and signatures with the same keys (XEdDSA).

An XEdDSA signature is an Ed25519 signature made with a Curve25519 key. The verifier knows the public key only up to its
sign, so the signer says which one: libsignal puts the Ed25519 key's sign bit into the top bit of the signature's last
byte. :func:`sign` always signs with the key whose bit is 0, as the XEdDSA paper asks, so its signatures satisfy both
kinds of verifier; :func:`verify` reads the bit, so it accepts both kinds of signer.

Sources: https://signal.org/docs/specifications/xeddsa/ and libsignal's ``ecc`` package.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Self

import xeddsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

KEY_SIZE = 32
SIGNATURE_SIZE = 64
DJB_TYPE = b"\x05"  # libsignal's mark for "a Curve25519 key", in front of a key that is signed


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A Curve25519 key pair; 32 bytes each, the private half never shown."""

    private: bytes
    public: bytes

    @classmethod
    def generate(cls) -> Self:
        """Make a fresh pair from the system's randomness."""
        return cls.of(secrets.token_bytes(KEY_SIZE))

    @classmethod
    def of(cls, private: bytes) -> Self:
        """Return the pair that belongs to 32 private bytes."""
        key = X25519PrivateKey.from_private_bytes(private)
        return cls(private, key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return "KeyPair('•••')"


def agree(private: bytes, public: bytes) -> bytes:
    """Return the 32-byte shared secret of one side's private key and the other's public key.

    Raises:
        ValueError: The public key is not 32 bytes, or of low order.
    """
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


def sign(private: bytes, message: bytes) -> bytes:
    """Sign ``message``: 64 bytes that libsignal's verifier and a strict XEdDSA verifier accept."""
    return xeddsa.ed25519_priv_sign(xeddsa.priv_force_sign(private, set_sign_bit=False), message)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether ``signature`` is one of ``message`` by the owner of ``public``; never raises for bad bytes."""
    if len(public) != KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    sign_bit = bool(signature[63] & 0x80)
    plain = signature[:63] + bytes((signature[63] & 0x7F,))
    return xeddsa.ed25519_verify(plain, xeddsa.curve25519_pub_to_ed25519_pub(public, sign_bit), message)
