"""The reference page, the shipped file and the docstrings say what is true: all of it is run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from dataclasses import replace
from pathlib import Path

import pytest

import wakit.declare
from wakit.core.declaration import Declaration
from wakit.declare import DeclarationErrors, Source, load, parse, schema
from wakit.declare.environment import read_variables
from wakit.declare.quantities import parse_duration, parse_rate, parse_size

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sessions-toml.md").read_text()
MODULES = [module.name for module in pkgutil.iter_modules(wakit.declare.__path__)]


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def source(text: str) -> Source:
    return Source(Path("/project/sessions.toml"), "sessions.toml", text.encode())


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_the_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"wakit.declare.{name}")).failed == 0


@pytest.mark.parametrize("text", blocks("toml"))
def test_the_pages_examples_load(text: str) -> None:
    declaration = parse(source(text), environ={})
    assert all("no session" in warning or "ca_file" in warning for warning in declaration.warnings)


def test_the_pages_messages_are_what_is_told() -> None:
    (wrong,), (told,) = blocks("toml wrong"), blocks("text")
    with pytest.raises(DeclarationErrors) as caught:
        parse(source(wrong), environ={})
    assert told == "".join(f"{problem}\n  hint: {problem.hint}\n" for problem in caught.value.problems)


def test_the_pages_variables_are_known() -> None:
    (text,) = blocks("dotenv")
    found = read_variables({}, text, ".env")
    assert not found.problems
    assert not found.warnings
    assert len(found.by_key) == len(text.splitlines())


TABLES = {f"[{name}]": model for name, model in schema.FLEET_TABLES.items()} | {"[sessions.NAME]": schema.SessionTable}


@pytest.mark.parametrize("heading", TABLES)
def test_every_key_is_on_the_page_with_its_default(heading: str) -> None:
    section = PAGE.split(f"## `{heading}`\n")[1].split("\n## ")[0]
    rows = dict(
        re.findall(r"^\| `(\w+)` \| .*? \| (.*?) \| (?:live|restart|refused|next up) \|", section, re.MULTILINE)
    )
    assert rows.keys() == TABLES[heading].model_fields.keys()
    table = "sessions.x" if heading == "[sessions.NAME]" else heading.strip("[]")
    written = [f"{key} = {default.strip('`')}" for key, default in rows.items() if default not in ("none", "needed")]
    if table == "endpoint":
        assert not written
        return
    as_written = parse(source(f"[{table}]\n" + "\n".join(written) + "\n[sessions.a]\n"), environ={})
    by_default = parse(source(f"[{table}]\n[sessions.a]\n"), environ={})
    assert as_written == _but_for_text(as_written, by_default)


def _but_for_text(like: Declaration, declaration: Declaration) -> Declaration:
    return replace(declaration, sha256=like.sha256, masked_text=like.masked_text)


def test_the_shipped_file_is_what_the_first_command_needs() -> None:
    declaration = load(ROOT / "sessions.toml", environ={})
    assert declaration.warnings == ()
    assert declaration.fleet.endpoint is None
    sessions = declaration.sessions
    assert {name: spec.pairing.value for name, spec in sessions.items()} == {
        "support": "qr",
        "sales": "code",
        "research": "qr",
    }
    assert all(spec.enabled and spec.proxy is None for spec in sessions.values())
    assert sessions["sales"].labels
    assert sessions["research"].labels


# -- limits ----------------------------------------------------------------------------------------------------------

LIMITS = re.findall(r"^\| `([\w.]+)` \| `(.+?)` \| `(.+?)` \|$", PAGE.split("## Limits\n")[1], re.MULTILINE)


def declare(key: str, value: str) -> Declaration:
    table, _, name = key.replace("sessions.NAME", "sessions.a").rpartition(".")
    return parse(source(f"[{table}]\n{name} = {value}\n[sessions.b]\n"), environ={})


def just_outside(key: str, value: str, sign: int) -> str:
    """Return what is a little less (-1) or more (1) than a value of the page."""
    if not value.startswith('"'):
        return str(int(value) + sign * (0.001 if key == "wakit.retire_guard" else 1))
    text = value.strip('"')
    if "/" in text:
        return f'"{parse_rate(text) * 3600 * (1 + sign / 1000):.6f}/h"'
    if text.endswith("B"):
        return f'"{parse_size(text) / 10**6 + sign / 1000:.3f}MB"'
    return f'"{parse_duration(text) + sign / 1000:.3f}s"'


def test_every_number_with_bounds_is_in_the_table_of_limits() -> None:
    """Whatever key holds a number has bounds."""
    numbers = {
        f"{heading.strip('[]')}.{key}"
        for heading, model in TABLES.items()
        for key, told in model.model_fields.items()
        if isinstance(told.default, int | float) and not isinstance(told.default, bool)
    }
    assert {key for key, _, _ in LIMITS} == numbers | {"wakit.sessions_per_worker"}


@pytest.mark.parametrize(("key", "least", "most"), LIMITS)
def test_the_limits_are_those_of_the_code(key: str, least: str, most: str) -> None:
    for value, sign, said in ((least, -1, "this is too small"), (most, 1, "this is too large")):
        declare(key, value)
        with pytest.raises(DeclarationErrors, match=said):
            declare(key, just_outside(key, value, sign))


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("device_name", "d" * 50, "d" * 51),
        ("phone", "+12345678", "+1234567"),
        ("phone", "+" + "1" * 15, "+" + "1" * 16),
        ("phone", "+1" + "0" * 9, "+0" + "1" * 9),
        ("renamed_from", "n" * 63, "n" * 64),
        ("renamed_from", "0n-_", "-n"),
        ("proxy", "http://proxy.example.com:8080", "https://proxy.example.com:8080"),
        ("proxy", "socks5://proxy.example.com:1080", "socks5h://proxy.example.com:1080"),
        ("proxy", "socks4://proxy.example.com:1080", "socks4://proxy.example.com"),
    ],
)
def test_the_forms_of_texts_are_those_of_the_code(key: str, good: str, bad: str) -> None:
    declare(f"sessions.NAME.{key}", f'"{good}"')
    with pytest.raises(DeclarationErrors):
        declare(f"sessions.NAME.{key}", f'"{bad}"')


@pytest.mark.parametrize(
    ("good", "bad"),
    [("a" * 63, "a" * 64), ("_a/b.c-d", "-a"), ("0", "a b"), ("A", "")],
)
def test_the_form_of_a_labels_name_is_that_of_the_code(good: str, bad: str) -> None:
    declare("sessions.NAME.labels", f'{{ "{good}" = "{"x" * 256}" }}')
    for wrong in (f'{{ "{bad}" = "x" }}', f'{{ "{good}" = "{"x" * 257}" }}'):
        with pytest.raises(DeclarationErrors):
            declare("sessions.NAME.labels", wrong)
