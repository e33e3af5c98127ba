"""Do the keys of a device belong together? What one folder holds may be patched together from two.

A device's keys vouch for each other: a public half follows from its private half, the identity signs the signed
pre-key, the account's key signs the device's identity when it is linked, and the identity signs that in turn. So a key
of another device, or a flipped byte, is found without asking anybody.

Signatures are XEdDSA, as libsignal makes them: the Ed25519 key's sign bit stands in the top bit of the last byte.
What is signed, and the two prefixes of each signature (the second is for accounts that WhatsApp hosts), is in
whatsmeow's pair.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import xeddsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

KEY: Final = 32
SIGNATURE: Final = 64
DJB: Final = b"\x05"  # libsignal's mark of a Curve25519 key
_ACCOUNT_SIGNS: Final = (b"\x06\x00", b"\x06\x05")
_DEVICE_SIGNS: Final = (b"\x06\x01", b"\x06\x06")


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """What a linked device proves itself with; private halves, 32 bytes each."""

    identity: bytes = field(repr=False)
    signed_pre_key: bytes = field(repr=False)
    signed_pre_key_signature: bytes = field(repr=False)
    adv_details: bytes = field(repr=False)
    adv_account_signature: bytes = field(repr=False)
    adv_account_key: bytes = field(repr=False)
    adv_device_signature: bytes = field(repr=False)

    def objection(self) -> str:
        """Say which of them do not belong together, or "".

        Raises:
            ValueError: One of them has a wrong size.
        """
        identity = public_of(self.identity)
        if not signed(identity, DJB + public_of(self.signed_pre_key), self.signed_pre_key_signature):
            return "its signed pre-key is not signed by its identity"
        linked = self.adv_details + identity
        if not any(signed(self.adv_account_key, each + linked, self.adv_account_signature) for each in _ACCOUNT_SIGNS):
            return "its identity is not the one that the account signed when it was linked"
        linked += self.adv_account_key
        if not any(signed(identity, each + linked, self.adv_device_signature) for each in _DEVICE_SIGNS):
            return "its link to the account is not signed by its identity"
        return ""


def public_of(private: bytes) -> bytes:
    """Return the public half of a key.

    Raises:
        ValueError: It is not 32 bytes.
    """
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether the owner of ``public`` signed a message; never raises for bad bytes."""
    if len(public) != KEY or len(signature) != SIGNATURE:
        return False
    sign_bit = bool(signature[-1] & 0x80)
    plain = signature[:-1] + bytes((signature[-1] & 0x7F,))
    return xeddsa.ed25519_verify(plain, xeddsa.curve25519_pub_to_ed25519_pub(public, sign_bit), message)
