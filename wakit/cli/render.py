"""What people read: the table of sessions, the plan, events; for a terminal and for a pipe.

A state is told by a word and a sign, never by colour alone. Where stdout is no terminal there is no colour and no
wrapping, so that ``grep`` finds whole lines.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from wakit.cli import progress
from wakit.cli.words import age, span
from wakit.control.schemas import DaemonInfo, EventInfo, OutageInfo, PlanInfo, SessionInfo, StatusInfo, UpgradeInfo

_WIDE: Final = 4000
# By state first, then by coarse status: a sign, and one for terminals without Unicode, and a style.
_SIGNS: Final[dict[str, tuple[str, str, str]]] = {
    "parked": ("‖", "=", "dim"),
    "held": ("‖", "=", "yellow"),
    "connected": ("●", "*", "green"),
    "pending": ("◌", ".", "yellow"),
    "disconnected": ("○", "o", "magenta"),
    "failed": ("✗", "x", "bold red"),
}
_VERBS: Final = {
    "create": ("+", "green"),
    "restore": ("+", "green"),
    "revive": ("+", "green"),
    "restart": ("~", "yellow"),
    "rename": ("~", "yellow"),
    "park": ("-", "magenta"),
    "retire": ("-", "red"),
    "hold": ("!", "bold yellow"),
}


class _Stdout(Console):
    """The console of stdout; rich's own ends the process with 1 when the reader of a pipe has gone."""

    def on_broken_pipe(self) -> None:
        """Have it end as every other command."""
        raise BrokenPipeError


def console() -> Console:
    """Return the console of stdout."""
    terminal = sys.stdout.isatty()
    return _Stdout(width=None if terminal else _WIDE, highlight=False, soft_wrap=not terminal)


def show(what: RenderableType) -> None:
    """Print something on stdout; where that is no terminal, without the blanks that fill a table's columns."""
    screen = console()
    if sys.stdout.isatty():
        screen.print(what)
        return
    with screen.capture() as captured:
        screen.print(what)
    sys.stdout.write("".join(line.rstrip(" ") + "\n" for line in captured.get().split("\n")[:-1]))


def sign(session: SessionInfo, *, unicode: bool = True) -> Text:
    """Return a session's state as a sign and a word."""
    full, plain, style = _SIGNS.get(session.state) or _SIGNS[session.status]
    stale = " (stale)" if session.stale else ""
    return Text(f"{full if unicode else plain} {session.state}{stale}", style=style)


def sessions_table(
    sessions: Iterable[SessionInfo], now: datetime, *, unicode: bool = True, one_line: bool = False
) -> Table:
    """Return the table of sessions; with ``one_line`` a reason that does not fit is cut off."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_edge=False, pad_edge=False)
    for title in ("NAME", "STATE", "SINCE", "SEEN", "WORKER", "TRY"):
        table.add_column(title, no_wrap=True)
    table.add_column("REASON", overflow="fold")
    for session in sessions:
        table.add_row(
            session.name,
            sign(session, unicode=unicode),
            age(session.since, now),
            age(session.last_seen_at, now) if session.last_seen_at else "-",
            str(session.worker_pid or "-"),
            _try(session, now),
            # Said of the text and not of the column: a narrow screen then takes from the reasons, not from the names.
            Text(_reason(session), no_wrap=one_line, overflow="ellipsis" if one_line else None),
        )
    return table


def status(told: StatusInfo, now: datetime | None = None, *, unicode: bool = True) -> RenderableType:
    """Return the table with its footer."""
    moment = now or datetime.now(UTC)
    body: RenderableType = (
        sessions_table(told.sessions, moment, unicode=unicode)
        if told.sessions
        else Text("No sessions are declared.", style="dim")
    )
    return Group(body, Text(), footer(told.daemon, moment))


def fitting(told: StatusInfo, screen: Console, now: datetime | None = None, *, unicode: bool = True) -> RenderableType:
    """Return the table with its footer as far as it fits on a screen: who is not well first, then how many are left.

    While sessions are missing, a bar says how many are connected, and what the others do.

    What does not fit is not only useless on a table that is redrawn, it would also cost most of the time.
    """
    moment = now or datetime.now(UTC)
    foot = footer(told.daemon, moment)
    # A title, an empty line above the footer, and one that the cursor keeps.
    room = max(1, screen.height - len(screen.render_lines(foot, pad=False)) - 3)
    if len(told.sessions) <= room:
        table = sessions_table(told.sessions, moment, unicode=unicode, one_line=True)
        return Group(table, progress.bar(told.sessions), foot) if told.sessions else status(told, moment)
    ordered = sorted(told.sessions, key=_urgency)
    table = sessions_table(ordered[: room - 1], moment, unicode=unicode, one_line=True)
    return Group(table, _left(ordered[room - 1 :]), progress.bar(told.sessions), foot)


def _urgency(session: SessionInfo) -> int:
    if session.state == "connected":
        return 2
    return 0 if session.enabled and session.state != "parked" else 1


def _left(sessions: list[SessionInfo]) -> Text:
    states = Counter(session.state for session in sessions)
    if len(states) == 1:
        return Text(f"… and {len(sessions)} more, all {sessions[0].state}", style="dim")
    counts = ", ".join(f"{count} {state}" for state, count in states.most_common())
    return Text(f"… and {len(sessions)} more: {counts}", style="dim")


def footer(daemon: DaemonInfo, now: datetime) -> Text:
    """Return what is to be said about the daemon and its file."""
    declaration = daemon.declaration
    commit = f" @ {declaration.git_commit[:10]}" if declaration.git_commit else ""
    changed = " with uncommitted changes" if declaration.dirty else ""
    where = " against the loopback WhatsApp" if daemon.sim else ""
    text = Text(f"daemon {daemon.pid}{where}, up {age(daemon.started_at, now)}; ", style="dim")
    text.append(f"{declaration.path} rev {declaration.rev}{commit}{changed}; ")
    text.append("converged" if daemon.converged else "working", style="green" if daemon.converged else "yellow")
    if daemon.outage is not None:
        text.append(f"\n{daemon.outage.reason}", style="bold red")
        text.append(f"; {_probe(daemon.outage, now)}", style="yellow")
    if not daemon.journal_ok:
        text.append("\nthe journal cannot be written: events are kept in memory until it can", style="bold red")
    if daemon.stuck_queries:
        told = f"queries on the journal that were told to stop and still run: {daemon.stuck_queries}"
        text.append(f"\n{told}; see `wakit doctor`", style="yellow")
    if daemon.ending is not None:
        text.append(f"\nit ends, and waits for {daemon.ending}", style="yellow")
    if daemon.upgrade is not None:
        text.append(f"\n{_upgrade(daemon.upgrade)}", style="yellow")
    if declaration.error:
        text.append(f"\nthe file as it is now is not in force: {declaration.error}", style="bold red")
        if declaration.hint:
            text.append(f"\nhint: {declaration.hint}", style="cyan")
    for warning in declaration.warnings:
        text.append(f"\nwarning: {warning}", style="yellow")
    return text


def _upgrade(told: UpgradeInfo) -> str:
    said = [told.daemon] if told.daemon else []
    if told.problem:
        said.append(f"replacing the workers was broken off: {told.problem}")
    elif told.under_way:
        said.append(f"workers are replaced one at a time: {told.replaced} done, {told.workers} to go")
    if told.workers and not told.under_way:
        said.append(f"{told.workers} workers run another release than {told.installed}; `wakit up -d` replaces them")
    elif told.daemon and not told.workers:
        said.append("every worker runs the installed one; `wakit down`, then `wakit up -d` renews the daemon itself")
    return "; ".join(said)


def _probe(outage: OutageInfo, now: datetime) -> str:
    if outage.probing is not None:
        return f"{outage.probing} is trying"
    due = outage.next_probe_at
    if due is None or due <= now:
        return "the next try is due"
    return f"the next try is in {span((due - now).total_seconds())}"


def plan(told: PlanInfo) -> RenderableType:
    """Return the plan in words."""
    lines: list[Text] = []
    begun = [action for action in told.actions if action.action != "hold"]  # which are told below, with the old ones
    for action in begun:
        mark, style = _VERBS[action.action]
        lines.append(Text(f"{mark} {action.text}", style=style))
    lines += [Text(f"! {name} is held: {why}", style="bold yellow") for name, why in told.held.items()]
    lines += [Text(f". {name}: {why}", style="dim") for name, why in told.waiting.items()]
    if not begun:
        held = len(told.held)
        waits = f"Nothing else to do; {held} action{'s wait' if held > 1 else ' waits'} for you."
        lines.append(Text(waits if held else "Nothing to do.", style="dim"))
    if told.declaration.error:
        lines.append(Text(f"the file as it is now is not in force: {told.declaration.error}", style="bold red"))
    lines += [Text(f"hint: {hint}", style="cyan") for hint in dict.fromkeys(told.hints.values())]
    return Group(*lines)


def event(told: EventInfo) -> Text:
    """Return an event as one line."""
    text = Text(f"{told.ts:%Y-%m-%d %H:%M:%S}  ", style="dim")
    text.append(f"{told.session or '-':<16} ", style="bold")
    what = f"{told.state_from or 'new'} → {told.state_to}" if told.kind == "state" else told.kind
    text.append(f"{what:<26} ")
    text.append(told.reason or "")
    if told.code:
        text.append(f" [{told.code}]", style="dim")
    return text


def change(session: SessionInfo, now: datetime) -> str:
    """Return a session's change as one plain line, for a daemon whose output is no terminal."""
    reason = _reason(session)
    line = f"{now:%Y-%m-%dT%H:%M:%SZ} {session.name}: {session.state}"
    return f"{line}: {reason}" if reason else line


def speaks_unicode() -> bool:
    """Tell whether stdout can show the signs."""
    return "utf" in (sys.stdout.encoding or "").lower()


def _reason(session: SessionInfo) -> str:
    if session.held and session.held not in session.reason:
        return f"{session.reason}; held: {session.held}" if session.reason else f"held: {session.held}"
    return session.reason


def _try(session: SessionInfo, now: datetime) -> str:
    if session.next_try_at is not None and session.next_try_at > now:
        pause = span((session.next_try_at - now).total_seconds())
        return f"{session.attempt}, next in {pause}" if session.attempt else f"in {pause}"
    return str(session.attempt) if session.attempt else "-"
