"""The server's answers to a logged-in client's questions (*iq* stanzas).

A table from namespace, type and the question's tag to a function. What is not in the table gets an empty result, which
is what most of WhatsApp's answers look like to a client that only wants to stay connected; what asks for something that
does not exist gets an error, so that no client is led to believe in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wakit.sim.accounts import Account, AccountBook, Device, PreKey
from wakit.sim.curve import DJB_TYPE, verify
from wakit.sim.nodes import SERVER, AttributeValue, Jid, Node

_NOT_ACCEPTABLE = ("406", "not-acceptable")
_NOT_FOUND = ("404", "item-not-found")
_PREKEYS_CLAIMED: Final = 800
_PRIVACY: Final = ("readreceipts", "profile", "status", "online", "last", "groupadd", "calladd", "messages")


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: a device of an account, and the book the answers are looked up in."""

    account: Account
    device: Device
    book: AccountBook


class StanzaError(Exception):
    """The answer is an error with this code and text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code, text)
        self.node = Node("error", {"code": code, "text": text})


_Answer = Callable[[Node, Asker], tuple[Node, ...]]


def answer(iq: Node, asker: Asker) -> Node:
    """Return the result or error for a client's question."""
    child = iq.children[0] if iq.children else Node("")
    key = (iq.text("xmlns"), iq.text("type"), child.tag)
    function = _TABLE.get(key) or _TABLE.get((key[0], key[1], "*"), _nothing)
    try:
        return reply(iq, function(iq, asker))
    except StanzaError as error:
        return reply(iq, (error.node,), kind="error")


def reply(iq: Node, content: tuple[Node, ...] = (), *, kind: str = "result") -> Node:
    """Return the envelope of an answer to ``iq``."""
    attrs: dict[str, AttributeValue] = {
        "from": iq.jid("to") or SERVER,
        "type": kind,
        "id": iq.text("id"),
    }
    return Node("iq", attrs, content or None)


def acknowledge(stanza: Node, now: int) -> Node:
    """Return the server's receipt for a message or a receipt that a client handed in."""
    attrs: dict[str, AttributeValue] = {
        "class": stanza.tag,
        "id": stanza.text("id"),
        "from": stanza.jid("to") or SERVER,
        "t": str(now),
    }
    if "participant" in stanza.attrs:
        attrs["participant"] = stanza.attrs["participant"]
    return Node("ack", attrs)


def _nothing(iq: Node, asker: Asker) -> tuple[Node, ...]:
    del iq, asker
    return ()


def _count_prekeys(iq: Node, asker: Asker) -> tuple[Node, ...]:
    del iq
    # A client that is told 0 makes 812 keys in 812 transactions, which takes from one to many seconds; told that there
    # are some, it makes 50. A device without one-time keys can be written to all the same (by its signed prekey).
    return (Node("count", {"value": str(max(len(asker.device.prekeys), _PREKEYS_CLAIMED))}),)


def _take_prekeys(iq: Node, asker: Asker) -> tuple[Node, ...]:
    device = asker.device
    listed, signed = iq.child("list"), iq.child("skey")
    if listed is None or signed is None or _data(iq, "identity") != device.identity:
        raise StanzaError(*_NOT_ACCEPTABLE)
    known = {key.number for key in device.prekeys}
    device.signed_prekey = _signed_prekey(signed, device.identity)
    device.prekeys += [key for node in listed.children if (key := _prekey(node)).number not in known]
    asker.book.save(asker.account)
    return ()


def _rotate_signed_prekey(iq: Node, asker: Asker) -> tuple[Node, ...]:
    signed = iq.child("rotate", "skey")
    if signed is None:
        raise StanzaError(*_NOT_ACCEPTABLE)
    asker.device.signed_prekey = _signed_prekey(signed, asker.device.identity)
    asker.book.save(asker.account)
    return ()


def _digest(iq: Node, asker: Asker) -> tuple[Node, ...]:
    del iq
    device = asker.device
    signed = device.signed_prekey
    numbers = tuple(Node("id", {}, key.number.to_bytes(3, "big")) for key in device.prekeys)
    digest = hashlib.sha1(usedforsecurity=False)
    for part in (device.identity, signed.public, signed.signature, *(key.public for key in device.prekeys)):
        digest.update(part)
    children = (
        *_bundle_head(device),
        Node("skey", {}, _key_parts(signed)),
        Node("list", {}, numbers),
        Node("hash", {}, digest.digest()),
    )
    return (Node("digest", {}, children),)


def _give_bundles(iq: Node, asker: Asker) -> tuple[Node, ...]:
    wanted = iq.child("key")
    users = tuple(_bundle(user.jid("jid"), asker) for user in (wanted.children if wanted else ()))
    return (Node("list", {}, users),)


def _bundle(jid: Jid | None, asker: Asker) -> Node:
    if jid is None:
        raise StanzaError(*_NOT_ACCEPTABLE)
    account = asker.book.find(jid.user)
    device = account.devices.get(jid.device) if account else None
    if account is None or device is None:
        return Node("user", {"jid": jid}, (Node("error", {"code": _NOT_FOUND[0], "text": _NOT_FOUND[1]}),))
    content = [*_bundle_head(device), Node("skey", {}, _key_parts(device.signed_prekey))]
    if device.prekeys:
        content.append(Node("key", {}, _key_parts(device.prekeys.pop(0))))  # each is given away once
        asker.book.save(account)
    return Node("user", {"jid": jid}, tuple(content))


def _bundle_head(device: Device) -> tuple[Node, ...]:
    return (
        Node("registration", {}, device.registration_id.to_bytes(4, "big")),
        Node("type", {}, DJB_TYPE),
        Node("identity", {}, device.identity),
    )


def _key_parts(key: PreKey) -> tuple[Node, ...]:
    parts = (Node("id", {}, key.number.to_bytes(3, "big")), Node("value", {}, key.public))
    return (*parts, Node("signature", {}, key.signature)) if key.signature else parts


def _prekey(node: Node) -> PreKey:
    public = _data(node, "value")
    if len(public) != 32:  # noqa: PLR2004 - the size of a Curve25519 key
        raise StanzaError(*_NOT_ACCEPTABLE)
    return PreKey(int.from_bytes(_data(node, "id"), "big"), public, _data(node, "signature"))


def _signed_prekey(node: Node, identity: bytes) -> PreKey:
    key = _prekey(node)
    if not verify(identity, DJB_TYPE + key.public, key.signature):
        raise StanzaError(*_NOT_ACCEPTABLE)
    return key


def _data(node: Node, *path: str) -> bytes:
    found = node.child(*path)
    return found.data if found else b""


def _usync(iq: Node, asker: Asker) -> tuple[Node, ...]:
    question = iq.child("usync")
    query, listed = iq.child("usync", "query"), iq.child("usync", "list")
    if question is None or query is None or listed is None:
        raise StanzaError(*_NOT_ACCEPTABLE)
    protocols = tuple(each.tag for each in query.children)
    users = tuple(_usync_user(user, protocols, asker) for user in listed.children)
    attrs: dict[str, AttributeValue] = {
        name: value for name, value in question.attrs.items() if name in ("sid", "mode", "index", "last", "context")
    }
    result = Node("result", {}, tuple(Node(tag) for tag in protocols))
    return (Node("usync", attrs, (result, Node("list", {}, users))),)


def _usync_user(user: Node, protocols: tuple[str, ...], asker: Asker) -> Node:
    contact = user.child("contact")
    named = user.jid("jid")
    number = named.user if named else (contact.data.decode(errors="replace").lstrip("+") if contact else "")
    account = asker.book.find(number)
    jid = named or Jid(number, "s.whatsapp.net")
    content = tuple(each for tag in protocols if (each := _usync_fact(tag, account, contact)) is not None)
    return Node("user", {"jid": jid}, content)


def _usync_fact(protocol: str, account: Account | None, contact: Node | None) -> Node | None:
    match protocol:
        case "contact":
            return Node("contact", {"type": "in" if account else "out"}, contact.data if contact else None)
        case "devices" if account:
            numbers = (0, *sorted(account.devices))
            devices = tuple(Node("device", _device_attrs(each)) for each in numbers)
            return Node("devices", {}, (Node("device-list", {}, devices),))
        case "lid" if account:
            return Node("lid", {"val": account.hidden_jid()})
        case "status":
            return Node("status", {}, b"")
        case _:
            return None


def _device_attrs(device: int) -> dict[str, AttributeValue]:
    return {"id": str(device), "key-index": str(device)} if device else {"id": "0"}


def _no_such_thing(iq: Node, asker: Asker) -> tuple[Node, ...]:
    del iq, asker
    raise StanzaError(*_NOT_FOUND)


def _privacy(iq: Node, asker: Asker) -> tuple[Node, ...]:
    del iq, asker
    return (Node("privacy", {}, tuple(Node("category", {"name": name, "value": "all"}) for name in _PRIVACY)),)


def _no_groups(iq: Node, asker: Asker) -> tuple[Node, ...]:
    del iq, asker
    return (Node("groups", {}, ()),)


def _empty_blocklist(iq: Node, asker: Asker) -> tuple[Node, ...]:
    del iq, asker
    return (Node("list", {}, ()),)


def _properties(iq: Node, asker: Asker) -> tuple[Node, ...]:
    del iq, asker
    return (Node("props", {"protocol": "2", "hash": "", "refresh": "86400"}, ()),)


def _app_state(iq: Node, asker: Asker) -> tuple[Node, ...]:
    del asker
    asked = iq.child("sync")
    collections = tuple(
        Node("collection", {"name": each.text("name"), "version": each.text("version") or "0", "type": "result"})
        for each in (asked.children if asked else ())
    )
    return (Node("sync", {}, collections),)


def _media_connection(iq: Node, asker: Asker) -> tuple[Node, ...]:
    del iq, asker
    attrs: dict[str, AttributeValue] = {"auth": "none", "ttl": "3600", "auth_ttl": "3600", "max_buckets": "12"}
    return (Node("media_conn", attrs, ()),)


_TABLE: Final[dict[tuple[str, str, str], _Answer]] = {
    ("encrypt", "get", "count"): _count_prekeys,
    ("encrypt", "get", "key"): _give_bundles,
    ("encrypt", "get", "digest"): _digest,
    ("encrypt", "set", "registration"): _take_prekeys,
    ("encrypt", "set", "rotate"): _rotate_signed_prekey,
    ("usync", "get", "usync"): _usync,
    ("privacy", "get", "privacy"): _privacy,
    ("blocklist", "get", "*"): _empty_blocklist,
    ("w:g2", "get", "participating"): _no_groups,
    ("w:g2", "get", "*"): _no_such_thing,
    ("w:profile:picture", "get", "*"): _no_such_thing,
    ("w:sync:app:state", "set", "sync"): _app_state,
    ("w:m", "set", "media_conn"): _media_connection,
    ("w", "get", "props"): _properties,
    ("abt", "get", "props"): _properties,
    ("w:mex", "get", "*"): _no_such_thing,
    ("newsletter", "get", "*"): _no_such_thing,
}
