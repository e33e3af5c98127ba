"""What a worker prints is masked by shape, and by value where the host has seen the value."""

from __future__ import annotations

from datetime import UTC, datetime

from wakit.redact import PhoneNumber, Secret
from wakit.whatsapp.port import CodeShown, Connected, QrShown, SessionStart
from wakit.worker.scrubbing import Scrubber

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_secrets_of_the_order_are_masked():
    scrubber = Scrubber()
    scrubber.learn_start(
        SessionStart(
            name="a",
            directory="/d",
            epoch=1,
            phone=PhoneNumber("+34600000001"),
            proxy=Secret("http://person:swordfish@proxy.example:8080"),
        )
    )
    clean = scrubber.clean("auth swordfish for person failed, user34600000001x")
    assert "swordfish" not in clean
    assert "34600000001" not in clean


def test_a_code_is_masked_with_and_without_its_dash():
    scrubber = Scrubber()
    scrubber.learn_event(CodeShown(code=Secret("ABCD-2345"), expires_at=AT))
    clean = scrubber.clean("Pair Code:  ABCD-2345, or ABCD2345")
    assert "2345" not in clean


def test_a_qr_and_an_account_are_masked():
    scrubber = Scrubber()
    scrubber.learn_event(QrShown(payload=Secret("ref,abc,def"), expires_at=AT))
    scrubber.learn_event(Connected(account=Secret("34600000001")))
    assert scrubber.clean("xref,abc,defx 34600000001:2 id34600000001") == "x•••x •••:2 id•••"


def test_only_the_newest_shown_secrets_are_kept():
    scrubber = Scrubber()
    for number in range(1000):
        scrubber.learn_event(QrShown(payload=Secret(f"payload {number}"), expires_at=AT))
    assert scrubber.clean("payload 999") == "•••"
    assert scrubber.clean("payload 0") == "payload 0"
