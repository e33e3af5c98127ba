"""From a seed to timed faults: pure, so a run can be read before it is run, and run again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

# What, how often beside the others, and how long it lasts at least and at most (seconds).
KINDS: Final[dict[str, tuple[int, float, float]]] = {
    "drop": (10, 0, 0),
    "drop everybody": (1, 0, 0),
    "stream error": (4, 0, 0),
    "replaced": (2, 0, 0),
    "deaf": (2, 0, 0),
    "silence": (1, 5, 20),
    "slow handshakes": (3, 1, 4),
    "hanging dials": (3, 4, 12),
    "refused dials": (3, 2, 6),
    "refused tls": (2, 2, 6),
    "proxy says no": (2, 2, 6),
    "port closed": (2, 1, 5),
    "refused login": (6, 0, 0),
    "unlink": (3, 0, 0),
    "kill": (6, 0, 0),
    "stop": (5, 1, 25),
    "starve": (3, 5, 20),
    "edit": (12, 0, 0),
}
# 415 and 418 are left out: the library tells nothing of them (docs/design/sim.md).
REFUSALS: Final = (400, 401, 402, 403, 405, 406, 409, 500, 501, 503)
EDITS: Final = (
    "add", "remove", "bring back", "park", "unpark", "rename", "label", "device name", "proxy",
    "broken", "empty", "half", "most gone", "ask to park", "ask to resume", "ask to restart",
)  # fmt: skip
BAN_SECONDS: Final = 15
# The daemon itself is killed about so often (seconds), and started again after so many at most.
DAEMON_EVERY: Final = 120.0
_NOTICED_WITHIN: Final = 5.0
_STARTING: Final = 3.0


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        at: Seconds after the beginning.
        kind: One of :data:`KINDS`, or "daemon killed".
        whom: Which session, counted from 0 among those there are then.
        seconds: How long it lasts.
        how: What kind of edit, the reason of a refusal, or how many seconds after its start the daemon is killed again.
    """

    at: float
    kind: str
    whom: int
    seconds: float = 0.0
    how: str = ""

    def __str__(self) -> str:
        lasts = f" for {self.seconds:.0f} s" if self.seconds else ""
        return f"{self.at:7.2f}  {self.kind} {self.how} #{self.whom}{lasts}".replace("  #", " #")


def draw(seed: int, sessions: int, seconds: float) -> list[Fault]:
    """Draw the faults of a run: about one a second and hundred sessions, at least one every two seconds.

    Every kind comes at least once, if the run is long enough for as many faults as there are kinds. The daemon is
    killed once in each two minutes or part of them, every other time again while everybody is starting.
    """
    chance = Random(seed)
    rate = max(0.5, sessions / 100)
    moments: list[float] = []
    now = 0.0
    while (now := now + chance.expovariate(rate)) < seconds:
        moments.append(now)
    kinds = list(KINDS) if len(moments) >= len(KINDS) else []
    weights = [weight for weight, _, _ in KINDS.values()]
    kinds += chance.choices(list(KINDS), weights, k=len(moments) - len(kinds))
    chance.shuffle(kinds)
    faults = [_fault(chance, at, kind, sessions) for at, kind in zip(moments, kinds, strict=True)]
    return sorted([*faults, *_daemon_killed(chance, seconds)], key=lambda fault: fault.at)


def _daemon_killed(chance: Random, seconds: float) -> Iterator[Fault]:
    count = max(1, round(seconds / DAEMON_EVERY))
    for number in range(count):
        at = seconds / count * (number + chance.uniform(0.2, 0.8))
        again = str(round(chance.uniform(0, _STARTING), 1)) if number % 2 else ""
        yield Fault(at, "daemon killed", 0, round(chance.uniform(0, _NOTICED_WITHIN), 1), again)


def _fault(chance: Random, at: float, kind: str, sessions: int) -> Fault:
    _, least, most = KINDS[kind]
    how = chance.choice(EDITS) if kind == "edit" else str(chance.choice(REFUSALS)) if kind == "refused login" else ""
    return Fault(at, kind, chance.randrange(sessions), round(chance.uniform(least, most), 1), how)
