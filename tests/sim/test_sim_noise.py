"""The handshake agrees with an initiator, refuses everything else; frames and signatures hold."""

from __future__ import annotations

import pytest
import xeddsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wakit.sim.curve import KeyPair, agree, sign, verify
from wakit.sim.frames import Deframer, FrameError, frame
from wakit.sim.noise import PROLOGUE, Cipher, NoiseError, Responder, Transcript

# On a busy machine an example may take its time; that says nothing about the code.
unhurried = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

keys = st.binary(min_size=32, max_size=32).map(KeyPair.of)


def initiate(
    static: KeyPair, ephemeral: KeyPair, responder: Responder, payload: bytes
) -> tuple[bytes, bytes, Transcript]:
    """Play the client's part; return the third message and the transcript."""
    transcript = Transcript()
    transcript.authenticate(ephemeral.public)
    hello = responder.answer(ephemeral.public)
    transcript.authenticate(hello.ephemeral)
    transcript.mix(agree(ephemeral.private, hello.ephemeral))
    server_static = transcript.decrypt(hello.static)
    transcript.mix(agree(ephemeral.private, server_static))
    assert transcript.decrypt(hello.payload) == b"certificates"
    sealed_static = transcript.encrypt(static.public)
    transcript.mix(agree(static.private, hello.ephemeral))
    return sealed_static, transcript.encrypt(payload), transcript


@unhurried
@given(keys, keys, keys, keys, st.binary(max_size=100))
def test_both_sides_agree(server: KeyPair, e_s: KeyPair, client: KeyPair, e_c: KeyPair, payload: bytes) -> None:
    responder = Responder(server, e_s, b"certificates")
    static, sealed, transcript = initiate(client, e_c, responder, payload)
    established = responder.finish(static, sealed)
    assert (established.client_static, established.payload) == (client.public, payload)
    to_server, to_client = (Cipher(key) for key in transcript.split())
    for text in (b"one", b"two"):
        assert established.incoming.decrypt(to_server.encrypt(text)) == text
        assert to_client.decrypt(established.outgoing.encrypt(text)) == text


@unhurried
@given(st.integers(0, 10_000), st.integers(1, 255), st.booleans())
def test_one_wrong_bit_ends_the_handshake(at: int, flip: int, in_static: bool) -> None:
    responder = Responder(KeyPair.generate(), KeyPair.generate(), b"certificates")
    parts = list(initiate(KeyPair.generate(), KeyPair.generate(), responder, b"payload")[:2])
    part = bytearray(parts[0 if in_static else 1])
    part[at % len(part)] ^= flip
    parts[0 if in_static else 1] = bytes(part)
    with pytest.raises(NoiseError):
        responder.finish(*parts)


def test_impossible_keys_are_refused() -> None:
    for key in (b"", b"short", b"\0" * 32, b"x" * 33):
        with pytest.raises(NoiseError):
            Responder(KeyPair.generate(), KeyPair.generate(), b"").answer(key)


def test_messages_have_their_place_in_the_sequence() -> None:
    sender, receiver = Cipher(b"k" * 32), Cipher(b"k" * 32)
    first, second = sender.encrypt(b"first"), sender.encrypt(b"second")
    with pytest.raises(NoiseError):
        receiver.decrypt(second)
    assert receiver.decrypt(second) == b"second"
    assert first != second


@unhurried
@given(keys, st.binary(max_size=100))
def test_signatures_satisfy_both_kinds_of_verifier(key: KeyPair, message: bytes) -> None:
    signature = sign(key.private, message)
    assert verify(key.public, message, signature)
    assert signature[63] & 0x80 == 0
    assert xeddsa.ed25519_verify(signature, xeddsa.curve25519_pub_to_ed25519_pub(key.public, False), message)


@unhurried
@given(keys, st.binary(max_size=100))
def test_signatures_of_libsignal_are_accepted(key: KeyPair, message: bytes) -> None:
    # libsignal clamps its keys, signs with them as they are and puts the Ed25519 key's sign into the last byte.
    key = KeyPair.of(bytes((key.private[0] & 0xF8, *key.private[1:31], key.private[31] & 0x7F | 0x40)))
    sign_bit = xeddsa.priv_to_ed25519_pub(key.private)[31] & 0x80
    plain = xeddsa.ed25519_priv_sign(key.private, message)
    assert verify(key.public, message, plain[:63] + bytes((plain[63] | sign_bit,)))


@unhurried
@given(keys, st.binary(max_size=50), st.integers(0, 63), st.integers(1, 255))
def test_a_changed_signature_is_refused(key: KeyPair, message: bytes, at: int, flip: int) -> None:
    signature = bytearray(sign(key.private, message))
    signature[at] ^= flip
    assert not verify(key.public, message, bytes(signature))


@pytest.mark.parametrize(("public", "signature"), [(b"", b""), (b"x" * 32, b"x" * 63), (b"\xff" * 32, b"\xff" * 64)])
def test_impossible_signatures_are_refused_quietly(public: bytes, signature: bytes) -> None:
    assert not verify(public, b"message", signature)


@unhurried
@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_frames_survive_any_cutting(payloads: list[bytes], data: st.DataObject) -> None:
    stream = PROLOGUE + b"".join(frame(each) for each in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    deframer, found = Deframer(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        deframer.feed(stream[start:end])
        while (payload := deframer.pop()) is not None:
            found.append(payload)
    assert found == payloads


@unhurried
@given(st.binary(min_size=1, max_size=20))
def test_another_greeting_is_refused_at_once(data: bytes) -> None:
    deframer = Deframer()
    if data[:4] == PROLOGUE[: len(data[:4])]:
        deframer.feed(data)
    else:
        with pytest.raises(FrameError):
            deframer.feed(data)
