"""The library's utterances become events: pure, with the sentences of the pinned release."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wakit.core.declaration import Pairing
from wakit.whatsapp import codes, sentences, translation
from wakit.whatsapp.codes import ALL_CODES
from wakit.whatsapp.port import (
    Banned,
    ClientEnded,
    CodeShown,
    Connected,
    ConnectionLost,
    CredentialBad,
    DialFailed,
    DialFailure,
    LoggedOut,
    Outdated,
    Paired,
    PairingExpired,
    PairingFailed,
    PasskeyAsked,
    PhoneSeen,
    QrShown,
    Refused,
    Replaced,
)
from wakit.whatsapp.sentences import explain_dial
from wakit.whatsapp.translation import LastDial, Translator

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("module", [codes, sentences, translation])
def test_the_examples_in_the_docstrings_run(module: ModuleType) -> None:
    ran = doctest.testmod(module)
    assert ran.attempted
    assert ran.failed == 0


def translator(pairing: Pairing | None = None, dial: LastDial | None = None) -> Translator:
    return Translator(pairing, lambda: LastDial(seen=True) if dial is None else dial)


def show_codes(subject: Translator, count: int) -> datetime:
    """Show that many QR codes at the library's pace; return when the last one appeared."""
    at = NOON
    for number in range(count):
        at = NOON + timedelta(seconds=0 if number == 0 else 60 + 20 * (number - 1))
        subject.qr(f"code {number}", at)
    return at


def test_qr_codes_live_sixty_seconds_and_then_twenty():
    subject = translator(Pairing.QR)
    first = subject.qr("a", NOON)
    second = subject.qr("b", NOON + timedelta(seconds=60))
    assert isinstance(first, QrShown)
    assert isinstance(second, QrShown)
    assert (first.expires_at, second.expires_at) == (NOON + timedelta(seconds=60), NOON + timedelta(seconds=80))
    assert first.payload.reveal() == "a"


def test_codes_that_all_ran_out_are_an_expired_pairing():
    subject = translator(Pairing.QR)
    last = show_codes(subject, 6)
    assert isinstance(subject.login_status("timeout", last + timedelta(seconds=20)), PairingExpired)


@pytest.mark.parametrize(("shown", "after"), [(1, 3), (1, 30), (2, 5), (5, 10), (0, 1)])
def test_a_dropped_connection_while_pairing_is_no_expired_pairing(shown: int, after: float):
    subject = translator(Pairing.QR)
    last = show_codes(subject, shown)
    ended = subject.login_status("timeout", last + timedelta(seconds=after))
    assert isinstance(ended, ClientEnded)
    assert "lost while pairing" in ended.why


def test_a_drop_while_pairing_tells_what_whatsapp_answered():
    subject = translator(Pairing.QR)
    subject.log("Got 503/ connect failure, assuming automatic reconnect will handle it")
    ended = subject.login_status("timeout", NOON)
    assert isinstance(ended, ClientEnded)
    assert "503" in ended.why


def test_a_restore_that_is_shown_a_qr_is_an_alarm_and_never_a_qr():
    subject = translator(None)
    assert isinstance(subject.qr("secret", NOON), CredentialBad)
    assert subject.qr("secret", NOON) is None
    assert subject.paired("34600000001") is None


def test_code_pairing_shows_a_code_and_no_qr():
    subject = translator(Pairing.CODE)
    assert subject.qr("qr", NOON) is None
    assert subject.wants_code
    shown = subject.code("ABCD-2345", NOON + timedelta(seconds=1))
    assert isinstance(shown, CodeShown)
    assert shown.expires_at == NOON + ALL_CODES
    assert subject.qr("qr", NOON + timedelta(seconds=60)) is None
    assert not subject.wants_code


def test_a_refused_code_request_fails_the_pairing_without_naming_the_number():
    subject = translator(Pairing.CODE)
    subject.qr("qr", NOON)
    failed = subject.code_refused("info query for 34600000001@s.whatsapp.net returned status 429: rate-overlimit")
    assert isinstance(failed, PairingFailed)
    assert "429" in failed.why
    assert "34600000001" not in failed.why


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("err-client-outdated", Outdated),
        ("passkey-request", PasskeyAsked),
        ("passkey-confirmation", PasskeyAsked),
        ("error", PairingFailed),
        ("err-unexpected-state", ClientEnded),
    ],
)
def test_words_that_end_a_pairing(word: str, kind: type):
    subject = translator(Pairing.QR)
    subject.qr("a", NOON)
    assert isinstance(subject.login_status(word, NOON), kind)


def test_a_phone_without_multidevice_may_scan_again():
    subject = translator(Pairing.QR)
    subject.qr("a", NOON)
    assert subject.login_status("err-scanned-without-multidevice", NOON) is None
    assert isinstance(subject.qr("b", NOON), QrShown)


LOG = [
    ("Got 401: logged out from another device connect failure, sending LoggedOut event and deleting session",
     LoggedOut(code="401", on_connect=True)),
    ("Got 403: primary device was logged out connect failure, sending LoggedOut event and deleting session",
     LoggedOut(code="403", on_connect=True)),
    ("Got 406: logged out for unknown reason connect failure, sending LoggedOut event and deleting session",
     LoggedOut(code="406", on_connect=True)),
    ("Got device removed stream error, sending LoggedOut event and deleting session",
     LoggedOut(code="device_removed", on_connect=False)),
    ("Got replaced stream error, sending StreamReplaced event", Replaced()),
    ('Temporary ban connect failure: <failure code="102" expire="3600" reason="402"/>',
     Banned(code="102", seconds=3600.0)),
    ('Temporary ban connect failure: <failure reason="402"/>', Banned(code="", seconds=0.0)),
    ("Client outdated (405) connect failure (client version: 2.3000.1)", Outdated()),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "event"), LOG)
def test_the_log_gives_the_verdict(sentence: str, event: object):
    assert translator().log(sentence) == event


@pytest.mark.parametrize("reason", ["400", "409", "415", "418", "501"])
def test_the_log_names_a_refusal_by_whatsapps_number(reason: str):
    refused = translator().log(f'Unknown connect failure: <failure reason="{reason}"/>')
    assert isinstance(refused, Refused)
    assert refused.code == reason
    assert refused.why


def test_while_unpaired_a_logout_is_a_refusal():
    subject = translator(Pairing.QR)
    refused = subject.log(LOG[0][0])
    assert isinstance(refused, Refused)
    assert refused.code == "401"


def test_after_pairing_a_logout_is_a_logout():
    subject = translator(Pairing.QR)
    subject.qr("a", NOON)
    assert isinstance(subject.paired("34600000001"), Paired)
    assert isinstance(subject.log(LOG[0][0]), LoggedOut)


def test_the_reason_of_a_drop_is_told_with_the_drop_and_then_forgotten():
    subject = translator()
    assert subject.log("Got 503 stream error, assuming automatic reconnect will handle it") is None
    assert subject.disconnected() == ConnectionLost(why="WhatsApp answered 503", code="503")
    assert subject.disconnected() == ConnectionLost(why="the connection dropped")


def test_connected_knows_the_account_once_it_was_told():
    subject = translator()
    assert subject.connected() == Connected(account=None)
    subject.identity("34600000001")
    connected = subject.connected()
    assert isinstance(connected, Connected)
    assert connected.account is not None
    assert connected.account.reveal() == "34600000001"


def test_an_error_before_any_dial_blames_the_credential():
    subject = translator(dial=LastDial(seen=False))
    bad = subject.returned("failed to upgrade database: file is not a database")
    assert isinstance(bad, CredentialBad)
    assert "not a database" in bad.why


def test_a_locked_database_is_tried_again():
    subject = translator(dial=LastDial(seen=False))
    assert isinstance(subject.returned("failed to upgrade database: database is locked"), ClientEnded)


def test_a_first_dial_that_fails_is_told_as_the_relay_saw_it():
    dial = LastDial(seen=True, cause=DialFailure.NAME_LOOKUP, detail="name look-up of web.whatsapp.com failed")
    ended = translator(dial=dial).returned("couldn't dial whatsapp web websocket: Bad Gateway")
    assert ended == ClientEnded(why="name look-up of web.whatsapp.com failed", cause=DialFailure.NAME_LOOKUP)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", DialFailure.TLS),
        ("remote error: tls: handshake failure", DialFailure.TLS),
        ("noise handshake failed: failed to verify server cert: invalid signature", DialFailure.TLS),
        ("noise handshake failed: timed out waiting for handshake response", DialFailure.TIMEOUT),
        ("net/http: TLS handshake timeout", DialFailure.TIMEOUT),
        ("failed to read frame header: EOF", DialFailure.CLOSED),
    ],
)
def test_failures_inside_the_tunnel_are_classed(error: str, cause: DialFailure):
    assert explain_dial(error)[0] is cause


def test_a_redial_that_the_relay_failed_is_not_told_twice():
    failed = LastDial(seen=True, cause=DialFailure.REFUSED, detail="web.whatsapp.com refused the connection")
    sentence = "Error reconnecting after autoreconnect sleep: couldn't dial: Service Unavailable"
    assert translator(dial=failed).log(sentence) is None
    assert isinstance(translator().log(sentence), DialFailed)


def test_a_failed_reconnect_after_pairing_ends_the_client():
    subject = translator(Pairing.QR)
    subject.qr("a", NOON)
    subject.paired("34600000001")
    assert isinstance(subject.log("Failed to reconnect after 515 code: EOF"), ClientEnded)


VERDICTS = [
    lambda t: t.log(LOG[0][0]),
    lambda t: t.replaced(),
    lambda t: t.banned("101", 60.0),
    lambda t: t.outdated(),
    lambda t: t.refused("418", ""),
    lambda t: t.returned("EOF"),
]
ANYTHING = [
    *VERDICTS,
    lambda t: t.connected(),
    lambda t: t.disconnected(),
    lambda t: t.keepalive_failed(1),
    lambda t: t.keepalive_restored(),
    lambda t: t.message(from_me=True, device=0, sent_at=NOON, now=NOON),
    lambda t: t.qr("x", NOON),
    lambda t: t.redial_failed("EOF"),
    lambda t: t.logged_out("401", on_connect=False),
]


@given(st.sampled_from(VERDICTS), st.lists(st.sampled_from(ANYTHING), max_size=8))
def test_after_a_verdict_nothing_else_is_told(verdict, later):
    subject = translator()
    assert verdict(subject) is not None
    assert [each(subject) for each in later] == [None] * len(later)


def test_only_the_phone_itself_is_a_sign_of_the_phone():
    hour, subject = timedelta(hours=1), translator()
    later = NOON + hour
    assert subject.message(from_me=False, device=0, sent_at=NOON, now=NOON) is None
    assert subject.message(from_me=True, device=3, sent_at=NOON, now=NOON) is None
    assert subject.message(from_me=True, device=0, sent_at=NOON, now=NOON) == PhoneSeen(at=NOON)
    assert subject.message(from_me=True, device=0, sent_at=NOON + hour / 2, now=NOON + hour / 2) is None
    assert subject.message(from_me=True, device=0, sent_at=NOON - hour, now=later) is None, "an old one, told late"
    # A phone's clock is its own; nothing was seen in the future.
    assert subject.message(from_me=True, device=0, sent_at=NOON + 9 * hour, now=NOON + hour) == PhoneSeen(
        at=NOON + hour
    )
