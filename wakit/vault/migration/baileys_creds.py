"""``creds.json``: a Baileys device itself. Everything that is read here is needed, and what is missing is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from wakit.errors import CredentialError
from wakit.vault.migration.belongings import ACCOUNT_SERVER, Address, Value
from wakit.vault.migration.curve import KEY, SIGNATURE, DeviceKeys, public_of
from wakit.vault.migration.octets import member, octets, read_json, whole

_HINT: Final = "put the whole folder back from a copy, or link the phone anew with `wakit pair NAME`"
_LONGEST_DETAILS: Final = 4096


@dataclass(frozen=True, slots=True)
class Creds:
    """A linked device.

    Attributes:
        address: Its address by number.
        lid: Its address by hidden number, or None where WhatsApp has not told yet.
        keys: What it proves itself with.
        noise_key: What it logs in with (private).
        adv_secret: What the phone proved itself with when it linked the device.
        public_identity: The public half of its identity.
        registration: Its registration id.
        signed_pre_key_id: The number of its signed pre-key.
        next_pre_key: The number that its next pre-key would have had.
        first_unuploaded: The first number that WhatsApp has not been given.
        platform: What the phone is.
        push_name: The name that others see.
    """

    address: Address
    lid: Address | None
    keys: DeviceKeys
    noise_key: bytes = field(repr=False)
    adv_secret: bytes = field(repr=False)
    public_identity: bytes
    registration: int
    signed_pre_key_id: int
    next_pre_key: int
    first_unuploaded: int
    platform: str
    push_name: str = field(repr=False)

    def device_row(self) -> dict[str, Value]:
        """Return the row that makes the library this device."""
        return {
            "jid": str(self.address),
            "lid": str(self.lid) if self.lid else None,
            "registration_id": self.registration,
            "noise_key": self.noise_key,
            "identity_key": self.keys.identity,
            "signed_pre_key": self.keys.signed_pre_key,
            "signed_pre_key_id": self.signed_pre_key_id,
            "signed_pre_key_sig": self.keys.signed_pre_key_signature,
            "adv_key": self.adv_secret,
            "adv_details": self.keys.adv_details,
            "adv_account_sig": self.keys.adv_account_signature,
            "adv_account_sig_key": self.keys.adv_account_key,
            "adv_device_sig": self.keys.adv_device_signature,
            "platform": self.platform,
            "push_name": self.push_name,
        }


def read_creds(data: bytes) -> Creds:
    """Read ``creds.json``.

    Raises:
        CredentialError: It is no linked device; says what is wrong, in Baileys' own names.
    """
    creds = read_json(data)
    if not isinstance(creds, dict):
        raise _unusable("it is no JSON object: it was cut off or overwritten")
    if creds.get("me") is None or creds.get("account") is None:
        raise _unusable("it is not linked to any account (no `me`, no `account`)", hint="link it: `wakit pair NAME`")
    address, lid = Address.read(member(creds, "me", "id")), Address.read(member(creds, "me", "lid"))
    if address is None or address.server != ACCOUNT_SERVER or not address.device:
        raise _unusable("`me.id` is no address of a linked device")
    keys = DeviceKeys(
        identity=_pair(creds, "signedIdentityKey"),
        signed_pre_key=_pair(creds, "signedPreKey", "keyPair"),
        signed_pre_key_signature=_octets(creds, SIGNATURE, "signedPreKey", "signature"),
        adv_details=_details(creds),
        adv_account_signature=_octets(creds, SIGNATURE, "account", "accountSignature"),
        adv_account_key=_octets(creds, KEY, "account", "accountSignatureKey"),
        adv_device_signature=_octets(creds, SIGNATURE, "account", "deviceSignature"),
    )
    if objection := keys.objection():
        raise _unusable(f"its parts do not belong together: {objection}")
    next_pre_key = _whole(creds, 1 << 24, "nextPreKeyId", otherwise=1)
    return Creds(
        address=address,
        lid=lid if lid and lid.server == "lid" else None,
        keys=keys,
        noise_key=_pair(creds, "noiseKey"),
        adv_secret=_octets(creds, KEY, "advSecretKey"),
        public_identity=public_of(keys.identity),
        registration=_whole(creds, (1 << 32) - 1, "registrationId"),
        signed_pre_key_id=_whole(creds, (1 << 24) - 1, "signedPreKey", "keyId"),
        next_pre_key=next_pre_key,
        first_unuploaded=_whole(creds, 1 << 24, "firstUnuploadedPreKeyId", otherwise=next_pre_key),
        platform=_text(creds, "platform"),
        push_name=_text(creds, "me", "name"),
    )


def _pair(creds: Any, *path: str) -> bytes:
    """Return the private half of a key pair whose halves belong together."""
    private = _octets(creds, KEY, *path, "private")
    public = octets(member(creds, *path, "public"), KEY, KEY + 1)
    if public is None or public[-KEY:] != public_of(private):
        raise _unusable(f"the two halves of `{'.'.join(path)}` do not belong together")
    return private


def _octets(creds: Any, size: int, *path: str) -> bytes:
    found = octets(member(creds, *path), size)
    if found is None:
        raise _unusable(f"`{'.'.join(path)}` is missing, or not {size} bytes")
    return found


def _details(creds: Any) -> bytes:
    found = octets(member(creds, "account", "details"))
    if not found or len(found) > _LONGEST_DETAILS:
        raise _unusable("`account.details` is missing, or no bytes")
    return found


def _whole(creds: Any, most: int, *path: str, otherwise: int | None = None) -> int:
    value = member(creds, *path)
    found = otherwise if value is None else whole(value, 0, most)
    if found is None:
        raise _unusable(f"`{'.'.join(path)}` is missing, or no number from 0 to {most}")
    return found


def _text(creds: Any, *path: str) -> str:
    value = member(creds, *path)
    return value if isinstance(value, str) else ""


def _unusable(why: str, hint: str = _HINT) -> CredentialError:
    return CredentialError("Baileys' creds.json cannot be used", why=why, hint=hint)
