"""What can be wrong with a credential, by name, and what would come of it if the library were given it all the same.

The consequences are why each start looks first: the library takes a missing, empty or emptied database for a new device
and shows a QR, ends the whole process over a broken one, and logs in with whatever keys it finds. WhatsApp answers a
wrong key with 401, and the library then deletes the device for good (all seen with neonize 0.5.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Problem(StrEnum):
    """One kind of damage; the words are stable, scripts may ask for them in the journal."""

    MISSING = "missing"
    EMPTY = "empty"
    NOT_A_DATABASE = "not_a_database"
    TRUNCATED = "truncated"
    WRONG_SCHEMA = "wrong_schema"
    DAMAGED = "damaged"
    NO_DEVICE = "no_device"
    SEVERAL_DEVICES = "several_devices"
    OTHER_ACCOUNT = "other_account"
    OTHER_KEYS = "other_keys"
    CHANGED = "changed"
    LOG_MISSING = "log_missing"
    REFUSED = "refused"


_NEW_DEVICE: Final = "the library would take it for a new device and ask to be linked again"
_ABORT: Final = "the library would end the worker and everybody aboard"
_UNLINKED: Final = "WhatsApp would answer with 401, and the library would delete the link for good"

CONSEQUENCES: Final[Mapping[Problem, str]] = MappingProxyType(
    {
        Problem.MISSING: _NEW_DEVICE,
        Problem.EMPTY: _NEW_DEVICE,
        Problem.NOT_A_DATABASE: _ABORT,
        Problem.TRUNCATED: _ABORT,
        Problem.WRONG_SCHEMA: _ABORT,
        Problem.DAMAGED: "the library would go on with what is left, and lose messages or the link",
        Problem.NO_DEVICE: _NEW_DEVICE,
        Problem.SEVERAL_DEVICES: "the library would take whichever comes first",
        Problem.OTHER_ACCOUNT: "another account would speak under this session's name",
        Problem.OTHER_KEYS: _UNLINKED,
        Problem.CHANGED: "damage that SQLite does not see would go on unnoticed",
        Problem.LOG_MISSING: "the link is intact, and the library would go on with older keys of conversations than "
        "were in use: messages since then may be missing or stay undecryptable",
        Problem.REFUSED: "somebody else could put another credential in its place",
    }
)


def with_consequence(problem: Problem, said: str) -> str:
    """Say a problem and what would come of it in one sentence.

    Example:
        >>> with_consequence(Problem.OTHER_ACCOUNT, "it is not the one")
        "it is not the one; another account would speak under this session's name"
    """
    return f"{said}; {CONSEQUENCES[problem]}"
