from __future__ import annotations

import doctest
import pickle
from base64 import b64encode, urlsafe_b64encode
from datetime import datetime

import pytest
from hypothesis import assume, given
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
    "moment",
    [
        "2026-11-29 17:09:32 UTC",
        "2026-11-29T17:09:32Z",
        "2026-11-29 17:09:32.123456+00:00",
        "2026-11-29 17:09 UTC",
        "2026-11-29T17:09Z",
        "20261129T170932123456Z-0a1b2c3d",
    ],
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


MOMENTS = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2099, 12, 31))  # noqa: DTZ001
DIGESTS = st.from_regex(r"[0-9a-f]{8}", fullmatch=True)


@given(moment=MOMENTS, digest=DIGESTS, shape=st.sampled_from(["%Y-%m-%d %H:%M UTC", "%Y-%m-%d %H:%M:%S UTC"]))
def test_every_moment_and_backup_stays_readable(moment: datetime, digest: str, shape: str) -> None:
    text = f"the backup {moment:%Y%m%dT%H%M%S%fZ}-{digest}, given away on {moment:{shape}}"
    assert scrub(text) == text


@given(st.from_regex(r"[0-9]{8}", fullmatch=True), st.from_regex(r"[0-9]{12}", fullmatch=True), DIGESTS)
def test_a_number_in_the_shape_of_a_backup_is_masked(day: str, time: str, digest: str) -> None:
    name = f"{day}T{time}Z-{digest}"
    try:
        moment = datetime.strptime(f"{day}T{time}Z", "%Y%m%dT%H%M%S%fZ")  # noqa: DTZ007
        valid = moment.year // 100 == 20
    except ValueError:
        valid = False
    assert scrub(f"the backup {name} of") == f"the backup {name if valid else f'[number]T[number]Z-{digest}'} of"


@pytest.mark.parametrize(
    "text",
    [
        "on 2026-02-30 17:09 UTC", "on 2026-11-29 24:09 UTC", "on 2026-13-29 17:09:32", "on 2026-11-29 17:09",
        "on 3460-00-00 00:01 UTC", "120261129T170932123456Z-0a1b2c3d", "20261129T170932123456Z-0a1b2c3d4",
    ],
)  # fmt: skip
def test_what_is_no_moment_is_masked(text: str) -> None:
    assert scrub(text) != text


@given(MOMENTS, st.from_regex(r"\+?[1-9][0-9]{9,14}", fullmatch=True), st.sampled_from([" ", " UTC ", ", "]))
def test_a_number_beside_a_moment_is_masked(moment: datetime, number: str, between: str) -> None:
    shown = scrub(f"{moment:%Y-%m-%d %H:%M UTC}{between}{number}{between}{moment:%Y%m%dT%H%M%S%fZ}-00000000")
    assert number.lstrip("+") not in shown


PATHS = [
    "\t/home/runner/work/neonize/neonize/goneonize/main.go:2345 +0x1d",
    "\t/root/go/pkg/mod/go.mau.fi/whatsmeow@v0.0.0-20260101123456-abcdef123456/socket/noisesocket.go:77 +0x5c",
    'File "/usr/lib/python3.11/site-packages/neonize/_binder/loading.py", line 12, in load_the_library',
    'File "/work/main/.venv/lib/python3.11/site-packages/wakit/worker/child.py", line 157, in _load',
    "google.golang.org/protobuf/internal/implementation/messageState.unmarshal(...)",
    "/srv/wakit/.wakit/sessions/sales/backups/20261129T170932123456Z-0a1b2c3d/credential.db is damaged",
]


@pytest.mark.parametrize("line", PATHS)
def test_scrub_leaves_paths(line: str) -> None:
    assert scrub(line) == line


@given(st.binary(min_size=32, max_size=64), st.sampled_from(["", "/", "/home/", "/usr/lib/python3.11/", "go.mau.fi/"]))
def test_a_key_never_passes_as_a_path(key: bytes, before: str) -> None:
    for text in (key.hex(), b64encode(key).decode(), urlsafe_b64encode(key).decode().rstrip("=")):
        assume(len({*key}) > 16)  # of 32 equal bytes none is a key
        for after in ("", ".go", ".py:12", "/client.go"):
            assert text not in scrub(f"at {before}{text}{after} it ended"), text


@given(st.from_regex(r"[1-9][0-9]{8,14}", fullmatch=True), st.sampled_from(PATHS))
def test_a_number_in_a_path_is_masked(number: str, path: str) -> None:
    assert number not in scrub(path.replace("/", f"/{number}/", 1))


@pytest.mark.parametrize(
    "path",
    [
        "/srv/whatsapp/fleet/sessions/34_600_000_001/shared/creds.db",
        "/srv/fleets/tel-34-600-000-001/sessions.toml",
        "/home/whatsapp/line/34/600/000/001/sessions.toml",
        "/srv/whatsapp/fleets/34+600+000+001/sessions.toml",
    ],
)
def test_a_number_that_is_spread_over_a_path_is_masked(path: str) -> None:
    assert "000" not in scrub(path)
