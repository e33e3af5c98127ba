"""The Noise XX handshake as WhatsApp speaks it, from the server's side, and the cipher that follows it.

``Noise_XX_25519_AESGCM_SHA256`` with two habits of its own: the prologue is the four bytes that open the connection,
and the message counter starts again at 0 with every key that is mixed in. Three messages:

1. the client's ephemeral key, in the clear;
2. the server's ephemeral key, its static key and its certificates, the last two encrypted;
3. the client's static key and its payload, encrypted.

Then the keys are split: one cipher for each direction, without associated data. The protobuf envelopes around the three
messages are somebody else's business; this module takes and gives the bytes inside. It is pure: the server's ephemeral
key is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wakit.sim.curve import KeyPair, agree

PATTERN: Final = b"Noise_XX_25519_AESGCM_SHA256\0\0\0\0"
PROLOGUE: Final = b"WA\x06\x03"
_TAG_SIZE = 16


class NoiseError(ValueError):
    """The peer's bytes do not continue the handshake, or a message was not encrypted with the agreed key."""


def derive(secret: bytes, *, salt: bytes | None, info: bytes = b"", size: int = 64) -> bytes:
    """HKDF-SHA256."""
    return HKDF(algorithm=SHA256(), length=size, salt=salt, info=info).derive(secret)


class Cipher:
    """One direction of an established connection; every message has its place in the sequence."""

    __slots__ = ("_aead", "_count")

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._count = 0

    def encrypt(self, plaintext: bytes, aad: bytes = b"") -> bytes:
        """Encrypt the next message of the sequence."""
        return self._aead.encrypt(self._next_nonce(), plaintext, aad)

    def decrypt(self, ciphertext: bytes, aad: bytes = b"") -> bytes:
        """Decrypt the next message of the sequence.

        Raises:
            NoiseError: It is not that message.
        """
        if len(ciphertext) < _TAG_SIZE:
            raise NoiseError("a message shorter than its own seal")
        try:
            return self._aead.decrypt(self._next_nonce(), ciphertext, aad)
        except InvalidTag:
            raise NoiseError("a message that does not decrypt") from None

    def _next_nonce(self) -> bytes:
        nonce = self._count.to_bytes(12, "big")
        self._count += 1
        return nonce


class Transcript:
    """The running hash and key of a handshake; both sides of one keep the same."""

    __slots__ = ("_cipher", "_hash", "_salt")

    def __init__(self, prologue: bytes = PROLOGUE) -> None:
        self._hash = self._salt = PATTERN
        self._cipher = Cipher(PATTERN)
        self.authenticate(prologue)

    def authenticate(self, data: bytes) -> None:
        """Take ``data`` into the hash, so that both sides must have seen the same."""
        self._hash = sha256(self._hash + data).digest()

    def mix(self, secret: bytes) -> None:
        """Take a shared secret into the key; the counter starts again."""
        keys = derive(secret, salt=self._salt)
        self._salt, self._cipher = keys[:32], Cipher(keys[32:])

    def encrypt(self, plaintext: bytes) -> bytes:
        """Encrypt under everything seen so far."""
        ciphertext = self._cipher.encrypt(plaintext, self._hash)
        self.authenticate(ciphertext)
        return ciphertext

    def decrypt(self, ciphertext: bytes) -> bytes:
        """Decrypt under everything seen so far; raises NoiseError."""
        plaintext = self._cipher.decrypt(ciphertext, self._hash)
        self.authenticate(ciphertext)
        return plaintext

    def split(self) -> tuple[bytes, bytes]:
        """Return the two keys of the established connection: client to server, server to client."""
        keys = derive(b"", salt=self._salt)
        return keys[:32], keys[32:]


@dataclass(frozen=True, slots=True)
class Hello:
    """The server's answer to the first message: ephemeral in the clear, the rest encrypted."""

    ephemeral: bytes
    static: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class Established:
    """The end of a handshake: who the client is, what it said, and a cipher for each direction."""

    client_static: bytes
    payload: bytes
    incoming: Cipher
    outgoing: Cipher

    def __repr__(self) -> str:
        return "Established('•••')"


class Responder:
    """The server's side of one handshake.

    Args:
        static: The server's long-lived key pair, the one its certificates name.
        ephemeral: A key pair for this handshake alone.
        certificates: The serialized certificate chain.
    """

    __slots__ = ("_certificates", "_ephemeral", "_static", "_transcript")

    def __init__(self, static: KeyPair, ephemeral: KeyPair, certificates: bytes) -> None:
        self._static = static
        self._ephemeral = ephemeral
        self._certificates = certificates
        self._transcript = Transcript()

    def answer(self, client_ephemeral: bytes) -> Hello:
        """Take the first message, give the second; raises NoiseError for an impossible key."""
        transcript = self._transcript
        transcript.authenticate(client_ephemeral)
        transcript.authenticate(self._ephemeral.public)
        self._mix_agreement(self._ephemeral, client_ephemeral)
        static = transcript.encrypt(self._static.public)
        self._mix_agreement(self._static, client_ephemeral)
        return Hello(self._ephemeral.public, static, transcript.encrypt(self._certificates))

    def finish(self, static: bytes, payload: bytes) -> Established:
        """Take the third message; raises NoiseError if it is not encrypted to this handshake."""
        transcript = self._transcript
        client_static = transcript.decrypt(static)
        self._mix_agreement(self._ephemeral, client_static)
        plaintext = transcript.decrypt(payload)
        incoming, outgoing = transcript.split()
        return Established(client_static, plaintext, Cipher(incoming), Cipher(outgoing))

    def _mix_agreement(self, own: KeyPair, theirs: bytes) -> None:
        try:
            self._transcript.mix(agree(own.private, theirs))
        except ValueError:
            raise NoiseError("a key that cannot be agreed with") from None
