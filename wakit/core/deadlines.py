"""How long a session may stay in a state that somebody else should end, until our restart takes it in hand.

The library redials a lost connection by itself, n x 2 s before the n-th try (whatsmeow's autoReconnect). That is left
alone, or two clients would dial for one session. But it has no jitter and no end, and some of its ways end in silence:
after the 515 that ends pairing it redials once, and if that fails it says nothing any more; a handshake can hang.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from wakit.core.lifecycle import State

DEADLINES: Final[Mapping[State, timedelta]] = MappingProxyType(
    {
        # From the order to the first answer: the spawn, the turn to dial, the dial, the login.
        State.STARTING: timedelta(minutes=10),
        # One redial and a login.
        State.PAIRED: timedelta(seconds=90),
        # The library's first twelve redials, if each fails at once; after that its pauses are longer than ours.
        State.RECONNECTING: timedelta(minutes=3),
    }
)
"""For each state that the library should end, how long it has. A state that is not here has no end that is due."""


def deadline(state: State, *, started: bool, queue: float) -> timedelta | None:
    """Return how long a running client may take to leave a state, None if for ever.

    Args:
        state: Where the session is.
        started: Its client was started while it was there, so it is on its way through a start.
        queue: Seconds until all who wait for their turn to dial have had one.

    Example:
        >>> deadline(State.RECONNECTING, started=False, queue=100.0)
        datetime.timedelta(seconds=280)
        >>> deadline(State.CONNECTED, started=False, queue=0.0) is None
        True
    """
    given = DEADLINES.get(State.STARTING if started and state is State.RECONNECTING else state)
    return None if given is None else given + timedelta(seconds=queue)
