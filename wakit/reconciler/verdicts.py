"""What follows from a verdict on a client: WhatsApp, another client or the credential ended it for good.

The session waits for a person, or for the end of a ban. What must outlive the daemon is noted with the credential.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, TypeAlias

from wakit.core.breaker import Trouble
from wakit.core.lifecycle import State
from wakit.core.observation import Credential, Request
from wakit.reconciler.hands import Hands
from wakit.reconciler.outages import Outages
from wakit.reconciler.roster import Roster
from wakit.reconciler.tracked import Tracked
from wakit.vault.record import Verdict
from wakit.whatsapp.port import AccountHeld, Banned, CredentialBad, LoggedOut, Outdated, Refused, Replaced

Judgement: TypeAlias = Replaced | AccountHeld | LoggedOut | Banned | Outdated | Refused | CredentialBad

# WhatsApp tells no end for some bans; an hour is long enough not to hammer, short enough not to forget.
_UNKNOWN_BAN: Final = 3600.0


class Verdicts:
    """Applies verdicts to the roster.

    Args:
        roster: The sessions.
        hands: Frees workers and writes to the vault.
        outages: The fleet's breaker: what is said to everybody alike is no single session's.
    """

    def __init__(self, roster: Roster, hands: Hands, outages: Outages) -> None:
        self._roster = roster
        self._hands = hands
        self._outages = outages

    def take(self, tracked: Tracked, event: Judgement) -> None:
        """Take a verdict: say it, note it, and free the worker of a client that will never dial again."""
        name, vault, now = tracked.name, self._roster.ports.vault, self._roster.ports.now()
        accepted = self._roster.matters(tracked, event.happening)
        if not accepted and not isinstance(event, LoggedOut):
            return  # a late echo of a verdict that was handled
        tracked.shown = None
        until: datetime | None = None
        code = ""
        match event:
            case Replaced():
                reason = (
                    "another client logged in with this credential; "
                    f"stop that one, then `wakit restart {name}` takes the session back"
                )
            case AccountHeld():
                reason = (
                    f"its account has a live session on this machine already: {event.why}; "
                    f"end that one, then `wakit restart {name}` runs this one"
                )
            case LoggedOut():
                code = event.code
                reason = f"unlinked by the phone or by WhatsApp ({event.code}); `wakit pair {name}` links it again"
                tracked.credential = Credential.UNLINKED
            case Banned():
                code = event.code
                until = now + timedelta(seconds=event.seconds or _UNKNOWN_BAN)
                reason = f"WhatsApp banned this account for a time (code {event.code or 'unknown'})"
            case Outdated():
                code = "405"
                reason = "WhatsApp refuses this version of the client; upgrade wakit, then `wakit down` and `wakit up`"
                self._outages.sent_away(tracked, Trouble.OUTDATED, "it refuses this version of the client")
            case Refused():
                code = event.code
                reason = (
                    f"WhatsApp refused the login ({event.code or event.why or 'no reason given'}); "
                    f"`wakit restart {name}` tries again; if it stays so, look for a newer wakit"
                )
            case CredentialBad():
                reason = f"the credential cannot be used: {event.why}"
        self._roster.happen(tracked, event.happening, reason, code=code)
        tracked.end_pairing()
        tracked.wait_for_person(reason)
        if until is not None:
            tracked.waits_for_person, tracked.next_try_at = False, until
        verdict = Verdict(tracked.state.value, reason, now, until)
        if isinstance(event, LoggedOut):
            # The device row is gone whatever the session waits for, and a restart would only find that out.
            tracked.request = None if tracked.request is Request.RESTART else tracked.request
            verdict = Verdict(State.LOGGED_OUT.value, reason, now)
            self._hands.note(tracked, lambda: vault.mark_unlinked(name, verdict))
        elif isinstance(event, Replaced | AccountHeld | Banned):
            # The others are tried again by the next daemon: an upgrade or a repair may have mended them.
            self._hands.note(tracked, lambda: vault.update(name, verdict=verdict))
        self._hands.release(tracked, why=reason)
