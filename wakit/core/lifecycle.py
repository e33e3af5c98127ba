"""The life of a session, as one table.

A session is always in exactly one :class:`State`. What happens to it arrives as a :class:`Happening` (a fact from the
library, the relay, the worker host or the reconciler); :data:`TRANSITIONS` says which state follows, and
:data:`RECOVERY` who has to act next in that state. Nothing else in wakit decides either. The diagram in
docs/lifecycle.md is drawn from this table, and the tests walk every state with every happening.

Facts about who reconnects come from whatsmeow's ``connectionevents.go`` and ``client.go`` (handleStreamError,
handleConnectFailure, autoReconnect) and were confirmed by running the library against a loopback server:

- it redials by itself after a lost connection, a stream error 503, a failure 500 or 503, and after the 515 that ends
  pairing; it waits n x 2 s before the n-th try, without jitter;
- it does not after ``replaced``, a temporary ban, "client outdated", any other failure, or a first dial that fails;
- it deletes its own device row on 401, 403, 406 and ``device_removed``: the phone has to link the device anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """Where a session is in its life."""

    DECLARED = "declared"
    STARTING = "starting"
    PAIRING = "pairing"
    PAIRED = "paired"
    CONNECTED = "connected"
    DEGRADED = "degraded"
    RECONNECTING = "reconnecting"
    CONFLICT = "conflict"
    PASSKEY_REQUIRED = "passkey_required"
    LOGGED_OUT = "logged_out"
    BANNED = "banned"
    OUTDATED = "outdated"
    FAILED = "failed"
    PARKED = "parked"
    HELD = "held"
    RETIRED = "retired"


class Status(StrEnum):
    """The coarse status for people: four words instead of sixteen."""

    PENDING = "pending"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    FAILED = "failed"


STATUS: Final[Mapping[State, Status]] = MappingProxyType(
    {
        State.DECLARED: Status.PENDING,
        State.STARTING: Status.PENDING,
        State.PAIRING: Status.PENDING,
        State.PAIRED: Status.PENDING,
        State.CONNECTED: Status.CONNECTED,
        State.DEGRADED: Status.DISCONNECTED,
        State.RECONNECTING: Status.DISCONNECTED,
        State.CONFLICT: Status.FAILED,
        State.PASSKEY_REQUIRED: Status.FAILED,
        State.LOGGED_OUT: Status.FAILED,
        State.BANNED: Status.FAILED,
        State.OUTDATED: Status.FAILED,
        State.FAILED: Status.FAILED,
        State.PARKED: Status.DISCONNECTED,
        State.HELD: Status.PENDING,
        State.RETIRED: Status.DISCONNECTED,
    }
)


class Happening(StrEnum):
    """What can happen to a session; who reports it stands in brackets."""

    DECLARED = "declared"  # [reconciler] the file has it, and its credential or lack of one allows a start
    START = "start"  # [reconciler] a worker is being spawned for it
    QR_SHOWN = "qr_shown"  # [library] a QR code for pairing
    CODE_SHOWN = "code_shown"  # [library] a pairing code
    PAIRING_EXPIRED = "pairing_expired"  # [library] the codes ran out unscanned
    PAIRING_FAILED = "pairing_failed"  # [library] the phone scanned, and the link was refused
    PASSKEY_ASKED = "passkey_asked"  # [library] WhatsApp wants a passkey, which the library cannot give
    PAIRED = "paired"  # [library] the phone linked the device; a credential exists from now on
    CONNECTED = "connected"  # [library] logged in
    WENT_DEAF = "went_deaf"  # [library, relay] connected, but keepalives go unanswered
    HEARS_AGAIN = "hears_again"  # [library, relay] keepalives are answered, bytes come again
    CONNECTION_LOST = "connection_lost"  # [library] the connection dropped; the library redials
    DIAL_FAILED = "dial_failed"  # [relay] a dial did not get through; true reason attached
    CLIENT_ENDED = "client_ended"  # [library] the client gave up, as after a first dial that fails
    REPLACED = "replaced"  # [library] another client logged in with this credential
    ACCOUNT_HELD = "account_held"  # [worker, vault] the account, or this credential, is used by another fleet here
    LOGGED_OUT = "logged_out"  # [library] unlinked; the device row is gone
    BANNED = "banned"  # [library] temporary ban, with its end
    OUTDATED = "outdated"  # [library] WhatsApp refuses this version of the client
    REFUSED = "refused"  # [library] any other refusal at login
    WORKER_LOST = "worker_lost"  # [host] the worker ended, was killed, or fell silent
    GAVE_UP = "gave_up"  # [reconciler] more tries failed than `[restarts]` allows
    CREDENTIAL_BAD = "credential_bad"  # [vault] missing where one must be, damaged, given away, or of another account
    PARK = "park"  # [reconciler] enabled = false, or parked by a person
    HOLD = "hold"  # [reconciler] an action waits for a person's confirmation
    RETIRE = "retire"  # [reconciler] it left the file


class Recovery(StrEnum):
    """Who moves a session on from a state it should not stay in."""

    NOBODY_NEEDED = "nobody needed"
    LIBRARY = "the library redials"
    TURN = "wakit starts it when its turn comes; who let a code expire, a person"
    US = "wakit starts it again after a pause"
    WHEN_OVER = "wakit starts it again when the ban ends"
    BREAKER = "wakit lets one session try again now and then, and all once it gets through"
    PERSON = "a person has to act"
    ON_PURPOSE = "a person or the file, which put it there"


RECOVERY: Final[Mapping[State, Recovery]] = MappingProxyType(
    {
        State.DECLARED: Recovery.TURN,
        State.STARTING: Recovery.NOBODY_NEEDED,
        State.PAIRING: Recovery.PERSON,
        State.PAIRED: Recovery.LIBRARY,
        State.CONNECTED: Recovery.NOBODY_NEEDED,
        State.DEGRADED: Recovery.LIBRARY,
        State.RECONNECTING: Recovery.US,
        State.CONFLICT: Recovery.PERSON,
        State.PASSKEY_REQUIRED: Recovery.PERSON,
        State.LOGGED_OUT: Recovery.PERSON,
        State.BANNED: Recovery.WHEN_OVER,
        State.OUTDATED: Recovery.BREAKER,
        State.FAILED: Recovery.PERSON,
        State.PARKED: Recovery.ON_PURPOSE,
        State.HELD: Recovery.PERSON,
        State.RETIRED: Recovery.ON_PURPOSE,
    }
)

# States in which a client may be alive, hence in which the library's own events are believed.
ALIVE: Final = frozenset(
    {State.STARTING, State.PAIRING, State.PAIRED, State.CONNECTED, State.DEGRADED, State.RECONNECTING}
)
# Verdicts: the session stays there until a person (or the end of a ban) moves it, whatever late events still say.
FINAL: Final = frozenset(
    {
        State.CONFLICT,
        State.PASSKEY_REQUIRED,
        State.LOGGED_OUT,
        State.BANNED,
        State.OUTDATED,
        State.FAILED,
    }
)


def _table() -> dict[tuple[State, Happening], State]:
    table: dict[tuple[State, Happening], State] = {}

    def rule(happening: Happening, to: State, states: frozenset[State] = ALIVE) -> None:
        for state in states:
            table[state, happening] = to

    h, s = Happening, State
    # A dial that failed and was repeated leaves a pairing session in RECONNECTING until its next code.
    pairing = frozenset({s.STARTING, s.PAIRING, s.RECONNECTING})
    rule(h.QR_SHOWN, s.PAIRING, pairing)
    rule(h.CODE_SHOWN, s.PAIRING, pairing)
    rule(h.PAIRING_EXPIRED, s.DECLARED, pairing)
    rule(h.PAIRING_FAILED, s.FAILED, pairing)
    rule(h.PASSKEY_ASKED, s.PASSKEY_REQUIRED, pairing)
    rule(h.PAIRED, s.PAIRED, pairing)
    rule(h.CONNECTED, s.CONNECTED)
    rule(h.WENT_DEAF, s.DEGRADED, frozenset({s.CONNECTED, s.DEGRADED}))
    rule(h.HEARS_AGAIN, s.CONNECTED, frozenset({s.DEGRADED}))
    rule(h.CONNECTION_LOST, s.RECONNECTING, frozenset({s.STARTING, s.CONNECTED, s.DEGRADED, s.RECONNECTING}))
    rule(h.DIAL_FAILED, s.RECONNECTING, frozenset({s.STARTING, s.CONNECTED, s.DEGRADED, s.RECONNECTING}))
    rule(h.CLIENT_ENDED, s.RECONNECTING)
    rule(h.REPLACED, s.CONFLICT)
    rule(h.ACCOUNT_HELD, s.CONFLICT)
    rule(h.LOGGED_OUT, s.LOGGED_OUT)
    rule(h.BANNED, s.BANNED)
    rule(h.OUTDATED, s.OUTDATED)
    rule(h.REFUSED, s.FAILED)
    rule(h.WORKER_LOST, s.RECONNECTING)
    rule(h.GAVE_UP, s.FAILED)
    # From here on the reconciler speaks, and it may speak in any state.
    everywhere = frozenset(State)
    rule(h.DECLARED, s.DECLARED, frozenset({s.RETIRED, s.HELD, s.PARKED}))
    rule(h.START, s.STARTING, everywhere - {s.RECONNECTING})
    # A new try is part of the same outage: its beginning stays what people see.
    rule(h.START, s.RECONNECTING, frozenset({s.RECONNECTING}))
    rule(h.CREDENTIAL_BAD, s.FAILED, everywhere)
    rule(h.PARK, s.PARKED, everywhere)
    rule(h.HOLD, s.HELD, everywhere - ALIVE)
    rule(h.RETIRE, s.RETIRED, everywhere)
    return table


TRANSITIONS: Final[Mapping[tuple[State, Happening], State]] = MappingProxyType(_table())


def follow(state: State, happening: Happening) -> State:
    """Return the state that follows; a happening that means nothing in ``state`` leaves it as it is.

    Example:
        >>> follow(State.CONNECTED, Happening.REPLACED)
        <State.CONFLICT: 'conflict'>
        >>> follow(State.CONFLICT, Happening.CONNECTION_LOST)  # a late event changes no verdict
        <State.CONFLICT: 'conflict'>
    """
    return TRANSITIONS.get((state, happening), state)
