from __future__ import annotations

import doctest
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wakit import errors, redact
from wakit.redact import PhoneNumber, Secret, account_hash, scrub


@pytest.mark.parametrize("module", [redact, errors])
def test_the_examples_in_the_docstrings_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0


@given(st.text(min_size=4, alphabet=st.characters(min_codepoint=48, max_codepoint=122)))
def test_a_secret_never_shows(text: str) -> None:
    secret = Secret(text)
    for shown in (repr(secret), str(secret), f"{secret:>4}", f"{[secret]}", repr({"k": secret})):
        assert text not in shown or text in "Secret('•••')"


@given(st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True))
def test_a_number_shows_only_its_ends(text: str) -> None:
    number = PhoneNumber(text)
    assert number.reveal() == text
    assert text[3:-2] not in str(number)
    assert text[1:] not in f"{number!r}{number}{number:>3}"


@pytest.mark.parametrize("wrong", ["34600000001", "+0123456789", "+34", "+34600000001x", "", "+3460000000100000"])
def test_a_wrong_number_is_refused_without_being_repeated(wrong: str) -> None:
    with pytest.raises(ValueError, match="8 to 15 digits") as caught:
        PhoneNumber(wrong)
    assert not wrong or wrong not in str(caught.value)


@pytest.mark.parametrize("value", [Secret("x"), PhoneNumber("+34600000001")])
def test_secrets_are_not_pickled(value: object) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(value)


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Pair Code:  ABCD-2345", "2345"),
        ("https://wa.me/settings/linked_devices#2@abc,def,ghi==,j,1", "abc"),
        ("dial http://sales:nonce@127.0.0.1:80 failed", "nonce"),
        ("34600000001:12@s.whatsapp.net logged out", "346"),
        ("from +34 600 000 001 at", "600"),
        ("key 142375574d0a587166aae71ebe516437c4a28b73e3695c6c", "1423"),
        ("key dGhpcyBpcyBhIHNlY3JldCBrZXkgdGhhdCBpcyAzMiBieXQ=", "dGhp"),
    ],
)
def test_scrub_masks_by_shape(text: str, gone: str) -> None:
    assert gone not in scrub(text)


def test_scrub_leaves_ordinary_words() -> None:
    text = "Got 503 stream error, assuming automatic reconnect will handle it (attempt 3 of 12)"
    assert scrub(text) == text


@pytest.mark.parametrize(
    "moment", ["2026-11-29 17:09:32 UTC", "2026-11-29T17:09:32Z", "2026-11-29 17:09:32.123456+00:00"]
)
def test_scrub_leaves_moments(moment: str) -> None:
    text = f"3 tries failed since {moment}, so it is left alone"
    assert scrub(text) == text
    assert scrub(f"{moment} 34600000001") == f"{moment} [number]"
    assert "600000001" not in scrub(f"+34600000001 {moment}")


@pytest.mark.parametrize("number", ["2026-11-29 17", "2026 11 29 17 09", "20261129170932", "2026-11-29 17.09.32"])
def test_scrub_masks_what_only_begins_like_a_moment(number: str) -> None:
    assert scrub(f"from {number}") == "from [number]"


def test_an_account_hash_needs_the_key() -> None:
    assert account_hash("34600000001", b"a") != account_hash("34600000001", b"b")
    assert len(account_hash("34600000001", b"a")) == 16
