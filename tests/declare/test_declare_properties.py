"""What must hold for any input: no other exception, true places, nothing private in the journal's copy, exact edits."""

# ruff: noqa: E501, PT017 - lists of fragments; any input may be refused, and then must be refused well

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import tomlkit
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from wakit.core.declaration import Declaration
from wakit.declare import DeclarationErrors, Source, edit, parse
from wakit.declare.positions import KEY_PART, KeyPath, find_positions

names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True).filter(lambda name: not name.isdigit())
phones = st.from_regex(r"\+[1-9][0-9]{8,13}", fullmatch=True)
passwords = st.from_regex(r"[A-Za-z0-9._~!$&'()*+,;=-]{6,16}", fullmatch=True)

# Bytes that come near to being a declaration are the interesting ones.
fragments = st.sampled_from(
    [
        b"[sessions.", b"a", b"b]", b"]\n", b"[[", b"[wakit]\n", b"[defaults]\n", b"[endpoint]\n", b"phone", b" = ", b"\n",
        b'"+34600000001"', b"'", b'"', b'"""', b"{", b"}", b",", b".", b"#", b"\r\n", b"\0", b"\xef\xbb\xbf", b"\xff", b"true",
        b"1e9", b"1979-05-27 07:32:00", b"nan", b"proxy", b'"socks5://u:pw@h:1"', b"\\u0000", b"labels", b"pairing", b'"code"',
        b"renamed_from", b"sessions", b"[pacing]\ndials", b'"5/s"', b"enabled", b"0x", b"-", b"_", "ü".encode(),
    ]
)  # fmt: skip
near_misses = st.lists(fragments, max_size=25).map(b"".join)


def source(data: bytes, dotenv: bytes | None = None) -> Source:
    return Source(Path("/project/sessions.toml"), "sessions.toml", data, dotenv)


@given(
    data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | near_misses, dotenv=st.none() | near_misses
)
@example(data=b"a = " + b"[{b=" * 900, dotenv=None)
@example(data=b"a = " + b"9" * 5000, dotenv=None)
@example(data=b"a = 2000-02-30\n", dotenv=None)
@example(data=b'[sessions]\n"\\ud800" = {}\n', dotenv=b"WAKIT_RETIRE=\xff\n")
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_a_declaration_or_told_why_not(data: bytes, dotenv: bytes | None) -> None:
    try:
        result = parse(source(data, dotenv), environ={})
    except DeclarationErrors as errors:
        assert errors.problems
        for problem in errors.problems:
            assert problem.what
            assert problem.location.path
            str(problem).encode()
    else:
        assert isinstance(result, Declaration)


@given(
    name=st.sampled_from(["WAKIT_STATE_DIR", "WAKIT_RETIRE", "WAKIT_PACING", "WAKIT_PACING__DIALS", "WAKIT_VAULT__X"])
    | st.from_regex(r"WAKIT_[A-Z_]{0,12}", fullmatch=True),
    value=st.text(max_size=30) | st.sampled_from(["keep", "{}", "[", "5/s", "null", "-1", "1e999"]),
)
@settings(deadline=None)  # a busy machine is not a failure
def test_any_environment_is_a_declaration_or_told_why_not(name: str, value: str) -> None:
    try:
        parse(source(b"[sessions.a]\n"), environ={name: value})
    except DeclarationErrors as errors:
        assert all(name in str(problem) for problem in errors.problems)


values = st.recursive(
    st.booleans()
    | st.integers(-10, 10**6)
    | st.text(max_size=12)
    | st.datetimes().map(lambda at: at.replace(microsecond=0)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def leaves(document: dict[str, object], path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        elif not (isinstance(value, list) and value and isinstance(value[0], dict)):
            yield (*path, key), value


@given(st.dictionaries(st.text(max_size=5), values, max_size=5))
@settings(deadline=None)  # a busy machine is not a failure
def test_every_key_and_value_stands_where_it_is_said_to(document: dict[str, object]) -> None:
    text = tomlkit.dumps(document)
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # tomlkit does not write every document in a way that can be read
        assume(False)
        return
    found = find_positions(text)
    assert not found.duplicates
    for path, value in leaves(parsed):
        start, end = found.values[path]
        assert tomllib.loads(f"v = {text[start:end]}")["v"] == value
        written = KEY_PART.match(text, found.keys[path])
        assert written is not None
        (key,) = tomllib.loads(f"{written[0]} = 1")
        assert key == path[-1]


@given(st.text(max_size=300) | near_misses.map(lambda data: data.decode("utf-8", "replace")))
@settings(deadline=None)  # a busy machine is not a failure
def test_places_in_any_text_are_within_it(text: str) -> None:
    found = find_positions(text)
    assert all(0 <= offset <= len(text) for offset in found.keys.values())


@given(
    phone=phones,
    password=passwords,
    glue=st.sampled_from(["", " ", "x", "_", ": ", "+", "("]),
    gap=st.sampled_from(["", " ", "-", ") ", ".", "  "]),
)
@settings(deadline=None)  # a busy machine is not a failure
def test_the_journals_copy_holds_no_declared_number_or_password(phone: str, password: str, glue: str, gap: str) -> None:
    digits = phone[1:]
    spaced = gap.join([digits[:3], digits[3:6], digits[6:]])
    escaped = "".join(f"\\u{ord(mark):04x}" for mark in phone)
    text = (
        f'# once {glue}{spaced}{glue} and {password}\n[defaults]\nproxy = "http://me:{password}@h:1"\n'
        f'[sessions.aaa]  # {phone}\nphone = "{escaped}"\nproxy = """socks5://me:{password}@h:1"""\n'
        f'device_name = "x{digits}y"\nlabels = {{ old = "{spaced}" }}\n'
    )
    assume(password not in "http://socks5 sessions.defaults credentials number device_name")
    masked = parse(source(text.encode()), environ={}).masked_text
    assert digits not in masked
    assert digits not in re.sub(r"[ ().+-]", "", masked)
    assert escaped not in masked
    assert password not in masked
    assert "\n[sessions.aaa]" in masked


tables = st.lists(names, unique=True, min_size=1, max_size=4)
comments = st.sampled_from(["", "# a note\n", "\n\n# apart\n\n", "\n", "  # indented\n"])
bodies = st.sampled_from(
    ["", "enabled = true  # on\n", 'labels = { a = "b" }\n', '  device_name = "x"\n', "pairing='qr'\nenabled=false\n"]
)


@st.composite
def files(draw: st.DrawFn) -> tuple[str, list[str]]:
    declared = draw(tables)
    text = draw(st.sampled_from(["", "# head\n\n", "[wakit]\nretire = 'keep'\n\n"]))
    for name in declared:
        text += draw(comments) + f"[sessions.{name}]{draw(st.sampled_from(['', '  # its own']))}\n" + draw(bodies)
        text += draw(st.sampled_from(["", "", "[pacing]\npairings = 2\n"])) if "[pacing]" not in text else ""
    text += draw(comments)
    return draw(st.sampled_from([text, text.rstrip("\n"), text.replace("\n", "\r\n")])), declared


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


@given(file=files(), new=names)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_edits_change_what_was_asked_for_and_nothing_else(file, new: str, tmp_path: Path) -> None:
    text, declared = file
    assume(new not in declared)
    path = tmp_path / "sessions.toml"
    path.write_bytes(text.encode())
    before = tomllib.loads(text)

    edit.declare(path, new, labels={"made": "here"})
    grown = path.read_bytes().decode()
    position = grown.index(f"[sessions.{new}]")
    assert lines(grown[:position]) + lines(grown[position:])[2:] == lines(text)
    edit.retire(path, new)
    assert lines(path.read_bytes().decode()) == lines(text)
    assert tomllib.loads(path.read_text()) == before

    target = declared[0]
    edit.declare(path, target, device_name="Desk 1")
    edit.declare(path, target, device_name="Desk 2")
    changed = path.read_bytes().decode()
    assert tomllib.loads(changed)["sessions"][target]["device_name"] == "Desk 2"
    expected = lines(text)
    own = [at for at, line in enumerate(expected) if "device_name" in line and _table_of(expected, at) == target]
    kept = [line for at, line in enumerate(lines(changed)) if "Desk 2" not in line]
    assert kept == [line for at, line in enumerate(expected) if at not in own]
    assert ("\r\n" in text) == ("\r\n" in changed) or "\n" not in text
    assert "\r" not in changed.replace("\r\n", "")


def _table_of(text: list[str], at: int) -> str:
    headers = re.findall(r"^\[sessions\.([^\]]+)\]", "\n".join(text[:at]), re.MULTILINE)
    return headers[-1] if headers else ""
