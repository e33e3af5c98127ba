"""What concerns all sessions at once: nobody gets out, WhatsApp sends everybody away, or refuses this client's version.

One session that cannot connect has a trouble of its own and is tried again by itself, with a pause that grows. When
the trouble is everybody's, trying again one by one is of no use and does harm: the fleet hammers at what is away, every
session spends its restarts on what is not its fault, and the journal tells one incident five hundred times. So there is
a breaker for the fleet. It *opens* on evidence from several sessions (from one, if that one is told that the client is
outdated), starts nobody while it is open but one *probe* at a time, and *closes* for all as soon as anybody gets
through.

Pure: :class:`Outlook` is a value, every method returns the next one, and moments and counts are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from types import MappingProxyType
from typing import Final

from wakit.core.retry import Backoff
from wakit.core.silence import TOLD_WITHIN, UNANSWERED, Over


class Trouble(StrEnum):
    """What can be wrong for all at once; the code of the journal's ``outage`` events."""

    NETWORK = "network"  # dials do not get out, or not as far as an answer
    SERVICE = "service"  # WhatsApp's place is reached, and what answers sends everybody away
    OUTDATED = "outdated"  # WhatsApp refuses this version of the client (405)


# How the relay's causes of a failed dial (:class:`wakit.whatsapp.port.DialFailure`) count. What is not here (a proxy
# that says no, a dial that wakit itself does not allow) is that one session's own trouble.
_CAUSES: Final[Mapping[str, Trouble]] = MappingProxyType(
    {
        "name_lookup": Trouble.NETWORK,
        "unreachable": Trouble.NETWORK,
        "timeout": Trouble.NETWORK,
        "refused": Trouble.NETWORK,
        "closed": Trouble.NETWORK,
        "proxy_unreachable": Trouble.NETWORK,
        "tls": Trouble.SERVICE,
    }
)
_SURE: Final = frozenset({"name_lookup", "unreachable"})  # said by this machine itself, so by no far end's whim
_BUSY: Final = frozenset({"500", "503"})
# A dial may take 20 s to fail, so failures of one moment are told within a little more than that.
SPAN: Final = timedelta(seconds=30)
_SPAN_ALONE: Final = timedelta(minutes=5)  # one session's tries are minutes apart
_ENOUGH_ALONE: Final = 3
_SHARE: Final = 0.1
PROBES: Final[Mapping[Trouble, Backoff]] = MappingProxyType(
    {
        # What does not get out troubles nobody at WhatsApp: after a minute, a ceiling is a tenth of what has gone.
        Trouble.NETWORK: Backoff(first=4.0, cap=30.0, floor=2.0, growth=1.05),
        Trouble.SERVICE: Backoff(first=8.0, cap=120.0, floor=4.0),
        # Only an upgrade helps, which a new daemon brings along; what is probed for is a mistake of WhatsApp's.
        Trouble.OUTDATED: Backoff(first=3600.0, cap=12 * 3600.0, floor=1800.0),
    }
)
# Somebody else logged in with the version that was refused; each probe makes the pause longer all the same.
DISPUTED: Final = Backoff(first=60.0, cap=3600.0, floor=30.0)
_PROBE_LASTS: Final = timedelta(seconds=90)


def trouble_of(cause: str) -> Trouble | None:
    """Return what a failed dial's cause says about the fleet, or None if it says nothing.

    Example:
        >>> trouble_of("name_lookup"), trouble_of("proxy_denied")
        (<Trouble.NETWORK: 'network'>, None)
    """
    return _CAUSES.get(cause)


def is_busy(code: str) -> bool:
    """Tell whether a code in WhatsApp's answer to a login means that it serves nobody for now."""
    return code in _BUSY


@dataclass(frozen=True, slots=True)
class Evidence:
    """One dial or login that did not succeed, or a connection that fell silent, in a way that may be everybody's.

    Attributes:
        session: Whose.
        at: When it was told.
        trouble: What it may be a sign of.
        detail: A sentence for people.
        sure: This machine itself said that there is no way out.
        proxied: The session has an upstream proxy: its own way out, which may be what is broken.
        silent_since: Of a connection that fell silent: when something came on it last.
    """

    session: str
    at: datetime
    trouble: Trouble
    detail: str
    sure: bool = False
    proxied: bool = False
    silent_since: datetime | None = None

    def is_refuted(self, heard_at: datetime | None) -> bool:
        """Tell whether somebody was heard while this one's ping went unanswered."""
        return self.silent_since is not None and heard_at is not None and heard_at > self.at - UNANSWERED


@dataclass(frozen=True, slots=True)
class Headcount:
    """How many there are, to weigh evidence against.

    Attributes:
        wanted: Sessions that should be connected.
        down: Those of them that are not.
        heard_at: When something came last on any connection, None if nobody knows.
    """

    wanted: int
    down: int
    heard_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """A breaker that is open.

    Attributes:
        trouble: Why.
        since: When the first dial failed that led to it, or when the last byte came before all fell silent.
        detail: What was said about a dial, for people.
        sessions: Whom it hit so far; of an outdated client's, who was refused.
        probe_at: When the next probe is due.
        probes: How many probes there were.
        probing: The session that is let through to find out, or None between two probes.
        disputed_by: Who logged in with the refused version since and was not refused itself; None if nobody did.
        undisputed: How many probes had told by then.
        unanswered_since: If connections that fell silent told of it, and no dial: since when nothing came on any.
            Whatever comes later ends it.
    """

    trouble: Trouble
    since: datetime
    detail: str
    sessions: frozenset[str]
    probe_at: datetime
    probes: int = 0
    probing: str | None = None
    disputed_by: str | None = None
    undisputed: int = 0
    unanswered_since: datetime | None = None

    def words(self) -> str:
        """Say what is wrong and what ends it."""
        since = f"{self.since:%Y-%m-%d %H:%M:%S} UTC"
        match self.trouble:
            case Trouble.NETWORK:
                return f"the network is lost since {since}: {self.detail}; all come back when one gets through"
            case Trouble.SERVICE:
                return f"WhatsApp serves nobody since {since}: {self.detail}; all come back when one gets through"
            case Trouble.OUTDATED:
                upgrade = "upgrade wakit, then `wakit down` and `wakit up`"
                refused = f"WhatsApp refuses this version of the client since {since} (405)"
                if self.disputed_by is None:
                    return f"{refused}; {upgrade}"
                return (
                    f"{refused}, but {self.disputed_by} logged in with it meanwhile, so it is tried again soon; "
                    f"if it stays refused, {upgrade}"
                )


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of the fleet's way to WhatsApp.

    Attributes:
        evidence: The newest failure of each session since somebody got through, oldest first.
        outage: What is wrong for all, or None.
        over: How the last outage of the network ended.
    """

    evidence: tuple[Evidence, ...] = ()
    outage: Outage | None = None
    over: Over | None = None

    def failed(self, new: Evidence, fleet: Headcount, chance: float) -> Outlook:
        """Take a failure into account; the breaker may open.

        Args:
            new: The failure.
            fleet: How many sessions there are.
            chance: A number drawn evenly from [0, 1).
        """
        # A version that is refused is the graver trouble, and shows that the network is there.
        outdated = (
            new.trouble is Trouble.OUTDATED and self.outage is not None and self.outage.trouble is not new.trouble
        )
        if self.outage is not None and not outdated:
            return replace(self, outage=self._hit(self.outage, new, chance))
        if new.silent_since is not None and (fleet.wanted <= 1 or self._is_known(new.silent_since)):
            return self
        span = _SPAN_ALONE if fleet.wanted <= 1 else SPAN
        kept = [
            old
            for old in self.evidence
            if old.at > new.at - (span if old.silent_since is None else TOLD_WITHIN)
            and (fleet.wanted <= 1 or old.session != new.session)
        ]
        seen = tuple(each for each in (*kept, new) if not each.is_refuted(fleet.heard_at))
        same = [each for each in seen if each.trouble is new.trouble]
        if not same or not _suffices(same, fleet):
            return replace(self, evidence=seen, outage=None)
        pause = PROBES[new.trouble].pause(1, chance)
        silent = all(each.silent_since is not None for each in same)
        outage = Outage(
            trouble=new.trouble,
            since=_began(same, fleet.heard_at),
            detail=new.detail,
            sessions=frozenset(each.session for each in same),
            probe_at=new.at + timedelta(seconds=pause),
            unanswered_since=new.at - UNANSWERED if silent else None,
        )
        return replace(self, evidence=(), outage=outage)

    def _is_known(self, silent_since: datetime) -> bool:
        """Tell whether a connection fell silent in an outage that is over: it says nothing about the time since."""
        return self.over is not None and silent_since <= self.over.at

    def heard(self, at: datetime) -> Outlook:
        """Take into account that something came on a connection; a breaker that silence opened closes.

        One that failed dials opened does not: connections may live on while nobody gets a new one.
        """
        outage = self.outage
        if outage is None or outage.unanswered_since is None or at <= outage.unanswered_since:
            return self
        return replace(self, evidence=(), outage=None)

    def ended(self, over: Over) -> Outlook:
        """Remember how an outage of the network ended."""
        return replace(self, over=over)

    def excused(self) -> Outlook:
        """Forget who fell silent: time did not pass as it should."""
        return replace(self, evidence=tuple(each for each in self.evidence if each.silent_since is None))

    def reached(self, session: str) -> Outlook:
        """Take into account that WhatsApp answered a session as it should; the breaker closes.

        Which versions WhatsApp refuses differs between accounts for a while. So only a session that was refused itself,
        or the probe, shows that the version is accepted again.
        """
        outage = self.outage
        if (
            outage is not None
            and outage.trouble is Trouble.OUTDATED
            and session not in outage.sessions | {outage.probing}
        ):
            return self
        return replace(self, evidence=(), outage=None)

    def logged_in(self, session: str, dialled_at: datetime | None, now: datetime, chance: float) -> Outlook:
        """Take into account that a session logged in; if others were told that it is outdated, a probe is due soon.

        One login says as much as a hundred: the next ones change nothing, or a fleet that redials would draw one pause
        after the other until it has the shortest.

        Args:
            session: Whose login; one that was refused, and the probe, close the breaker instead (:meth:`reached`).
            dialled_at: When the dial of that login went out, None if nobody knows. Only what was dialled since the
                alarm says anything about it.
            now: The present moment.
            chance: A number drawn evenly from [0, 1).
        """
        outage = self.outage
        if outage is None or outage.trouble is not Trouble.OUTDATED or outage.disputed_by is not None:
            return self
        if session in outage.sessions | {outage.probing} or dialled_at is None or dialled_at < outage.since:
            return self
        undisputed = outage.probes - (outage.probing is not None)
        outage = replace(outage, disputed_by=session, undisputed=undisputed)
        if outage.probing is None:
            outage = replace(outage, probe_at=min(outage.probe_at, _pausing(outage, now, chance).probe_at))
        return replace(self, outage=outage)

    def probed_by(self, session: str, now: datetime) -> Outlook:
        """Let one session through; it has a while to tell."""
        if self.outage is None:
            return self
        outage = replace(self.outage, probing=session, probes=self.outage.probes + 1, probe_at=now + _PROBE_LASTS)
        return replace(self, outage=outage)

    def probe_over(self, now: datetime, chance: float) -> Outlook:
        """Give up on a probe that told nothing; the next one is due after a pause."""
        if self.outage is None:
            return self
        return replace(self, outage=_pausing(self.outage, now, chance))

    def due(self, at: datetime) -> Outlook:
        """Have the next probe be due at a moment; one that is under way is not waited for."""
        return self if self.outage is None else replace(self, outage=replace(self.outage, probe_at=at, probing=None))

    def moved(self, noted: Callable[[datetime], datetime], due: Callable[[datetime], datetime]) -> Outlook:
        """Return the same after the clock was set: what was a minute ago still is.

        Args:
            noted: Sets the moment right at which something was.
            due: Sets the moment right at which something will be.
        """
        outage, over = self.outage, self.over
        if outage is not None:
            silent = outage.unanswered_since and noted(outage.unanswered_since)
            outage = replace(outage, since=noted(outage.since), probe_at=due(outage.probe_at), unanswered_since=silent)
        if over is not None:
            over = replace(over, since=noted(over.since), at=noted(over.at))
        evidence = tuple(
            replace(each, at=noted(each.at), silent_since=each.silent_since and noted(each.silent_since))
            for each in self.evidence
        )
        return Outlook(evidence, outage, over)

    def renamed(self, source: str, target: str) -> Outlook:
        """Return the same after a session was given another name."""
        evidence = tuple(
            replace(each, session=target) if each.session == source else each
            for each in self.evidence
            if each.session != target
        )
        outage = self.outage
        if outage is None:
            return replace(self, evidence=evidence)
        sessions = frozenset(target if each == source else each for each in outage.sessions)
        probing, disputed_by = (target if each == source else each for each in (outage.probing, outage.disputed_by))
        outage = replace(outage, sessions=sessions, probing=probing, disputed_by=disputed_by)
        return replace(self, evidence=evidence, outage=outage)

    def _hit(self, outage: Outage, new: Evidence, chance: float) -> Outage:
        # A dial that did not get out says nothing about the version, so whoever made it was not refused.
        if outage.trouble is not Trouble.OUTDATED or new.trouble is outage.trouble:
            disputed_by = None if new.session == outage.disputed_by else outage.disputed_by
            outage = replace(outage, sessions=outage.sessions | {new.session}, disputed_by=disputed_by)
        return _pausing(outage, new.at, chance) if outage.probing == new.session else outage


def evidence_of(session: str, at: datetime, *, cause: str, detail: str, proxied: bool) -> Evidence | None:
    """Return what a failed dial is a sign of, or None if it says nothing about the others."""
    trouble = trouble_of(cause)
    if trouble is None:
        return None
    return Evidence(session, at, trouble, detail, sure=cause in _SURE, proxied=proxied)


def silence_of(session: str, at: datetime, *, silent_since: datetime, proxied: bool) -> Evidence:
    """Return what it is a sign of that a connection fell silent."""
    detail = "no connection hears anything of WhatsApp any more"
    return Evidence(session, at, Trouble.NETWORK, detail, proxied=proxied, silent_since=silent_since)


def _began(same: Sequence[Evidence], heard_at: datetime | None) -> datetime:
    """Return when it began: as the first dial failed, or, of connections that fell silent, as the last was heard."""
    failed = [each.at for each in same if each.silent_since is None]
    silent = [each.silent_since for each in same if each.silent_since is not None]
    if silent:
        failed.append(max(silent if heard_at is None else [*silent, heard_at]))
    return min(failed)


def _suffices(same: Iterable[Evidence], fleet: Headcount) -> bool:
    """Tell whether evidence of one trouble, without anybody who got through, means that it is everybody's."""
    found = list(same)
    if found[-1].trouble is Trouble.OUTDATED:
        return True
    direct = [each for each in found if not each.proxied]
    if fleet.wanted <= 1:
        return any(each.sure for each in direct) or len(direct) >= _ENOUGH_ALONE
    # Whoever dials directly has the same way out as all the others who do.
    if len(direct) >= max(2, ceil(_SHARE * fleet.wanted)):
        return True
    # Proxies break one by one; only if nobody is left who could get out, and most are hit, is it something else. Who is
    # silent counts as connected, so of those one who dials directly must be there, or it must be everybody.
    silent = any(each.silent_since is not None for each in found)
    left = fleet.wanted if silent and not direct else fleet.down
    return len(found) >= max(2, left) and 2 * len(found) > fleet.wanted


def _pausing(outage: Outage, now: datetime, chance: float) -> Outage:
    if outage.disputed_by is None:
        pause = PROBES[outage.trouble].pause(outage.probes + 1, chance)
    else:
        pause = DISPUTED.pause(outage.probes - outage.undisputed + 1, chance)
    return replace(outage, probing=None, probe_at=now + timedelta(seconds=pause))
