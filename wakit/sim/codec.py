"""WhatsApp's binary XML, and nodes written in it; :mod:`wakit.sim.decoder` reads them.

A *node* is a tag, attributes and content (children, bytes or text). On the wire every value starts with one byte that
says what follows: a token of the dictionaries (1 to 239), a list, a JID, a packed string of digits or hex, or bytes
with their length. The dictionaries are an argument (:class:`TokenTable`), because they are WhatsApp's, not ours.

The codec is pure.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from wakit.sim.nodes import Jid, Node

LIST_EMPTY, LIST_8, LIST_16 = 0, 248, 249
DICTIONARY_0 = 236
JID_INTEROP, JID_MESSENGER, JID_DEVICE, JID_PAIR = 245, 246, 247, 250
HEX_8, BINARY_8, BINARY_20, BINARY_32, NIBBLE_8 = 251, 252, 253, 254, 255
PACKED_MAX = 127

NIBBLES = "0123456789-."
HEXES = "0123456789ABCDEF"
FILLER = 15

# The first byte of a device JID names its server. From whatsmeow's types.NewADJID (types/jid.go).
AGENT_OF_SERVER: Final = {"s.whatsapp.net": 0, "lid": 1, "hosted": 128, "hosted.lid": 129}
SERVER_OF_AGENT: Final = {agent: server for server, agent in AGENT_OF_SERVER.items()}


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
            text: bytes((DICTIONARY_0 + page, index))
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
            self._out.append(LIST_EMPTY)
        elif size < 1 << 8:
            self._out += bytes((LIST_8, size))
        elif size < 1 << 16:
            self._out += struct.pack(">BH", LIST_16, size)
        else:
            raise CodecError("a list of more than 65,535 items")

    def _text(self, text: str) -> None:
        code = self._codes.get(text)
        if code is not None:
            self._out += code
        elif 0 < len(text) <= PACKED_MAX and all(each in NIBBLES for each in text):
            self._packed(NIBBLE_8, NIBBLES, text)
        elif 0 < len(text) <= PACKED_MAX and all(each in HEXES for each in text):
            self._packed(HEX_8, HEXES, text)
        else:
            self._bytes(text.encode())

    def _packed(self, kind: int, alphabet: str, text: str) -> None:
        values = [alphabet.index(each) for each in text]
        odd = len(values) % 2
        if odd:
            values.append(FILLER)
        self._out += bytes((kind, odd << 7 | len(values) // 2))
        self._out += bytes(values[at] << 4 | values[at + 1] for at in range(0, len(values), 2))

    def _bytes(self, raw: bytes) -> None:
        size = len(raw)
        if size < 1 << 8:
            self._out += bytes((BINARY_8, size))
        elif size < 1 << 20:
            self._out.append(BINARY_20)
            self._out += size.to_bytes(3, "big")
        elif size < 1 << 31:
            self._out += struct.pack(">BI", BINARY_32, size)
        else:
            raise CodecError("more than 2 GiB in one value")
        self._out += raw

    def _jid(self, jid: Jid) -> None:
        agent = AGENT_OF_SERVER.get(jid.server)
        if agent is not None and (jid.device or jid.server.startswith("hosted")):
            if not 0 <= jid.device < 1 << 8:
                raise CodecError("a device number has one byte")
            self._out += bytes((JID_DEVICE, agent, jid.device))
            self._text(jid.user)
        elif jid.server == "msgr":
            self._out.append(JID_MESSENGER)
            self._text(jid.user)
            self._out += struct.pack(">H", jid.device)
            self._text(jid.server)
        elif jid.server == "interop":
            self._out.append(JID_INTEROP)
            self._text(jid.user)
            self._out += struct.pack(">HH", jid.device, jid.integrator)
            self._text(jid.server)
        else:
            self._out.append(JID_PAIR)
            if jid.user:
                self._text(jid.user)
            else:
                self._out.append(LIST_EMPTY)
            self._text(jid.server)
