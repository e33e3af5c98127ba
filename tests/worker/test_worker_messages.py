"""Frames: whatever arrives in whatever pieces, and never more than agreed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wakit.core.declaration import Endpoint, Pairing
from wakit.redact import PhoneNumber, Secret
from wakit.whatsapp.port import (
    AccountHeld,
    AccountHold,
    Banned,
    CodeShown,
    Connected,
    DialFailed,
    DialFailure,
    Paired,
    QrShown,
    SessionStart,
    WorkerLaunch,
)
from wakit.worker.messages import (
    MAX_FRAME,
    CannotStart,
    Cut,
    Done,
    FrameError,
    FrameSplitter,
    Heartbeat,
    Hello,
    HoldAccount,
    Launch,
    Line,
    Permit,
    PermitAsked,
    PermitReturned,
    PermitUsed,
    Shutdown,
    Told,
    Traffic,
    decode_to_host,
    decode_to_worker,
    encode,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
LAUNCH = Launch(
    protocol=1,
    heartbeat=5.0,
    launch=WorkerLaunch(
        worker_id="w1",
        sessions=(
            SessionStart(
                name="sales",
                directory="/state/sales",
                epoch=7,
                pairing=Pairing.CODE,
                phone=PhoneNumber("+34600000001"),
                proxy=Secret("socks5://user:hunter22@127.0.0.1:1080"),
            ),
            SessionStart(
                name="support", directory="/state/support", epoch=1, account=AccountHold(lock="/l", token="t")
            ),
        ),
        endpoint=Endpoint("http://127.0.0.1:8443", "/ca.pem", "00" * 32),
    ),
)
TO_WORKER = [
    LAUNCH,
    Permit(session="a", number=3),
    HoldAccount(session="a", account=AccountHold(lock="/l", note="/n", token="t")),
    Cut(session="a", cut=True),
    Shutdown(grace=1.5),
]
EVENTS = [
    QrShown(payload=Secret("https://wa.me/x"), expires_at=AT),
    CodeShown(code=Secret("ABCD-2345"), expires_at=AT),
    Paired(account=Secret("34600000001")),
    Connected(),
    Connected(account=Secret("34600000001")),
    DialFailed(cause=DialFailure.TLS, detail="no"),
    Banned(code="101", seconds=60.0),
    AccountHeld(why="process 4711 on box holds it"),
]
TO_HOST = [
    Hello(protocol=1, pid=3),
    CannotStart(what="no", why="because", endpoint=True),
    *(Told(session="a", at=AT, event=event) for event in EVENTS),
    PermitAsked(session="a", number=1),
    PermitReturned(session="a", number=1),
    PermitUsed(session="a", number=1),
    Line(session="a", line="ünïcode"),
    Heartbeat(at=1.5, sessions={"a": Traffic(received=1, sent=2), "b": Traffic(3, 4, 1.0, 0.5, 1.0)}),
    Done(request=1, ok=False, why="late"),
]


@pytest.mark.parametrize("message", TO_WORKER, ids=lambda m: type(m).__name__)
def test_what_the_host_says_arrives_as_it_was(message):
    assert decode_to_worker(encode(message)[4:]) == message


@pytest.mark.parametrize("message", TO_HOST, ids=lambda m: type(getattr(m, "event", m)).__name__)
def test_what_the_worker_says_arrives_as_it_was(message):
    assert decode_to_host(encode(message)[4:]) == message


@given(st.lists(st.binary(max_size=300), max_size=20), st.data())
def test_frames_survive_any_splitting_and_joining(bodies, data):
    stream = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    splitter = FrameSplitter()
    arrived = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        arrived += splitter.feed(stream[start:end])
    assert arrived == bodies
    assert not splitter.torn


@given(st.integers(11, 2**32 - 1))
def test_an_announced_giant_is_refused_before_it_comes(size):
    with pytest.raises(FrameError, match="over the limit"):
        FrameSplitter(limit=10).feed(size.to_bytes(4, "big"))


def test_a_giant_is_not_even_written():
    with pytest.raises(FrameError):
        encode(Line(session="a", line="x" * (MAX_FRAME + 1)))


@given(st.binary(max_size=200))
def test_noise_is_a_frame_error_and_nothing_else(noise):
    for decode in (decode_to_host, decode_to_worker):
        with pytest.raises(FrameError):
            decode(noise)


def test_a_bad_number_on_the_wire_is_not_repeated_in_the_error():
    body = encode(LAUNCH)[4:].replace(b"+34600000001", b"34600000001x")
    with pytest.raises(FrameError) as refused:
        decode_to_worker(body)
    assert "34600000001" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_messages_do_not_show_their_secrets():
    for message in (*TO_WORKER, *TO_HOST):
        shown = repr(message)
        assert not any(secret in shown for secret in ("34600000001", "hunter22", "wa.me", "ABCD-2345"))
