"""The sim, but what its clients write to each other arrives: ``python relaying_sim.py`` takes wakit.sim's arguments.

The sim itself acknowledges a message and drops it, which is all that wakit needs of it. To see that carried keys still
open what old correspondents write, messages have to be delivered. So this process replaces the part of a conversation
that takes them in. A message to a group goes to every other device that is connected.

Whoever wrote a message is told when it was opened. One line of JSON for each delivered message and each receipt goes to
``relayed.jsonl`` in the state directory: how it was encrypted, and whether it was a call for
help (a retry receipt: "I could not open this").
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from wakit.sim import conversation, stanzas
from wakit.sim.__main__ import main
from wakit.sim.accounts import Account
from wakit.sim.exchange import Exchange, Presence
from wakit.sim.line import Line
from wakit.sim.nodes import Jid, Node

LOG = Path(sys.argv[sys.argv.index("--state") + 1], "relayed.jsonl")


def note(**what: object) -> None:
    with LOG.open("a") as log:
        log.write(json.dumps(what) + "\n")


class Overheard:
    """A line whose messages are passed on before its owner reads them."""

    def __init__(self, line: Line, exchange: Exchange, presence: Presence) -> None:
        self._line, self._exchange, self._presence = line, exchange, presence

    def __getattr__(self, name: str) -> Any:
        return getattr(self._line, name)

    async def nodes(self) -> AsyncIterator[Node]:
        async for node in self._line.nodes():
            if node.tag == "message":
                await relay(self._exchange, self._presence, node)
            elif node.tag == "receipt":
                note(kind="receipt", type=node.text("type"))
                await tell_author(self._exchange, self._presence, node)
            yield node


async def relay(exchange: Exchange, sender: Presence, message: Node) -> None:
    """Deliver a message to every device it holds something for."""
    to = message.jid("to")
    assert to
    everybody = [each for each in exchange._live() if each is not sender]
    addressed = message.child("participants")
    shared = tuple(each for each in message.children if each.tag == "enc")
    for recipient in everybody:
        own = tuple(
            enc
            for each in (addressed.children if addressed else ())
            if is_at(each.jid("jid"), recipient)
            for enc in each.children
        )
        meant = own or (to.server == "g.us" and shared) or is_at(to, recipient)
        if meant:
            content = (*own, *shared, *(each for each in message.children if each.tag == "device-identity"))
            note(kind="message", enc=[each.text("type") for each in content if each.tag == "enc"])
            attrs = envelope(sender, recipient, message, to) | {"t": str(int(exchange.clock()))}
            await recipient.line.send(Node("message", attrs, content))


async def tell_author(exchange: Exchange, reader: Presence, receipt: Node) -> None:
    """Tell whoever wrote a message that it has been opened; anything else that a receipt may say is left alone."""
    to = receipt.jid("to")
    if to is None or receipt.text("type") not in ("", "inactive"):
        return
    attrs: dict[str, Any] = {"id": receipt.text("id"), "from": reader.account.hidden_jid(reader.device.number)}
    for author in exchange._live():
        if author is not reader and to.user in (author.account.user, author.account.lid):
            await author.line.send(Node("receipt", attrs | {"t": str(int(exchange.clock()))}))


def is_at(jid: Jid | None, presence: Presence) -> bool:
    users = (presence.account.user, presence.account.lid)
    return jid is not None and jid.user in users and jid.device == presence.device.number


def envelope(sender: Presence, recipient: Presence, message: Node, to: Jid) -> dict[str, Any]:
    author: Account = sender.account
    device = sender.device.number
    names = (author.jid(device), author.hidden_jid(device))
    attrs: dict[str, Any] = {"id": message.text("id"), "type": message.text("type"), "notify": "somebody"}
    if to.server == "g.us":
        attrs |= {"from": to, "participant": names[1], "participant_pn": names[0], "addressing_mode": "lid"}
    else:
        attrs |= {"from": names[1], "sender_pn": names[0]}
    if author is recipient.account:
        attrs |= {"recipient": to}
    return attrs


async def serve(self: Any, presence: Presence, *, passive: bool) -> None:
    self._line = Overheard(self._line, self._exchange, presence)
    await serve_alone(self, presence, passive=passive)


def count_prekeys(_iq: Node, asker: stanzas.Asker) -> tuple[Node, ...]:
    return (Node("count", {"value": str(len(asker.device.prekeys))}),)


def usync_fact(protocol: str, account: Account | None, contact: Node | None) -> Node | None:
    """Leave out the phone itself: the sim's phones neither write nor read."""
    if protocol != "devices" or account is None:
        return usync_fact_alone(protocol, account, contact)
    devices = tuple(Node("device", stanzas._device_attrs(each)) for each in sorted(account.devices))
    return Node("devices", {}, (Node("device-list", {}, devices),))


serve_alone = conversation._LoggedIn._serve
usync_fact_alone = stanzas._usync_fact
conversation._LoggedIn._serve = serve
stanzas._usync_fact = usync_fact
stanzas._TABLE["encrypt", "get", "count"] = count_prekeys
sys.exit(main())
