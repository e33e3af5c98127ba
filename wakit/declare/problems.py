"""What can be wrong with a declaration, gathered so that one look at the file mends all of it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from wakit.errors import DeclarationError, Location


class DeclarationErrors(DeclarationError):  # noqa: N818 - plural on purpose
    """Everything that is wrong with a file at once; itself it reads as the first problem.

    Attributes:
        problems: Each problem with its own place, in the file's order; never empty.

    Example:
        >>> from wakit.errors import Location
        >>> first = DeclarationError("not a rate", location=Location("s.toml", 2, 1), key="pacing.dials")
        >>> str(DeclarationErrors([first]))
        's.toml:2:1: pacing.dials: not a rate'
    """

    def __init__(self, problems: Sequence[DeclarationError]) -> None:
        first = problems[0]
        super().__init__(first.what, location=first.location, key=first.key, why=first.why, hint=first.hint)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        more = len(self.problems) - 1
        return super().__str__() + (f" (and {more} more)" if more else "")


class Refusal(ValueError):  # noqa: N818 - it is no error yet: the loader gives it a place and makes it one
    """A value that its key cannot hold; raised where the value is looked at, which knows no place.

    Args:
        what: What is wrong, without the value if the value is private.
        why: The cause.
        hint: What would be right, with an example.
    """

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint


def closest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known word that was most likely meant; ``cutoff`` is how alike they must be, from 0 to 1.

    Example:
        >>> closest("enabld", ["enabled", "phone"])
        'enabled'
        >>> closest("Pairing", ["pairing"])
        'pairing'
    """
    lowered = word.lower().replace("-", "_")
    candidates = list(known)
    if lowered in candidates:
        return lowered
    return next(iter(difflib.get_close_matches(lowered[:64], candidates, n=1, cutoff=cutoff)), None)


def problem(
    path: str | os.PathLike[str], what: str, *, key: str = "", why: str = "", hint: str = ""
) -> DeclarationErrors:
    """Return one problem with a file as a whole, or with a key wherever it stands."""
    return DeclarationErrors([DeclarationError(what, location=Location(os.fspath(path)), key=key, why=why, hint=hint)])


def unwritable(path: Path, error: OSError) -> DeclarationErrors:
    """Return that a file, or its folder, cannot be written."""
    why = (error.strerror or "input/output error").lower()
    return problem(path, "the file cannot be written", why=why, hint="check the permissions of the file and its folder")
