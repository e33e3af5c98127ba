"""What the planner may ask for. Each action names one session and says why in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TypeAlias

from wakit.core.declaration import Pairing, RetirePolicy


@dataclass(frozen=True, slots=True)
class Create:
    """Start a session that has no credential yet; it will show a QR or a code."""

    session: str
    pairing: Pairing
    reason: str


@dataclass(frozen=True, slots=True)
class Restore:
    """Start a session with the credential it has; it never shows a QR."""

    session: str
    reason: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Replace the running client: its declaration changed, or a person asked."""

    session: str
    reason: str


@dataclass(frozen=True, slots=True)
class Park:
    """Stop the client and keep the credential."""

    session: str
    reason: str


@dataclass(frozen=True, slots=True)
class Retire:
    """Stop the client and put the credential away as the policy says."""

    session: str
    policy: RetirePolicy
    reason: str


@dataclass(frozen=True, slots=True)
class Revive:
    """Take a retired credential back into service; a Restore follows."""

    session: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rename:
    """Move the credential of ``source`` to ``session``; a Restore follows."""

    session: str
    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Do nothing, on purpose, until a person decides; note the reason."""

    session: str
    reason: str


Action: TypeAlias = Create | Restore | Restart | Park | Retire | Revive | Rename | Hold


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to happen now, in this order.

    Attributes:
        actions: In the order they must be carried out.
        waiting: Sessions that wait, and for what, in words.
        held: Every hold that applies now, new or already noted.
        wake_at: The next moment at which the same world would give another plan, or None.
    """

    actions: tuple[Action, ...] = ()
    waiting: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    held: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    wake_at: datetime | None = None

    def __bool__(self) -> bool:
        """A plan is true when there is something to do."""
        return bool(self.actions)


def describe(action: Action) -> str:
    """Say an action in one line.

    Example:
        >>> describe(Park("sales", "enabled = false"))
        'park sales: enabled = false'
    """
    verb = type(action).__name__.lower()
    source = f" from {action.source}" if isinstance(action, Rename) else ""
    return f"{verb} {action.session}{source}: {action.reason}"
