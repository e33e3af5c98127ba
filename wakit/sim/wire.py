"""The protobuf messages inside the handshake and the pairing; the second and last door to the client library.

The message classes come from the installed ``neonize.proto``, so this module is imported in the sim's own process only.
Everything else in the sim sees the plain values below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pylibmagic  # noqa: F401 - brings libmagic to machines without it, so it goes before neonize
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from neonize.proto.waAdv.WAAdv_pb2 import ADVDeviceIdentity, ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC
from neonize.proto.waCert.WACert_pb2 import CertChain
from neonize.proto.waCompanionReg.WACompanionReg_pb2 import DeviceProps
from neonize.proto.waWa6.WAWebProtobufsWa6_pb2 import ClientPayload, HandshakeMessage

from wakit.sim.curve import KeyPair, sign
from wakit.sim.noise import Hello


class WireError(ValueError):
    """The bytes are not the protobuf message that is due."""


@dataclass(frozen=True, slots=True)
class SignedPreKey:
    """A companion's medium-term key: number, public key, signature by its identity key."""

    number: int
    public: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Registration:
    """A client that is not paired yet: the keys it wants to be known by."""

    identity: bytes
    registration_id: int
    signed_prekey: SignedPreKey
    platform: str

    def __repr__(self) -> str:
        return "Registration('•••')"


@dataclass(frozen=True, slots=True)
class Login:
    """A client that says it is a device of an account; ``user`` is the number without ``+``.

    A ``passive`` one wants nothing pushed to it before it says that it is active.
    """

    user: str
    device: int
    passive: bool

    def __repr__(self) -> str:
        return "Login('•••')"


@dataclass(frozen=True, slots=True, repr=False)
class DeviceIdentity:
    """A companion's identity as the phone signed it, and (at the end) the companion too."""

    details: bytes
    account_key: bytes
    account_signature: bytes
    device_signature: bytes = b""


def client_ephemeral(frame: bytes) -> bytes:
    """Read the handshake's first message; raises WireError."""
    return bytes(_parse(HandshakeMessage, frame).clientHello.ephemeral)


def server_hello(hello: Hello) -> bytes:
    """Write the handshake's second message."""
    message = HandshakeMessage(
        serverHello=HandshakeMessage.ServerHello(ephemeral=hello.ephemeral, static=hello.static, payload=hello.payload)
    )
    return bytes(message.SerializeToString())


def client_finish(frame: bytes) -> tuple[bytes, bytes]:
    """Read the handshake's third message: encrypted static key, encrypted payload; raises WireError."""
    finish = _parse(HandshakeMessage, frame).clientFinish
    return bytes(finish.static), bytes(finish.payload)


def client_payload(data: bytes) -> Registration | Login:
    """Read what a client says about itself; raises WireError."""
    payload = _parse(ClientPayload, data)
    if not payload.HasField("devicePairingData"):
        if not payload.HasField("username"):
            raise WireError("a payload that neither registers nor logs in")
        return Login(str(payload.username), payload.device, payload.passive)
    pairing = payload.devicePairingData
    if len(pairing.eIdent) != 32 or len(pairing.eSkeyVal) != 32:  # noqa: PLR2004 - the size of a Curve25519 key
        raise WireError("a registration without its keys")
    props = _parse(DeviceProps, pairing.deviceProps)
    return Registration(
        identity=bytes(pairing.eIdent),
        registration_id=int.from_bytes(pairing.eRegid, "big"),
        signed_prekey=SignedPreKey(
            int.from_bytes(pairing.eSkeyID, "big"), bytes(pairing.eSkeyVal), bytes(pairing.eSkeySig)
        ),
        platform=DeviceProps.PlatformType.Name(props.platformType),
    )


def certificate_chain(root: KeyPair, static: KeyPair, *, not_before: int, not_after: int) -> bytes:
    """Certify the server's Noise key: root signs intermediate, intermediate signs the key (Unix seconds)."""
    intermediate = KeyPair.generate()
    return bytes(
        CertChain(
            intermediate=_certificate(root, intermediate.public, serial=1, start=not_before, end=not_after),
            leaf=_certificate(intermediate, static.public, serial=2, start=not_before, end=not_after),
        ).SerializeToString()
    )


def _certificate(issuer: KeyPair, key: bytes, *, serial: int, start: int, end: int) -> Any:
    details = CertChain.NoiseCertificate.Details(
        serial=serial, issuerSerial=serial - 1, key=key, notBefore=start, notAfter=end
    ).SerializeToString()
    return CertChain.NoiseCertificate(details=details, signature=sign(issuer.private, details))


def device_details(*, raw_id: int, timestamp: int, key_index: int) -> bytes:
    """Write what the phone signs about a new companion."""
    return bytes(ADVDeviceIdentity(rawID=raw_id, timestamp=timestamp, keyIndex=key_index).SerializeToString())


def write_identity(identity: DeviceIdentity) -> bytes:
    """Write a signed identity as the phone hands it to the companion."""
    return bytes(
        ADVSignedDeviceIdentity(
            details=identity.details,
            accountSignatureKey=identity.account_key,
            accountSignature=identity.account_signature,
        ).SerializeToString()
    )


def read_identity(data: bytes) -> DeviceIdentity:
    """Read a signed identity as the companion hands it back; raises WireError."""
    message = _parse(ADVSignedDeviceIdentity, data)
    return DeviceIdentity(
        bytes(message.details),
        bytes(message.accountSignatureKey),
        bytes(message.accountSignature),
        bytes(message.deviceSignature),
    )


def identity_container(identity: bytes, hmac: bytes) -> bytes:
    """Wrap a signed identity with the proof that the phone knows the companion's secret."""
    return bytes(ADVSignedDeviceIdentityHMAC(details=identity, HMAC=hmac).SerializeToString())


def _parse(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError:
        raise WireError(f"bytes that are no {kind.__name__}") from None
