"""From what a worker tells to what follows from it.

The lifecycle table says which state comes next; here stands what else has to be done in a session's life: remember a
link before anything builds on it, show or withdraw a code, say what a lost connection was. How it ends stands in
:mod:`~wakit.reconciler.verdicts` and :mod:`~wakit.reconciler.departures`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, assert_never

from wakit.core.breaker import Trouble, is_busy, trouble_of
from wakit.core.declaration import Pairing
from wakit.core.health import deaf_words
from wakit.core.lifecycle import Happening, State
from wakit.core.observation import Credential, Request
from wakit.core.retry import AFTER_DIAL
from wakit.reconciler.departures import Departures
from wakit.reconciler.hands import Hands
from wakit.reconciler.handsets import Handsets
from wakit.reconciler.outages import Outages
from wakit.reconciler.roster import ONLINE, Roster
from wakit.reconciler.tracked import Shown, Tracked
from wakit.reconciler.verdicts import Verdicts
from wakit.redact import Secret, account_hash
from wakit.vault.manifest import Why
from wakit.vault.record import Verdict
from wakit.whatsapp.port import (
    AccountHeld,
    Banned,
    ClientEnded,
    CodeShown,
    Connected,
    ConnectionLost,
    CredentialBad,
    DialFailed,
    HearsAgain,
    LoggedOut,
    News,
    Outdated,
    Paired,
    PairingExpired,
    PairingFailed,
    PasskeyAsked,
    PhoneSeen,
    QrShown,
    Refused,
    Replaced,
    SessionReport,
    WentDeaf,
    WorkerExited,
    WorkerReport,
    WorkerSilent,
)

# Whoever tells one of these was answered by WhatsApp just now. Not `Outdated`: that answer is a trouble of its own.
_ANSWERED: Final = (QrShown, CodeShown, Paired, Connected, HearsAgain, LoggedOut, Banned, Refused, Replaced)


class Reports:
    """Applies reports to the roster, in the order in which they come.

    Args:
        roster: The sessions.
        hands: What a report may set in motion.
        keep: Has a credential that proved good backed up.
        outages: The fleet's breaker.
        silent: Told that a worker fell silent.
    """

    def __init__(
        self,
        roster: Roster,
        hands: Hands,
        keep: Callable[[Tracked, Why], None],
        *,
        outages: Outages,
        silent: Callable[[WorkerSilent], None],
    ) -> None:
        self._roster = roster
        self._hands = hands
        self._keep = keep
        self._outages = outages
        self._silent = silent
        self._verdicts = Verdicts(roster, hands, outages)
        self._departures = Departures(roster, hands)
        self.handsets = Handsets(roster, hands)
        self._kept: dict[str, str] = {}  # the worker whose start was followed by a backup already, by session

    def take(self, report: WorkerReport) -> None:
        """Take one report. What a former worker still says about a session is ignored."""
        match report:
            case SessionReport():
                tracked = self._roster.sessions.get(report.session)
                if tracked is not None and tracked.worker_id == report.worker_id:
                    self._event(tracked, report.event, report.at)
            case WorkerSilent():
                self._silent(report)
            case WorkerExited():
                self._departures.take(report)
            case _:
                assert_never(report)

    def _event(self, tracked: Tracked, event: News, at: datetime) -> None:
        if tracked.stopping and isinstance(event, ConnectionLost | DialFailed | ClientEnded):
            return
        tracked.dialling = False
        # Only the first QR is WhatsApp's answer; the library shows the next ones by itself.
        again = isinstance(event, QrShown) and tracked.state is State.PAIRING and tracked.shown is not None
        if isinstance(event, _ANSWERED) and not again and self._roster.matters(tracked, event.happening):
            self._outages.reached(tracked, dialled=tracked.state not in ONLINE)
        match event:
            case QrShown():
                self._show(tracked, Shown(Pairing.QR, event.payload, event.expires_at), "shows a QR code to scan")
            case CodeShown():
                self._show(tracked, Shown(Pairing.CODE, event.code, event.expires_at), "shows a code to type")
            case PairingExpired() | PairingFailed() | PasskeyAsked():
                self._pairing_ended(tracked, event)
            case Paired():
                self._paired(tracked, event.account)
            case Connected():
                self._connected(tracked, event, at)
            case WentDeaf():
                tracked.keepalive_errors = max(1, event.errors)
                self._outages.went_deaf(tracked)
                reason = self._outages.why_deaf(deaf_words(tracked.keepalive_errors))
                self._roster.happen(tracked, event.happening, reason, code="deaf")
            case PhoneSeen():
                self.handsets.seen(tracked, event.at)
            case HearsAgain():
                tracked.keepalive_errors = 0
                self._roster.happen(tracked, event.happening, "keepalives are answered again")
            case ConnectionLost():
                self._connection_lost(tracked, event)
            case DialFailed():
                self._dial_failed(tracked, event)
            case ClientEnded():
                self._client_ended(tracked, event)
            case Replaced() | AccountHeld() | LoggedOut() | Banned() | Outdated() | Refused() | CredentialBad():
                self._verdicts.take(tracked, event)
            case _:
                assert_never(event)

    def _show(self, tracked: Tracked, shown: Shown, reason: str) -> None:
        happening = Happening.QR_SHOWN if shown.kind is Pairing.QR else Happening.CODE_SHOWN
        if tracked.credential is Credential.PRESENT:
            # The worker has its own guard; this is the second one before a paired session could show a QR.
            self._hands.release(tracked, why="it asked to be paired although it is paired")
            return
        if not self._roster.matters(tracked, happening):
            return  # late: nothing may be shown of a pairing that is over
        tracked.shown = shown
        self._roster.log("qr" if shown.kind is Pairing.QR else "code", tracked, reason=reason)
        self._roster.happen(tracked, happening, reason)
        self._roster.changed(tracked.name)  # the state may stay, the code is new

    def _pairing_ended(self, tracked: Tracked, event: PairingExpired | PairingFailed | PasskeyAsked) -> None:
        if tracked.credential is Credential.PRESENT or not self._roster.matters(tracked, event.happening):
            return  # the last code ran out just after it was used, or the pairing was over already
        again = f"`wakit pair {tracked.name}` shows a new code"
        match event:
            case PairingExpired():
                reason = f"nobody scanned or typed the code in time; {again}"
            case PairingFailed():
                reason = f"pairing failed: {event.why}; {again}"
                self._roster.log("pair_failed", tracked, reason=event.why)
            case PasskeyAsked():
                reason = "WhatsApp asks for a passkey to link this account, which the library cannot give yet"
        self._wait_for_person(tracked, event.happening, reason)

    def _wait_for_person(self, tracked: Tracked, happening: Happening, reason: str) -> None:
        """End in a state that only a person leaves, also after a restart of the daemon."""
        tracked.shown = None
        tracked.end_pairing()
        tracked.wait_for_person(reason)
        self._roster.happen(tracked, happening, reason)
        verdict = Verdict(tracked.state.value, reason, self._roster.ports.now())
        self._hands.note(tracked, lambda: self._roster.ports.vault.update(tracked.name, verdict=verdict))
        self._hands.release(tracked, why=reason)

    def _paired(self, tracked: Tracked, user: Secret) -> None:
        account = account_hash(user.reveal(), self._roster.ports.vault.key)
        tracked.shown = None
        tracked.account = account
        tracked.credential = Credential.PRESENT
        tracked.paired_at, tracked.former = self._roster.ports.now(), ()
        tracked.waits_for_person, tracked.why_waits = False, ""
        # Whatever pairing was asked for, even a moment ago, the session is linked now.
        tracked.request = None if tracked.request is Request.PAIR else tracked.request
        tracked.end_pairing()
        self._hands.note(tracked, lambda: self._roster.ports.vault.mark_paired(tracked.name, account))
        self.handsets.linked(tracked)
        self._hands.hold_account(tracked, user)
        self._roster.happen(tracked, Happening.PAIRED, "the phone linked this device")

    def _connected(self, tracked: Tracked, event: Connected, at: datetime) -> None:
        if not self._roster.matters(tracked, event.happening):
            return  # late: a verdict stands, and with it the wait for a person or for the end of a ban
        if tracked.credential is not Credential.PRESENT and event.account is not None:
            self._paired(tracked, event.account)
        self._outages.logged_in(tracked)
        tracked.shown = None
        tracked.begin()
        tracked.keepalive_errors, tracked.stale = 0, False
        tracked.last_connected_at = at
        tracked.heard(at)
        linked_now = tracked.state is State.PAIRED
        self._roster.happen(tracked, Happening.CONNECTED, "logged in")
        # What logged in is worth keeping, once a start: not at each of the library's own reconnects.
        if tracked.worker_id is not None and self._kept.get(tracked.name) != tracked.worker_id:
            self._kept[tracked.name] = tracked.worker_id
            self._keep(tracked, Why.PAIRED if linked_now else Why.CONNECTED)

    def _connection_lost(self, tracked: Tracked, event: ConnectionLost) -> None:
        reason = event.why or "the connection was lost"
        if is_busy(event.code) and tracked.state not in ONLINE:
            self._outages.sent_away(tracked, Trouble.SERVICE, reason)  # at login; else it is a server that restarts
        self._roster.happen(tracked, event.happening, self._common(f"{reason}; the library redials"), code=event.code)

    def _common(self, reason: str, cause: str | None = None) -> str:
        """Return what concerns everybody instead of one session's own words for it, if that is what they are."""
        outage = self._roster.outlook.outage
        # A connection that is lost says nothing about the version; whoever is refused for it gets a verdict.
        if outage is None or outage.trouble is Trouble.OUTDATED or (cause is not None and trouble_of(cause) is None):
            return reason
        return outage.words()

    def _dial_failed(self, tracked: Tracked, event: DialFailed) -> None:
        tracked.dial_failure = event.detail
        self._outages.dial_failed(tracked, event.cause.value, event.detail)
        self._roster.log("dial_failed", tracked, reason=event.detail, code=event.cause.value)
        # A pairing in progress keeps its state: its client ends when the first dial fails, and that is told next.
        self._roster.happen(
            tracked, event.happening, self._common(event.detail, event.cause.value), code=event.cause.value
        )

    def _client_ended(self, tracked: Tracked, event: ClientEnded) -> None:
        tracked.shown = None
        reason = tracked.dial_failure or event.why or "the client ended"
        code = event.cause.value if event.cause else ""
        if event.cause is not None and not tracked.dial_failure:  # else the relay has told it already
            self._outages.dial_failed(tracked, code, reason)
        self._roster.happen(tracked, event.happening, self._common(reason, code), code=code)
        if tracked.state is State.RECONNECTING:  # a verdict that came before stands, and is not retried
            self._roster.retry_later(tracked, AFTER_DIAL, dialled=event.cause is not None)
        self._hands.release(tracked, why=reason)
