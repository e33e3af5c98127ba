"""From a seed to what happens to a fleet: a pure generator of moves, each a tuple of a verb and plain values.

The moves are drawn beforehand and do not depend on what the fleet does, so a seed is the whole of a life, any part of
a script is a script, and a failing one can be made shorter by leaving moves out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, TypeAlias

Move: TypeAlias = tuple[Any, ...]
NAMES = "abcde"
_PAUSES = (0.0, 0.001, 0.02, 0.15, 0.4, 1.0, 3.0, 10.0, 45.0, 200.0)


@dataclass(frozen=True)
class Wanted:
    """What a file says of a session, in plain values."""

    name: str
    phone: str = "own"  # none | own | another's
    pairing: str = "qr"
    proxy: str = ""
    enabled: bool = True
    team: str = ""
    renamed_from: str | None = None


@dataclass(frozen=True)
class File:
    """What a file says."""

    sessions: tuple[Wanted, ...]
    retire: str = "archive"
    pairings: int = 2
    per_worker: int = 1

    @property
    def names(self) -> list[str]:
        return [wanted.name for wanted in self.sessions]


def script(seed: int) -> list[Move]:
    """Draw a life: a file to begin with, then moves with pauses between most of them; short ones more often."""
    chance = Random(seed)
    length = chance.choice([3, 5, 8, 12, 24])
    names = NAMES[: chance.randint(2, 4)]
    file = File(
        tuple(_new(chance, name) for name in names),
        retire=chance.choice(["archive", "archive", "logout", "keep"]),
        pairings=chance.randint(1, 4),
        per_worker=chance.choice([1, 2, 4]),
    )
    moves: list[Move] = [("edit", file), ("wait", 1.0)]
    moves += [("phone", name, 0.5) for name in names] + [("wait", chance.choice([0.1, 2.0, 5.0]))]
    for _ in range(length):
        verb = chance.choices(_VERBS, _WEIGHTS)[0]
        move = _DRAWN[verb](chance, file)
        if move[0] == "edit":
            file = move[1]
        moves.append(move)
        if chance.random() < 0.7:
            moves.append(("wait", chance.choice(_PAUSES)))
    return moves


_EDITS = ("add", "remove", "park", "rename", "labels", "proxy", "fleet", "empty", "few", "phone", "swap")


def _new(chance: Random, name: str) -> Wanted:
    pairing = chance.choice(["qr", "qr", "code"])
    return Wanted(name, "own" if pairing == "code" else chance.choice(["own", "none", "none"]), pairing)


def _edit(chance: Random, file: File) -> Move:
    sessions = list(file.sessions)
    free = [name for name in NAMES if name not in file.names]
    kind = chance.choice(
        ["add", "remove", "park", "rename", "labels", "proxy", "fleet", "empty", "few", "phone", "swap"]
    )
    index = chance.randrange(len(sessions)) if sessions else -1
    if kind == "add" and free:
        sessions.append(_new(chance, chance.choice(free)))
    elif kind == "empty":
        sessions = []
    elif kind == "few":
        sessions = sessions[:1]
    elif kind == "fleet":
        file = replace(file, retire=chance.choice(["archive", "logout", "keep"]), pairings=chance.randint(1, 4))
        file = replace(file, per_worker=chance.choice([1, 2, 4]))
    elif index >= 0:
        old = sessions[index]
        changed = {
            "park": replace(old, enabled=not old.enabled),
            "labels": replace(old, team=chance.choice("xyz")),
            "proxy": replace(old, proxy=chance.choice(["", "1", "2"])),
            "phone": replace(old, phone="another's" if chance.random() < 0.3 else "own"),
            "swap": _new(chance, old.name),
        }.get(kind, old)
        if kind == "remove":
            del sessions[index]
        elif kind == "rename" and free:
            sessions[index] = replace(old, name=chance.choice(free), renamed_from=old.name)
        else:
            sessions[index] = changed
    return ("edit", replace(file, sessions=tuple(sessions)))


def _restore_file(chance: Random, file: File) -> Move:
    """Somebody takes the edit back: everybody is there again, as new entries."""
    return ("edit", replace(file, sessions=tuple(_new(chance, name) for name in NAMES[:4])))


def _name(verb: str) -> Callable[[Random, File], Move]:
    # Mostly somebody who is declared; sometimes anybody.
    return lambda chance, file: (verb, chance.choice(file.names if file.names and chance.random() < 0.9 else NAMES))


def _plain(verb: str, *choices: Any) -> Callable[[Random, File], Move]:
    return lambda chance, _file: (verb, *(chance.choice(each) for each in choices))


def _named(verb: str, *choices: Any) -> Callable[[Random, File], Move]:
    one = _name(verb)
    return lambda chance, file: (*one(chance, file), *(chance.choice(each) for each in choices))


_LAST_WORDS = ("ended", "replaced", "banned", "outdated", "refused", "bad", "pairing failed", "passkey")
_DRAWN: dict[str, Callable[[Random, File], Move]] = {
    "edit": _edit,
    "edit back": _restore_file,
    "broken file": _plain("broken file"),
    "ask to pair": _named("ask to pair", ["qr", "code", ""]),
    "ask to restart": _name("ask to restart"),
    "ask to park": _name("ask to park"),
    "ask to resume": _name("ask to resume"),
    "apply": _plain("apply", [True, False]),
    "phone": _named("phone", [0.0, 0.5, 15.0, 100.0, 170.0]),
    "wrong phone": _named("wrong phone", NAMES),
    "unlink": _name("unlink"),
    "crash": _name("crash"),
    "crash while linking": _name("crash while linking"),
    "lose the line": _named("lose the line", [0.1, 3.0, 40.0]),
    "last words": _named("last words", _LAST_WORDS),
    "echo": _named("echo", ["connected", "lost", "unlinked", "qr", "paired", "ended", "banned"]),
    "post": _plain("post", [0.0, 0.0, 0.2, 3.0], [0.0, 0.3], [0.0, 0.3]),
    "launches fail": _plain("launches fail", [1, 2, 3], [True, False]),
    "releases fail": _plain("releases fail", [1, 2]),
    "disk fails": _plain("disk fails", [1, 2, 3]),
    "slow": _plain("slow", ["workers", "vault", "both", "nothing"]),
    "daemon": _plain("daemon", [True, False]),
    "give away": _name("give away"),
    "take back": _name("take back"),
    "spoil": _name("spoil"),
    "put back": _name("put back"),
    "wait": _plain("wait", [30.0, 200.0]),
}
_OFTEN = {"edit": 6, "crash": 4, "phone": 4, "daemon": 2, "last words": 3, "unlink": 2, "post": 2, "slow": 2}
_VERBS = list(_DRAWN)
_WEIGHTS = [_OFTEN.get(verb, 1) for verb in _VERBS]
