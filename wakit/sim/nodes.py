"""Nodes and addresses: the values WhatsApp's protocol is made of.

They are plain frozen data, and silent: an address holds a phone number and a node's content can be a key, so neither
shows itself in a ``repr``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Jid:
    """A WhatsApp address: ``user``, ``device`` (0 is the phone itself) and ``server``.

    Example:
        >>> Jid.parse("34600000001:7@s.whatsapp.net").device
        7
    """

    user: str
    server: str
    device: int = 0
    integrator: int = 0

    @classmethod
    def parse(cls, text: str) -> Jid:
        """Read the ``user:device@server`` notation; a text without ``@`` is a server."""
        user, at, server = text.rpartition("@")
        if not at:
            return cls("", text)
        user, _, device = user.partition(":")
        return cls(user, server, int(device) if device.isdecimal() else 0)

    def account(self) -> Jid:
        """Return the address without its device."""
        return Jid(self.user, self.server)

    def __str__(self) -> str:
        device = f":{self.device}" if self.device else ""
        return f"{self.user}{device}@{self.server}" if self.user else self.server

    def __repr__(self) -> str:  # a phone number must not reach a log through a traceback
        return f"Jid('•••@{self.server}')"


SERVER: Final = Jid("", "s.whatsapp.net")

AttributeValue = str | Jid


@dataclass(frozen=True, slots=True)
class Node:
    """An element: ``tag``, ``attrs`` (text or :class:`Jid`) and ``content`` (children, bytes, text or nothing).

    Example:
        >>> iq = Node("iq", {"type": "get"}, (Node("count"),))
        >>> iq.child("count").tag
        'count'
    """

    tag: str
    attrs: dict[str, AttributeValue] = field(default_factory=dict)
    content: tuple[Node, ...] | bytes | str | None = None

    @property
    def children(self) -> tuple[Node, ...]:
        """The child nodes; none if the content is bytes or text."""
        return self.content if isinstance(self.content, tuple) else ()

    @property
    def data(self) -> bytes:
        """The content as bytes; empty if there are children or nothing."""
        match self.content:
            case bytes() as raw:
                return raw
            case str() as text:
                return text.encode()
            case _:
                return b""

    def child(self, *path: str) -> Node | None:
        """Return the first descendant along the tags of ``path``, or None."""
        node: Node = self
        for tag in path:
            found = next((each for each in node.children if each.tag == tag), None)
            if found is None:
                return None
            node = found
        return node

    def text(self, name: str) -> str:
        """Return an attribute as text, empty if it is missing."""
        return str(self.attrs.get(name, ""))

    def jid(self, name: str) -> Jid | None:
        """Return an attribute as a JID, whether the peer wrote it as one or as text."""
        match self.attrs.get(name):
            case Jid() as jid:
                return jid
            case str() as text:
                return Jid.parse(text)
            case _:
                return None

    def __repr__(self) -> str:  # content and values can be secrets: show the shape only
        return f"Node({self.tag!r}, {sorted(self.attrs)}, {len(self.children)} children)"
