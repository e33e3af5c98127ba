from __future__ import annotations

import doctest

import pytest

from wakit.core import naming
from wakit.core.naming import perhaps

LISTED = "see `wakit status`"


def test_the_examples_run() -> None:
    ran = doctest.testmod(naming)
    assert ran.attempted
    assert ran.failed == 0


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("slaes", ["sales", "support"], "did you mean sales?"),
        ("SALES", ["sales"], "did you mean sales?"),
        ("shop-9", ["shop-1", "shop-2", "shop-3", "shop-4"], "did you mean shop-4 or shop-3 or shop-2?"),
        ("x", [], "declared are none"),
        ("", ["sales"], "declared are sales"),
        ("x", list("abcdefghijkl"), "declared are a, b, c, d, e, f, g, h, i, j, k, l"),
        ("x", list("abcdefghijklm"), "13 sessions are declared; see `wakit status`"),
        ("y" * 10**6, ["sales"], "declared are sales"),  # compared in no time
    ],
)
def test_who_may_have_been_meant_else_who_there_is(name: str, known: list[str], said: str) -> None:
    assert perhaps(name, known, listed=LISTED) == said


def test_they_may_be_something_else_than_declared() -> None:
    assert perhaps("x", ["sales"], listed=LISTED, what="known") == "known are sales"
