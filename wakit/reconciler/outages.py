"""The fleet's breaker at work: evidence goes in, one incident comes out, and everybody comes back together.

What is decided stands in :mod:`wakit.core.breaker`. Here it is told (one event when it opens, one when it closes), the
sessions say what they wait for, and a probe is let through when one is due. A probe is a session that is started like
any other: wakit dials nothing itself, because a session's way out, its proxy included, is the only one that it may use.

While it is open the planner starts nobody else, failed tries cost nobody anything, and the library's own redials go on:
their pauses grow, and one that gets through is as good a sign as the probe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from wakit.control.schemas import OutageInfo
from wakit.core.breaker import Evidence, Headcount, Outage, Outlook, Trouble, evidence_of, silence_of
from wakit.core.deadlines import DEADLINES
from wakit.core.health import deaf_words
from wakit.core.lifecycle import ALIVE, Happening, State
from wakit.core.observation import Credential
from wakit.core.silence import Over
from wakit.reconciler.returning import LONG, Releases, Return, waits_for_the_library
from wakit.reconciler.roster import ONLINE, Roster
from wakit.reconciler.tracked import Tracked

_ENOUGH: Final = 2  # sessions that take turns as the probe
_IN_VAIN: Final = 10  # probes after which one more takes turns
_STARTABLE: Final = frozenset({Credential.PRESENT, Credential.ABSENT})
_WAITING: Final = frozenset({State.DECLARED, State.STARTING, State.RECONNECTING})


class Outages:
    """Keeps the roster's outlook.

    Args:
        roster: The sessions.
        hands: Takes sessions out of their workers.
        changed: Called when the breaker opens, closes, or tries another session.
    """

    def __init__(self, roster: Roster, hands: Releases, changed: Callable[[], None]) -> None:
        self._roster = roster
        self._hands = hands
        self._changed = changed
        self._returning = Return(roster, hands)

    # -- evidence ----------------------------------------------------------------------------------------------------

    def dial_failed(self, tracked: Tracked, cause: str, detail: str) -> None:
        """Take note of a dial that did not get through."""
        proxied = _is_proxied(tracked)
        found = evidence_of(tracked.name, self._roster.ports.now(), cause=cause, detail=detail, proxied=proxied)
        if found is not None:
            self._failed(found)

    def sent_away(self, tracked: Tracked, trouble: Trouble, detail: str) -> None:
        """Take note of a login that WhatsApp answered with no."""
        self._failed(Evidence(tracked.name, self._roster.ports.now(), trouble, detail))

    def went_deaf(self, tracked: Tracked) -> None:
        """Take note that a connected session hears nothing any more; call it before the state says so."""
        if tracked.state is State.CONNECTED:
            now, heard_at = self._roster.ports.now(), tracked.heard_at
            proxied = _is_proxied(tracked)
            self._failed(silence_of(tracked.name, now, silent_since=heard_at or now, proxied=proxied))

    def heard(self, tracked: Tracked, at: datetime) -> None:
        """Take note that something came on the connection of a session."""
        if tracked.state in ONLINE:
            self._become(self._roster.outlook.heard(at), tracked, dialled=False)

    def reached(self, tracked: Tracked, *, dialled: bool = True) -> None:
        """Take note that WhatsApp answered a session.

        Args:
            tracked: The session.
            dialled: On a new connection; else one that was deaf hears again.
        """
        self._become(self._roster.outlook.reached(tracked.name), tracked, dialled=dialled)

    def logged_in(self, tracked: Tracked) -> None:
        """Take note that a session logged in, which may be evidence against an alarm that others gave."""
        ports = self._roster.ports
        after = self._roster.outlook.logged_in(tracked.name, tracked.dialled_at, ports.now(), ports.chance())
        self._become(after, None)

    def _failed(self, evidence: Evidence) -> None:
        roster = self._roster
        self._become(roster.outlook.failed(evidence, self._count(), roster.ports.chance()), None)

    def _count(self) -> Headcount:
        wanted = [
            each for each in self._roster.sessions.values() if self._is_wanted(each) and not each.waits_for_person
        ]
        heard = (each.heard_at for each in self._roster.sessions.values() if each.state in ONLINE)
        return Headcount(
            len(wanted),
            sum(each.state not in ONLINE for each in wanted),
            max((at for at in heard if at is not None), default=None),
        )

    def _is_wanted(self, tracked: Tracked) -> bool:
        spec = self._roster.declared(tracked.name)
        if spec is None:  # one whose retirement waits is kept in service
            return tracked.held is not None and tracked.state in ALIVE
        return spec.enabled and not tracked.parked and tracked.held is None

    def _become(self, outlook: Outlook, through: Tracked | None, why: str = "", *, dialled: bool = True) -> None:
        before, after = self._roster.outlook.outage, outlook.outage
        self._roster.outlook = outlook
        if before is not None and (after is None or after.trouble is not before.trouble):
            self._close(self._with_all_it_hit(before), through, why, over=after is None)
            if through is not None or after is not None:  # what it is now was an answer of WhatsApp's
                self._hear_again(before, dialled=dialled)
        if after is not None and (before is None or after.trouble is not before.trouble):
            self._open(after)
        if before is not after:
            self._changed()

    # -- opening and closing -----------------------------------------------------------------------------------------

    def _open(self, outage: Outage) -> None:
        roster, words = self._roster, outage.words()
        ago = max(0.0, (roster.ports.now() - outage.since).total_seconds())
        roster.log(
            "outage",
            reason=words,
            code=outage.trouble.value,
            detail={"sessions": len(outage.sessions), "began_seconds_before": round(ago, 3)},
        )
        for tracked in roster.sessions.values():
            if tracked.name in outage.sessions:
                kept = tracked.failures.before(outage.since)
                tracked.attempt = max(0, tracked.attempt - len(tracked.failures.at) + len(kept.at))
                tracked.failures = kept
            if tracked.state is State.RECONNECTING and tracked.running is None and not tracked.asked:
                tracked.next_try_at = None  # the breaker says when
            on_its_way = tracked.state is State.STARTING or (tracked.state is State.RECONNECTING and tracked.by_start)
            if outage.trouble is Trouble.OUTDATED and tracked.running is not None and on_its_way:
                if tracked.name in outage.sessions:
                    continue  # its verdict follows
                roster.happen(tracked, Happening.WORKER_LOST, words)
                tracked.next_try_at = outage.probe_at if tracked.asked else None
                tracked.ask_again()
                self._hands.release(tracked, why=words)
            elif (
                tracked.state is State.RECONNECTING
                and (outage.trouble is not Trouble.OUTDATED or tracked.running is None)  # else the library redials
            ) or (tracked.state is State.DEGRADED and outage.trouble is Trouble.NETWORK):
                roster.say(tracked, words)

    def _close(self, outage: Outage, through: Tracked | None, why: str, *, over: bool) -> None:
        roster, now = self._roster, self._roster.ports.now()
        seconds = max(0.0, (now - outage.since).total_seconds())
        who = f"{through.name} got through" if through else why or "it is something else now"
        roster.log(
            "outage_over",
            reason=f"{who}, after {seconds:.0f} s; it hit {len(outage.sessions)} sessions",
            code=outage.trouble.value,
            detail={"sessions": len(outage.sessions), "seconds": round(seconds, 3), "probes": outage.probes},
        )
        returning: list[Tracked] = []
        for tracked in roster.sessions.values():
            if tracked is through:
                continue
            if tracked.state is State.OUTDATED and outage.trouble is Trouble.OUTDATED and through is not None:
                tracked.begin()
            elif tracked.state is State.RECONNECTING and not tracked.waits_for_person:
                if tracked.running is not None and not over:
                    continue  # what it is now would keep it from being started again; the library redials
                returning.append(tracked)
        self._returning.begin(returning)

    def _with_all_it_hit(self, outage: Outage) -> Outage:
        """Add those whose connection carried nothing since it began: not all had noticed yet."""
        if outage.unanswered_since is None:
            return outage
        silent = {
            each.name
            for each in self._roster.sessions.values()
            if each.state in ONLINE and each.heard_at is not None and each.heard_at <= outage.since
        }
        return replace(outage, sessions=outage.sessions | silent)

    def _hear_again(self, outage: Outage, *, dialled: bool) -> None:
        """Leave the deaf ones to what their own lines show from now on (:func:`wakit.core.silence.cure`)."""
        if outage.trouble is Trouble.OUTDATED:
            return
        roster = self._roster
        roster.outlook = roster.outlook.ended(Over(outage.since, roster.ports.now(), dialled))
        for tracked in roster.sessions.values():
            if tracked.state is State.DEGRADED:
                roster.say(tracked, deaf_words(max(1, tracked.keepalive_errors)))

    def start_with_others(self, tracked: Tracked) -> None:
        """Have a session that is about to leave its worker start again with those that leave theirs now, too."""
        self._returning.start_with_others(tracked)

    # -- probes ------------------------------------------------------------------------------------------------------

    def hurry(self) -> None:
        """Probe now: something may have been mended. No file mends an outdated client."""
        outage = self._roster.outlook.outage
        if outage is not None and outage.probing is None:
            self.woke_up()

    def woke_up(self) -> None:
        """Probe now, whatever is under way: it began before the machine slept."""
        self._roster.outlook = self._roster.outlook.excused()
        outage = self._roster.outlook.outage
        if outage is not None and outage.trouble is not Trouble.OUTDATED:
            self._roster.outlook = self._roster.outlook.due(self._roster.ports.now())

    def look(self) -> None:
        """Let a session through if a probe is due, and those come back who waited for one another."""
        self._returning.look()
        outlook, now = self._roster.outlook, self._roster.ports.now()
        outage = outlook.outage
        if outage is None or (outage.probe_at > now and not self._stays(outage.probing)):
            return
        if outage.probing is not None:
            self._become(outlook.probe_over(now, self._roster.ports.chance()), None)
            return
        waiting = self._waiting(outage)
        if not waiting:
            self._become(replace(outlook, evidence=(), outage=None), None, "nobody waits for it any more")
            return
        candidates = self._candidates(waiting, now, outage, enough=_ENOUGH + outage.probes // _IN_VAIN)
        if not candidates:
            begun = [each.entrusted_at for each in waiting if each.entrusted_at is not None]
            due = min(begun, default=now) + LONG  # until then the library redials for each of them often enough
            self._roster.outlook = outlook.due(due if due > now else now + LONG)
            return
        chosen = candidates[outage.probes % len(candidates)]
        if not chosen.busy:  # else what is under way wakes the loop when it ends
            self._probe(chosen, now)

    def wake_at(self) -> datetime | None:
        """Return when :meth:`look` has something to do."""
        outage, now = self._roster.outlook.outage, self._roster.ports.now()
        if outage is None:
            return self._returning.wake_at()
        # Due already means that it waits for an action to end, which wakes the loop by itself.
        return outage.probe_at if outage.probe_at > now else None

    def _probe(self, chosen: Tracked, now: datetime) -> None:
        self._become(self._roster.outlook.probed_by(chosen.name, now), None)
        chosen.next_try_at = chosen.not_before = None
        if chosen.state is State.OUTDATED:
            chosen.begin()
        if chosen.running is not None:
            why = "it is started anew, to find out whether anybody gets through again"
            if chosen.state is State.DEGRADED:
                self._roster.happen(chosen, Happening.WORKER_LOST, why, code="deaf")
            self._hands.release(chosen, why=why)

    def _waiting(self, outage: Outage) -> list[Tracked]:
        """Return who waits for the end; of an outdated client's, whom it hit, as long as there are any."""
        wanted = [
            each for each in self._roster.sessions.values() if self._is_wanted(each) and each.credential in _STARTABLE
        ]
        if outage.trouble is Trouble.OUTDATED:
            refused = [
                each for each in wanted if each.state is State.OUTDATED and each.credential is Credential.PRESENT
            ]
            if refused:
                return refused
        states = _WAITING | {State.DEGRADED} if outage.trouble is Trouble.NETWORK else _WAITING
        return [each for each in wanted if each.state in states and not each.waits_for_person]

    def _candidates(self, waiting: list[Tracked], now: datetime, outage: Outage, *, enough: int) -> list[Tracked]:
        """Return who can be the probe: who is in nobody's hands; if that are too few, also whom the library lets wait.

        Several take turns, because one may have a trouble of its own; a proxy of its own is the likeliest.
        """
        ours = [each for each in waiting if each.running is None]
        found = [each for each in ours if each.credential is Credential.PRESENT] or ours
        silent = outage.unanswered_since is not None  # so whoever is connected hears nothing, either
        sessions = self._roster.sessions.values()
        online = {each.worker_id for each in sessions if each.state is State.CONNECTED and not silent}
        waited = [each for each in waiting if self._has_waited(each, now, among_others=each.worker_id in online)]
        waited.sort(key=_is_proxied)
        # In silence no library redials by itself, so those whose own proxies may be broken do not take all the turns.
        counted = sum(not _is_proxied(each) for each in found) if silent else len(found)
        return found + waited[: max(0, enough - counted)]

    def _has_waited(self, tracked: Tracked, now: datetime, *, among_others: bool) -> bool:
        """Tell whether the library lets a session wait for longer than a start takes.

        Where others aboard are connected it gets more time, for one that does not leave in time takes them along. So
        does a start, whose first dial may take long.
        """
        if tracked.running is None or tracked.credential is not Credential.PRESENT or tracked.asked or tracked.in_line:
            return False
        longer = DEADLINES[State.RECONNECTING] if among_others or tracked.by_start else LONG
        return waits_for_the_library(tracked, now, longer)

    def _stays(self, probing: str | None) -> bool:
        """Tell whether the probe could not be taken out of its worker, so that nothing will come of it."""
        probe = None if probing is None else self._roster.sessions.get(probing)
        return (
            probe is not None
            and probe.running is not None
            and not probe.busy
            and not probe.by_start
            and probe.not_before is not None
        )

    # -- what people see ---------------------------------------------------------------------------------------------

    def why_deaf(self, reason: str) -> str:
        """Return what concerns everybody instead of a deaf session's own words, if that is why it is deaf."""
        outage = self._roster.outlook.outage
        return outage.words() if outage is not None and outage.trouble is Trouble.NETWORK else reason

    def info(self) -> OutageInfo | None:
        """Return what is wrong for all, as people see it."""
        outage = self._roster.outlook.outage
        if outage is None:
            return None
        return OutageInfo(
            trouble=outage.trouble.value,
            since=outage.since,
            reason=outage.words(),
            sessions=len(outage.sessions),
            probing=outage.probing,
            next_probe_at=None if outage.probing else outage.probe_at,
        )


def _is_proxied(tracked: Tracked) -> bool:
    return tracked.spec is not None and tracked.spec.proxy is not None
