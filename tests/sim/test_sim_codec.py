"""Nodes survive the wire, whatever they hold; bytes that are no node never do more than raise CodecError."""

from __future__ import annotations

import contextlib
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wakit.sim.codec import CodecError, TokenTable, encode
from wakit.sim.decoder import MAX_INFLATED, decode
from wakit.sim.nodes import SERVER, Jid, Node

TOKENS = TokenTable(
    ("", "xmlstreamstart", "xmlstreamend", "s.whatsapp.net", "type", "lid", *(f"single{each}" for each in range(230))),
    tuple(tuple(f"double{page}-{each}" for each in range(256)) for page in range(4)),
)

# On a busy machine an example may take its time; that says nothing about the code.
unhurried = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.one_of(
    st.text(max_size=40),
    st.text("0123456789-.", max_size=140),
    st.text("0123456789ABCDEF", max_size=140),
    st.sampled_from([*TOKENS.single[1:20], *TOKENS.double[0][:5], *TOKENS.double[3][250:]]),
    st.text("x", min_size=250, max_size=260),
)
users = st.text("0123456789", min_size=1, max_size=20)
jids = st.one_of(
    st.builds(Jid, st.one_of(st.just(""), users), st.sampled_from(["s.whatsapp.net", "lid", "g.us", "broadcast"])),
    st.builds(Jid, users, st.sampled_from(["s.whatsapp.net", "lid", "hosted", "hosted.lid"]), st.integers(0, 255)),
    st.builds(Jid, users, st.just("msgr"), st.integers(0, 65535)),
    st.builds(Jid, users, st.just("interop"), st.integers(0, 65535), st.integers(0, 65535)),
)
attributes = st.dictionaries(texts, st.one_of(texts, jids), max_size=5)
tags = texts.filter(bool)
leaves = st.builds(Node, tags, attributes, st.one_of(st.none(), st.binary(max_size=300)))
nodes = st.recursive(
    leaves, lambda inner: st.builds(Node, tags, attributes, st.lists(inner, max_size=4).map(tuple)), max_leaves=12
)


@unhurried
@given(nodes)
def test_a_node_survives_the_wire(node: Node) -> None:
    assert decode(encode(node, TOKENS), TOKENS) == node


@unhurried
@given(nodes)
def test_a_compressed_node_is_the_same(node: Node) -> None:
    plain = encode(node, TOKENS)
    assert decode(b"\2" + zlib.compress(plain[1:]), TOKENS) == node


@unhurried
@given(st.binary(max_size=200))
def test_noise_only_ever_raises_codec_errors(data: bytes) -> None:
    with contextlib.suppress(CodecError):
        decode(data, TOKENS)


@unhurried
@given(nodes, st.data())
def test_a_cut_node_is_refused(node: Node, data: st.DataObject) -> None:
    whole = encode(node, TOKENS)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(CodecError):
        decode(whole[:cut], TOKENS)


@pytest.mark.parametrize("size", [0, 255, 256, (1 << 20) - 1, 1 << 20])
def test_content_of_every_length_form(size: int) -> None:
    node = Node("a", {}, b"x" * size)
    assert decode(encode(node, TOKENS), TOKENS) == node


@pytest.mark.parametrize("size", [0, 1, 255, 256, 1000])
def test_lists_of_every_length_form(size: int) -> None:
    node = Node("a", {}, tuple(Node("b") for _ in range(size)))
    assert decode(encode(node, TOKENS), TOKENS) == node


def test_tokens_are_used() -> None:
    assert encode(Node("type", {"type": SERVER}), TOKENS) == bytes([0, 248, 3, 4, 4, 250, 0, 3])


def test_deep_nesting_is_refused_not_followed() -> None:
    with pytest.raises(CodecError):
        decode(b"\0" + b"\xf8\2\4\xf8\1" * 10_000, TOKENS)
    with pytest.raises(CodecError):
        decode(b"\0\xf8\1" + b"\xfa" * 10_000, TOKENS)


def test_a_bomb_is_refused() -> None:
    with pytest.raises(CodecError):
        decode(b"\2" + zlib.compress(b"\0" * (MAX_INFLATED + 1)), TOKENS)


def test_nodes_and_addresses_do_not_show_themselves() -> None:
    node = Node("iq", {"jid": Jid("34600000001", "s.whatsapp.net", 3)}, b"a secret")
    shown = f"{node!r} {node.attrs!r}"
    assert "34600000001" not in shown
    assert "secret" not in shown
