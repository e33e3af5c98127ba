"""A WhatsApp client of its own making for the tests: it says what it is told to, right or wrong.

Noise's transcript, the codec and the curve are the sim's (they have tests of their own); the initiator's side and the
protobuf are written here, by the field numbers of ``WAWebProtobufsWa6`` and ``WAAdv``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from support.whatsapp import LoopbackWhatsApp
from websockets.asyncio.client import ClientConnection, connect

from wakit.sim.codec import TokenTable, encode
from wakit.sim.curve import DJB_TYPE, KeyPair, agree, sign, verify
from wakit.sim.decoder import decode
from wakit.sim.frames import Deframer, frame
from wakit.sim.nodes import SERVER, Jid, Node
from wakit.sim.noise import PROLOGUE, Cipher, Transcript

HOST = "web.whatsapp.com"


def proto(*fields: tuple[int, int | bytes]) -> bytes:
    """Write a protobuf message: numbers as varints, bytes with their length."""
    out = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return bytes(out)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_proto(data: bytes) -> dict[int, bytes | int]:
    """Read a protobuf message of varints and byte fields."""
    fields: dict[int, bytes | int] = {}
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
            if not data[at - 1] & 0x80:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            fields[key >> 3] = number()
        else:
            size = number()
            fields[key >> 3] = data[at : at + size]
            at += size
    return fields


@dataclass
class Companion:
    """The keys of a client, and what it was linked as."""

    noise: KeyPair = field(default_factory=KeyPair.generate)
    identity: KeyPair = field(default_factory=KeyPair.generate)
    signed_prekey: KeyPair = field(default_factory=KeyPair.generate)
    secret: bytes = bytes(range(32))
    user: str = ""
    device: int = 0

    def registration(self) -> bytes:
        signature = sign(self.identity.private, DJB_TYPE + self.signed_prekey.public)
        keys = proto(
            (1, b"\0\0\0\7"),
            (2, DJB_TYPE),
            (3, self.identity.public),
            (4, b"\0\0\1"),
            (5, self.signed_prekey.public),
            (6, signature),
            (8, proto((3, 1))),
        )
        return proto((19, keys))

    def login(self) -> bytes:
        return proto((1, int(self.user)), (18, self.device))

    def qr(self, ref: str) -> str:
        keys = (self.noise.public, self.identity.public, self.secret)
        return ",".join((ref, *(base64.b64encode(each).decode() for each in keys)))


class RawClient:
    """A client after its handshake."""

    def __init__(
        self, websocket: ClientConnection, deframer: Deframer, keys: tuple[bytes, bytes], tokens: TokenTable
    ) -> None:
        self.websocket = websocket
        self._deframer = deframer
        self._outgoing, self._incoming = (Cipher(key) for key in keys)
        self._tokens = tokens

    async def send(self, node: Node) -> None:
        await self.send_plaintext(encode(node, self._tokens))

    async def send_plaintext(self, plaintext: bytes) -> None:
        await self.websocket.send(frame(self._outgoing.encrypt(plaintext)))

    async def receive(self) -> Node:
        return decode(self._incoming.decrypt(await next_frame(self.websocket, self._deframer)), self._tokens)

    async def ask(self, node: Node) -> Node:
        await self.send(Node(node.tag, {"to": SERVER, "id": "q1", **node.attrs}, node.content))
        while (answer := await self.receive()).text("id") != "q1":
            pass
        return answer

    async def refs(self) -> list[str]:
        """Take and acknowledge the refs."""
        question = await self.receive()
        listed = question.child("pair-device")
        assert listed is not None
        await self.send(Node("iq", {"to": SERVER, "type": "result", "id": question.text("id")}))
        return [child.data.decode() for child in listed.children]

    async def accept_link(self, companion: Companion, *, signer: KeyPair | None = None) -> None:
        """Answer ``pair-success`` as a careful companion does: check the seal and the signature, then sign."""
        question = await self.receive()
        success = question.child("pair-success")
        assert success is not None
        sealed = success.child("device-identity")
        device = success.child("device")
        assert sealed is not None
        assert device is not None
        container = read_proto(sealed.data)
        signed, seal = container[1], container[2]
        assert isinstance(signed, bytes)
        assert seal == hmac.digest(companion.secret, signed, hashlib.sha256)
        identity = read_proto(signed)
        details, account_key, account_signature = identity[1], identity[2], identity[3]
        assert isinstance(details, bytes)
        assert isinstance(account_key, bytes)
        assert isinstance(account_signature, bytes)
        assert verify(account_key, b"\6\0" + details + companion.identity.public, account_signature)
        message = b"\6\1" + details + companion.identity.public + account_key
        signature = sign((signer or companion.identity).private, message)
        answer = proto((1, details), (3, account_signature), (4, signature))
        content = (Node("pair-device-sign", {}, (Node("device-identity", {"key-index": "1"}, answer),)),)
        await self.send(Node("iq", {"to": SERVER, "type": "result", "id": question.text("id")}, content))
        jid = device.attrs["jid"]
        assert isinstance(jid, Jid)
        companion.user, companion.device = jid.user, jid.device


async def next_frame(websocket: ClientConnection, deframer: Deframer) -> bytes:
    while (found := deframer.pop()) is None:
        data = await websocket.recv()
        assert isinstance(data, bytes)
        deframer.feed(data)
    return found


async def dial(
    whatsapp: LoopbackWhatsApp, authority: str = f"{HOST}:443", dialer: str = "raw"
) -> tuple[socket.socket, bytes]:
    """Ask the proxy for ``authority``; return the socket and the answer's status line."""
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setblocking(False)
    host, port = whatsapp.endpoint.proxy.removeprefix("http://").split(":")
    await loop.sock_connect(connection, (host, int(port)))
    credentials = base64.b64encode(f"{dialer}:secret".encode()).decode()
    request = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: Basic {credentials}\r\n\r\n"
    await loop.sock_sendall(connection, request.encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = await loop.sock_recv(connection, 4096)
        if not piece:
            break
        answer += piece
    return connection, answer.partition(b"\r\n")[0]


@contextlib.asynccontextmanager
async def open_websocket(
    whatsapp: LoopbackWhatsApp, path: str = "/ws/chat", dialer: str = "raw"
) -> AsyncIterator[ClientConnection]:
    connection, status = await dial(whatsapp, dialer=dialer)
    assert b" 200 " in status, status
    context = ssl.create_default_context(cafile=str(whatsapp.endpoint.ca_file))
    async with connect(f"wss://{HOST}{path}", sock=connection, ssl=context, compression=None, proxy=None) as websocket:
        yield websocket


@contextlib.asynccontextmanager
async def raw_client(
    whatsapp: LoopbackWhatsApp, tokens: TokenTable, companion: Companion, payload: bytes, *, dialer: str = "raw"
) -> AsyncIterator[RawClient]:
    """Dial, shake hands and say ``payload``."""
    async with open_websocket(whatsapp, dialer=dialer) as websocket:
        yield await shake_hands(websocket, tokens, companion, payload, whatsapp.endpoint.noise_root_key)


async def shake_hands(
    websocket: ClientConnection, tokens: TokenTable, companion: Companion, payload: bytes, root_key: str
) -> RawClient:
    transcript, ephemeral, deframer = Transcript(), KeyPair.generate(), Deframer()
    deframer.feed(PROLOGUE)  # the server does not greet
    transcript.authenticate(ephemeral.public)
    await websocket.send(PROLOGUE + frame(proto((2, proto((1, ephemeral.public))))))
    hello = read_proto(bytes(read_proto(await next_frame(websocket, deframer))[3]))  # type: ignore[arg-type]
    server_ephemeral, sealed_static, sealed_certificates = (bytes(hello[each]) for each in (1, 2, 3))  # type: ignore[arg-type]
    transcript.authenticate(server_ephemeral)
    transcript.mix(agree(ephemeral.private, server_ephemeral))
    static = transcript.decrypt(sealed_static)
    transcript.mix(agree(ephemeral.private, static))
    check_certificates(transcript.decrypt(sealed_certificates), static, bytes.fromhex(root_key))
    finish_static = transcript.encrypt(companion.noise.public)
    transcript.mix(agree(companion.noise.private, server_ephemeral))
    finish = proto((1, finish_static), (2, transcript.encrypt(payload)))
    await websocket.send(frame(proto((4, finish))))
    return RawClient(websocket, deframer, transcript.split(), tokens)


def check_certificates(chain: bytes, static: bytes, root: bytes) -> None:
    """Check that the root vouches for the server's key, as a client must."""
    certificates = read_proto(chain)
    issuer, serial = root, 0
    for name in (2, 1):  # intermediate, leaf
        certificate = read_proto(bytes(certificates[name]))  # type: ignore[arg-type]
        details, signature = bytes(certificate[1]), bytes(certificate[2])  # type: ignore[arg-type]
        assert verify(issuer, details, signature)
        facts = read_proto(details)
        assert facts.get(2, 0) == serial
        issuer, serial = bytes(facts[3]), int(facts[1])  # type: ignore[arg-type]
    assert issuer == static
