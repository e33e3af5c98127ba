"""A *line*: one client's established connection, on which whole nodes go in and out.

:func:`answer_call` takes a WebSocket through the Noise handshake and gives the line and what the client said about
itself. From then on the line's owner reads :meth:`Line.nodes`; answers to the server's own questions are sorted out on
the way and given to whoever asked (:meth:`Line.ask`).

How a line ends matters to clients. After a last word (a failure, a stream error) the line stays open until the client
has gone, at most :data:`LINGER` seconds: closed at once, a client sees only a lost connection, dials again, and two
clients of one device replace each other for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from wakit.sim import wire
from wakit.sim.codec import CodecError, TokenTable, encode
from wakit.sim.curve import KeyPair
from wakit.sim.decoder import decode
from wakit.sim.frames import Deframer, FrameError, frame
from wakit.sim.nodes import SERVER, Node
from wakit.sim.noise import Established, NoiseError, Responder
from wakit.sim.websocket import WebSocket

LINGER: Final = 0.3
_HANDSHAKE_PATIENCE: Final = 20.0  # as long as whatsmeow waits for the server (handshake.go)
_ANSWER_PATIENCE: Final = 10.0
_PROTOCOL_ERROR = 1002


class ProtocolBreach(Exception):  # noqa: N818 - it is the client's, not ours
    """A client sent bytes that make no sense; the text says which, without repeating them."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the server proves itself with: its static Noise key and the certificates that name it."""

    static: KeyPair
    certificates: bytes

    def __repr__(self) -> str:
        return "Credentials('•••')"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who dials: the connection's number in the journal and the user name of its Proxy-Authorization."""

    connection: int
    dialer: str = ""


class Line:
    """An established connection to one client."""

    def __init__(
        self, websocket: WebSocket, deframer: Deframer, established: Established, tokens: TokenTable, caller: Caller
    ) -> None:
        self._websocket = websocket
        self._deframer = deframer
        self._incoming = established.incoming
        self._outgoing = established.outgoing
        self._tokens = tokens
        self._questions: dict[str, asyncio.Future[Node]] = {}
        self._ids = (f"{caller.connection}.{number}" for number in count(1))
        self.client_key = established.client_static
        self.caller = caller
        self.deaf = False
        self.ended = False

    async def send(self, node: Node) -> None:
        """Send a node, unless the last word was said."""
        if not self.ended:
            await self._send(node)

    async def _send(self, node: Node) -> None:
        await self._websocket.send(frame(self._outgoing.encrypt(encode(node, self._tokens))))

    async def ask(self, node: Node) -> Node:
        """Send an iq with a fresh id and return the client's answer to it.

        Raises:
            TimeoutError: None came within ten seconds.
            ConnectionError: The client went instead.
        """
        number = next(self._ids)
        answer: asyncio.Future[Node] = asyncio.get_running_loop().create_future()
        self._questions[number] = answer
        await self.send(Node(node.tag, {"from": SERVER, "id": number, **node.attrs}, node.content))
        try:
            async with asyncio.timeout(_ANSWER_PATIENCE):
                return await answer
        finally:
            self._questions.pop(number, None)

    async def nodes(self) -> AsyncIterator[Node]:
        """Yield what the client sends until the connection is over; after the last word it is read but not passed on.

        Raises:
            ProtocolBreach: It sends what is no node.
        """
        try:
            while (raw := await _next_frame(self._websocket, self._deframer)) is not None:
                node = self._decode(raw)
                if not self._is_answer(node) and not self.ended and not self.deaf:
                    yield node
        except FrameError as error:
            raise ProtocolBreach(str(error)) from error
        finally:
            self._give_up_questions()

    def _decode(self, raw: bytes) -> Node:
        try:
            return decode(self._incoming.decrypt(raw), self._tokens)
        except (NoiseError, CodecError) as error:
            raise ProtocolBreach(str(error)) from error

    def _is_answer(self, node: Node) -> bool:
        if node.tag != "iq" or node.text("type") not in ("result", "error"):
            return False
        question = self._questions.pop(node.text("id"), None)
        if question is not None and not question.done():
            question.set_result(node)
        return True

    def _give_up_questions(self) -> None:
        for question in self._questions.values():
            if not question.done():
                question.set_exception(ConnectionResetError("the client went"))
        self._questions.clear()

    async def end(self, last_word: Node) -> None:
        """Say ``last_word``, and close once the client has gone, or after :data:`LINGER` seconds."""
        if not self.ended:
            self.ended = True
            await self._send(last_word)
            asyncio.get_running_loop().call_later(LINGER, self._websocket.close)

    async def drain(self) -> None:
        """Read the line to its end, so that a client can take in the last word; whatever comes is ignored."""
        while await self._websocket.receive():
            pass

    def hang_up(self) -> None:
        """Close politely, without a last word."""
        self.ended = True
        self._websocket.close()

    def drop(self) -> None:
        """Close without a word."""
        self.ended = True
        self._websocket.abort()


async def answer_call(
    websocket: WebSocket, credentials: Credentials, tokens: TokenTable, caller: Caller, *, delay: float = 0.0
) -> tuple[Line, wire.Registration | wire.Login]:
    """Take a fresh WebSocket through the handshake.

    Args:
        websocket: The accepted WebSocket.
        credentials: The server's.
        tokens: The dictionaries.
        caller: Who dials.
        delay: Seconds to wait before the server's answer: the scenario of a slow handshake.

    Raises:
        ProtocolBreach: The client did not follow the handshake, or was silent for 20 seconds.
    """
    deframer = Deframer()
    responder = Responder(credentials.static, KeyPair.generate(), credentials.certificates)
    try:
        hello = responder.answer(wire.client_ephemeral(await _due_frame(websocket, deframer)))
        await asyncio.sleep(delay)
        await websocket.send(frame(wire.server_hello(hello)))
        established = responder.finish(*wire.client_finish(await _due_frame(websocket, deframer)))
        return Line(websocket, deframer, established, tokens, caller), wire.client_payload(established.payload)
    except (FrameError, NoiseError, wire.WireError) as error:
        websocket.close(_PROTOCOL_ERROR, "handshake failed")
        raise ProtocolBreach(f"handshake: {error}") from error
    except TimeoutError:
        websocket.close(_PROTOCOL_ERROR, "handshake timed out")
        raise ProtocolBreach("handshake: the client was silent") from None


async def _due_frame(websocket: WebSocket, deframer: Deframer) -> bytes:
    async with asyncio.timeout(_HANDSHAKE_PATIENCE):
        found = await _next_frame(websocket, deframer)
    if found is None:
        raise FrameError("the client went")
    return found


async def _next_frame(websocket: WebSocket, deframer: Deframer) -> bytes | None:
    while (found := deframer.pop()) is None:
        data = await websocket.receive()
        if not data:
            return None
        deframer.feed(data)
    return found
