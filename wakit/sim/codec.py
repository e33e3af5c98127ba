"""WhatsApp's binary XML: nodes to bytes and back.

A *node* is a tag, attributes and content (children, bytes or text). On the wire every value starts with one byte that
says what follows: a token of the dictionaries (1 to 239), a list, a JID, a packed string of digits or hex, or bytes
with their length. The dictionaries are an argument (:class:`TokenTable`), because they are WhatsApp's, not ours.

The codec is pure. What came from a peer is not trusted: anything malformed raises :class:`CodecError`, nesting and
inflated size are bounded, nothing else is raised and nothing is allocated on a peer's say-so.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from wakit.sim.nodes import AttributeValue, Jid, Node

MAX_DEPTH: Final = 48
MAX_INFLATED: Final = 1 << 24

_LIST_EMPTY, _LIST_8, _LIST_16 = 0, 248, 249
_DICTIONARY_0 = 236
_JID_INTEROP, _JID_MESSENGER, _JID_DEVICE, _JID_PAIR = 245, 246, 247, 250
_HEX_8, _BINARY_8, _BINARY_20, _BINARY_32, _NIBBLE_8 = 251, 252, 253, 254, 255
_PACKED_MAX = 127

_NIBBLES = "0123456789-."
_HEXES = "0123456789ABCDEF"
_FILLER = 15

# The first byte of a device JID names its server. From whatsmeow's types.NewADJID (types/jid.go).
_AGENT_OF_SERVER: Final = {"s.whatsapp.net": 0, "lid": 1, "hosted": 128, "hosted.lid": 129}
_SERVER_OF_AGENT: Final = {agent: server for server, agent in _AGENT_OF_SERVER.items()}


class CodecError(ValueError):
    """The bytes are not a node, or the node cannot be written as bytes."""


@dataclass(frozen=True)
class TokenTable:
    """The dictionaries: 236 single-byte tokens and four lists of 256 double-byte tokens."""

    single: Sequence[str]
    double: Sequence[Sequence[str]]

    @cached_property
    def codes(self) -> dict[str, bytes]:
        """Every token's bytes; a text in both kinds keeps its shorter code."""
        codes = {
            text: bytes((_DICTIONARY_0 + page, index))
            for page, tokens in enumerate(self.double)
            for index, text in enumerate(tokens)
        }
        codes |= {text: bytes((index,)) for index, text in enumerate(self.single) if text}
        return codes


def encode(node: Node, tokens: TokenTable) -> bytes:
    """Write ``node`` as a frame's plaintext: the flag byte (never compressed here) and the node.

    Raises:
        CodecError: A list or a text is longer than the format can say.
    """
    out = bytearray(b"\0")
    _Writer(out, tokens.codes).node(node)
    return bytes(out)


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


class _Writer:
    __slots__ = ("_codes", "_out")

    def __init__(self, out: bytearray, codes: dict[str, bytes]) -> None:
        self._out = out
        self._codes = codes

    def node(self, node: Node) -> None:
        has_content = node.content is not None
        self._list_start(1 + 2 * len(node.attrs) + has_content)
        self._text(node.tag)
        for name, value in node.attrs.items():
            self._text(name)
            if isinstance(value, Jid):
                self._jid(value)
            else:
                self._text(value)
        match node.content:
            case None:
                pass
            case bytes() as raw:
                self._bytes(raw)
            case str() as text:
                self._text(text)
            case children:
                self._list_start(len(children))
                for child in children:
                    self.node(child)

    def _list_start(self, size: int) -> None:
        if size == 0:
            self._out.append(_LIST_EMPTY)
        elif size < 1 << 8:
            self._out += bytes((_LIST_8, size))
        elif size < 1 << 16:
            self._out += struct.pack(">BH", _LIST_16, size)
        else:
            raise CodecError("a list of more than 65,535 items")

    def _text(self, text: str) -> None:
        code = self._codes.get(text)
        if code is not None:
            self._out += code
        elif 0 < len(text) <= _PACKED_MAX and all(each in _NIBBLES for each in text):
            self._packed(_NIBBLE_8, _NIBBLES, text)
        elif 0 < len(text) <= _PACKED_MAX and all(each in _HEXES for each in text):
            self._packed(_HEX_8, _HEXES, text)
        else:
            self._bytes(text.encode())

    def _packed(self, kind: int, alphabet: str, text: str) -> None:
        values = [alphabet.index(each) for each in text]
        odd = len(values) % 2
        if odd:
            values.append(_FILLER)
        self._out += bytes((kind, odd << 7 | len(values) // 2))
        self._out += bytes(values[at] << 4 | values[at + 1] for at in range(0, len(values), 2))

    def _bytes(self, raw: bytes) -> None:
        size = len(raw)
        if size < 1 << 8:
            self._out += bytes((_BINARY_8, size))
        elif size < 1 << 20:
            self._out.append(_BINARY_20)
            self._out += size.to_bytes(3, "big")
        elif size < 1 << 31:
            self._out += struct.pack(">BI", _BINARY_32, size)
        else:
            raise CodecError("more than 2 GiB in one value")
        self._out += raw

    def _jid(self, jid: Jid) -> None:
        agent = _AGENT_OF_SERVER.get(jid.server)
        if agent is not None and (jid.device or jid.server.startswith("hosted")):
            if not 0 <= jid.device < 1 << 8:
                raise CodecError("a device number has one byte")
            self._out += bytes((_JID_DEVICE, agent, jid.device))
            self._text(jid.user)
        elif jid.server == "msgr":
            self._out.append(_JID_MESSENGER)
            self._text(jid.user)
            self._out += struct.pack(">H", jid.device)
            self._text(jid.server)
        elif jid.server == "interop":
            self._out.append(_JID_INTEROP)
            self._text(jid.user)
            self._out += struct.pack(">HH", jid.device, jid.integrator)
            self._text(jid.server)
        else:
            self._out.append(_JID_PAIR)
            if jid.user:
                self._text(jid.user)
            else:
                self._out.append(_LIST_EMPTY)
            self._text(jid.server)


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
        if kind in (_LIST_EMPTY, _LIST_8, _LIST_16):
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
        if kind in (_JID_INTEROP, _JID_MESSENGER, _JID_DEVICE, _JID_PAIR):  # or JIDs could nest without end
            raise CodecError("a text was expected, not a JID")
        match self._value(kind):
            case bytes() as raw:
                return _as_text(raw)
            case value:
                return str(value)

    def _value(self, kind: int) -> str | bytes | Jid:
        if 0 < kind < _DICTIONARY_0:
            return self._token(self._tokens.single, kind)
        match kind:
            case 236 | 237 | 238 | 239:
                return self._token(self._tokens.double[kind - _DICTIONARY_0], self._byte())
            case 252:
                return self._take(self._byte())
            case 253:
                return self._take(int.from_bytes(self._take(3), "big") & 0xFFFFF)
            case 254:
                return self._take(int.from_bytes(self._take(4), "big"))
            case 251:
                return self._packed(_HEXES)
            case 255:
                return self._packed(_NIBBLES)
            case 245 | 246 | 247 | 250:
                return self._jid(kind)
            case _:
                raise CodecError(f"byte {kind} starts no value")

    def _jid(self, kind: int) -> Jid:
        if kind == _JID_DEVICE:
            agent, device = self._byte(), self._byte()
            return Jid(self._text(), _SERVER_OF_AGENT.get(agent, "s.whatsapp.net"), device)
        if kind == _JID_PAIR:
            first = self._byte()
            user = "" if first == _LIST_EMPTY else self._text_of(first)
            return Jid(user, self._text())
        user = self._text()
        device = int.from_bytes(self._take(2), "big")
        integrator = int.from_bytes(self._take(2), "big") if kind == _JID_INTEROP else 0
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
