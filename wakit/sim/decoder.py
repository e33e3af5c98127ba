"""Nodes read from WhatsApp's binary XML (:mod:`wakit.sim.codec` describes and writes it).

What came from a peer is not trusted: anything malformed raises :class:`~wakit.sim.codec.CodecError` and nothing else,
nesting and inflated size are bounded, and nothing is allocated on a peer's say-so.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from wakit.sim.codec import (
    DICTIONARY_0,
    HEXES,
    JID_DEVICE,
    JID_INTEROP,
    JID_MESSENGER,
    JID_PAIR,
    LIST_8,
    LIST_16,
    LIST_EMPTY,
    NIBBLES,
    SERVER_OF_AGENT,
    CodecError,
    TokenTable,
)
from wakit.sim.nodes import AttributeValue, Jid, Node

MAX_DEPTH: Final = 48
MAX_INFLATED: Final = 1 << 24


def decode(plaintext: bytes, tokens: TokenTable) -> Node:
    """Read a frame's plaintext: the flag byte, inflated if it says so, and one node.

    Raises:
        CodecError: The bytes are not exactly one well-formed node.
    """
    if not plaintext:
        raise CodecError("an empty frame")
    body = _inflate(plaintext[1:]) if plaintext[0] & 2 else plaintext[1:]
    reader = _Reader(body, tokens)
    node = reader.node(0)
    if not reader.exhausted:
        raise CodecError("bytes left over after the node")
    return node


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(data, MAX_INFLATED)
    except zlib.error as error:
        raise CodecError("the frame does not inflate") from error
    if not inflater.eof:
        raise CodecError("the frame inflates to too much, or ends early")
    return body


class _Reader:
    __slots__ = ("_at", "_data", "_tokens")

    def __init__(self, data: bytes, tokens: TokenTable) -> None:
        self._data = data
        self._at = 0
        self._tokens = tokens

    @property
    def exhausted(self) -> bool:
        return self._at == len(self._data)

    def node(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise CodecError("nodes nested too deeply")
        size = self._list_size(self._byte())
        if size == 0:
            raise CodecError("a node cannot be an empty list")
        tag = self._text()
        if not tag:
            raise CodecError("a node needs a tag")
        attrs: dict[str, AttributeValue] = {}
        for _ in range((size - 1) // 2):
            name = self._text()
            attrs[name] = self._attribute()
        content = self._content(depth) if size % 2 == 0 else None
        return Node(tag, attrs, content)

    def _content(self, depth: int) -> tuple[Node, ...] | bytes | str | None:
        kind = self._byte()
        if kind in (LIST_EMPTY, LIST_8, LIST_16):
            return tuple(self._nodes(self._list_size(kind), depth))
        match self._value(kind):
            case Jid() as jid:
                return str(jid)
            case value:
                return value

    def _nodes(self, size: int, depth: int) -> Iterator[Node]:
        for _ in range(size):
            yield self.node(depth + 1)

    def _attribute(self) -> AttributeValue:
        match self._value(self._byte()):
            case bytes() as raw:
                return _as_text(raw)
            case value:
                return value

    def _text(self) -> str:
        return self._text_of(self._byte())

    def _text_of(self, kind: int) -> str:
        if kind in (JID_INTEROP, JID_MESSENGER, JID_DEVICE, JID_PAIR):  # or JIDs could nest without end
            raise CodecError("a text was expected, not a JID")
        match self._value(kind):
            case bytes() as raw:
                return _as_text(raw)
            case value:
                return str(value)

    def _value(self, kind: int) -> str | bytes | Jid:
        if 0 < kind < DICTIONARY_0:
            return self._token(self._tokens.single, kind)
        match kind:
            case 236 | 237 | 238 | 239:
                return self._token(self._tokens.double[kind - DICTIONARY_0], self._byte())
            case 252:
                return self._take(self._byte())
            case 253:
                return self._take(int.from_bytes(self._take(3), "big") & 0xFFFFF)
            case 254:
                return self._take(int.from_bytes(self._take(4), "big"))
            case 251:
                return self._packed(HEXES)
            case 255:
                return self._packed(NIBBLES)
            case 245 | 246 | 247 | 250:
                return self._jid(kind)
            case _:
                raise CodecError(f"byte {kind} starts no value")

    def _jid(self, kind: int) -> Jid:
        if kind == JID_DEVICE:
            agent, device = self._byte(), self._byte()
            return Jid(self._text(), SERVER_OF_AGENT.get(agent, "s.whatsapp.net"), device)
        if kind == JID_PAIR:
            first = self._byte()
            user = "" if first == LIST_EMPTY else self._text_of(first)
            return Jid(user, self._text())
        user = self._text()
        device = int.from_bytes(self._take(2), "big")
        integrator = int.from_bytes(self._take(2), "big") if kind == JID_INTEROP else 0
        return Jid(user, self._text(), device, integrator)

    def _packed(self, alphabet: str) -> str:
        head = self._byte()
        values = [half for byte in self._take(head & 0x7F) for half in (byte >> 4, byte & 15)]
        if head & 0x80 and values:
            values.pop()
        try:
            return "".join(alphabet[value] for value in values)
        except IndexError:
            raise CodecError("a packed text holds a value outside its alphabet") from None

    def _list_size(self, kind: int) -> int:
        match kind:
            case 0:
                return 0
            case 248:
                return self._byte()
            case 249:
                return int.from_bytes(self._take(2), "big")
            case _:
                raise CodecError("a list was expected")

    @staticmethod
    def _token(tokens: Sequence[str], index: int) -> str:
        if index >= len(tokens):
            raise CodecError("a token outside its dictionary")
        return tokens[index]

    def _byte(self) -> int:
        if self._at >= len(self._data):
            raise CodecError("the frame ends in the middle of a node")
        value = self._data[self._at]
        self._at += 1
        return value

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise CodecError("the frame ends in the middle of a value")
        taken = self._data[self._at : end]
        self._at = end
        return taken


def _as_text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise CodecError("a text that is not UTF-8") from error
