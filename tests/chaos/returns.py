"""How long sessions were away that came back by themselves: nobody was asked, and nobody had parked them."""

from __future__ import annotations

from dataclasses import dataclass, field

_ONLINE = frozenset({"connected", "degraded"})
_NOT_BY_ITSELF = frozenset({"parked", "retired", "held", "logged_out", "failed", "conflict", "pairing", "outdated"})


@dataclass
class Away:
    """A session that is missing: since when (Unix seconds), and what it went through."""

    since: float
    way: list[str] = field(default_factory=list)


@dataclass
class Returns:
    """Fed with the journal's states in their order.

    Attributes:
        seconds: Of each return.
        longest: The longest one in words, the way it took included.
    """

    seconds: list[float] = field(default_factory=list)
    longest: str = ""
    _online: set[str] = field(default_factory=set)
    _away: dict[str, Away] = field(default_factory=dict)

    def daemon_died(self, at: float) -> None:
        """Take everybody for missing who was in service, and nobody for what the last daemon thought of it."""
        for each in self._online:
            self._away[each] = Away(at, ["the daemon was killed"])
        self._online.clear()

    def state(self, who: str, name: str, at: float, state: str, reason: str) -> None:
        """Take a change of state; ``who`` stays the same when the name does not."""
        if state in _ONLINE:
            self._online.add(who)
            away = self._away.pop(who, None)
            if away is not None:
                self._back(name, at - away.since, away.way)
            return
        if who in self._online:
            self._online.discard(who)
            self._away[who] = Away(at)
        if state in _NOT_BY_ITSELF:
            self._away.pop(who, None)
        elif who in self._away:
            self._away[who].way.append(f"{state} ({reason})")

    def _back(self, name: str, seconds: float, way: list[str]) -> None:
        if seconds > max(self.seconds, default=0.0):
            self.longest = f"{name} after {seconds:.1f} s: {'; '.join(way)}"
        self.seconds.append(seconds)

    def figures(self) -> dict[str, object]:
        """Return how many there were, and how long they took."""
        ordered = sorted(self.seconds)
        share = {f"p{p}": round(ordered[int(len(ordered) * p / 100)], 1) for p in (50, 95, 99)} if ordered else {}
        return {"returns": len(ordered), **{f"return_{p}": took for p, took in share.items()}, "longest": self.longest}
