"""One session in the notebook: what it is, and what a person may do with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Final, Literal

from wakit.control.client import SyncClient
from wakit.control.schemas import PairingShown, SessionInfo
from wakit.core.lifecycle import State, Status
from wakit.errors import ControlError, NotConvergedError
from wakit.notebook.link import Link
from wakit.notebook.log import Log
from wakit.notebook.words import session_html, session_text
from wakit.redact import PhoneNumber

if TYPE_CHECKING:
    from wakit.notebook.answer import Answer
    from wakit.notebook.chronicle import Chronicle, Moment
    from wakit.notebook.picture import Picture
    from wakit.notebook.widgets.pairing import Pairing

_KNOWN: Final = frozenset(State) | frozenset(Status)


class Session:
    """A session of the fleet, by name. Get it from the fleet: ``fleet["sales"]``.

    The properties say what the live connection last told; they never wait.

    Example:
        >>> sales = fleet["sales"]
        >>> sales.state, sales.status
        ('connected', 'connected')
    """

    def __init__(self, name: str, link: Link, client: SyncClient, chronicle: Chronicle) -> None:
        self.name = name
        self._link = link
        self._client = client
        self._chronicle = chronicle

    @property
    def info(self) -> SessionInfo:
        """Everything known about it.

        Raises:
            UnknownSessionError: It is not declared (any more).
        """
        known = self._link.snapshot.sessions.get(self.name)
        return known if known is not None else self._client.session(self.name)

    @property
    def state(self) -> str:
        """Where it is in its life: ``"connected"``, ``"pairing"``, ``"reconnecting"`` and so on."""
        return self.info.state

    @property
    def status(self) -> str:
        """The state in four words: pending, connected, disconnected, failed."""
        return self.info.status

    @property
    def reason(self) -> str:
        """Why it is as it is, in words."""
        return self.info.reason

    def pair(self, method: Literal["qr", "code"] | None = None, phone: str | PhoneNumber | None = None) -> Pairing:
        """Link it to a phone: returns the widget that shows the QR or the code, and then how it connects.

        Args:
            method: ``"qr"`` or ``"code"`` begins at once; without it the widget lets you choose.
            phone: For ``"code"``: the number, if it is not in sessions.toml. What is written in a cell is saved with
                the notebook; the widget asks for a number, too, and that is saved nowhere.

        Raises:
            UnknownSessionError: It is not declared.
            ControlError: The method or the number cannot be right.

        Example:
            >>> fleet["sales"].pair()  # as the last line of a cell it is the widget
            <pairing of sales: shown in a notebook; in a terminal use `wakit pair sales`>
        """
        from wakit.notebook.widgets.pairing import Pairing  # noqa: PLC0415 - ipywidgets only where a widget is made

        self._client.session(self.name)
        if method not in (None, "qr", "code"):
            raise ControlError(f"{method!r} is no way to pair", hint='take "qr" or "code"')
        return Pairing(self.name, self._link, method=method, phone=_number(phone))

    def pairing(self) -> PairingShown | None:
        """Return the QR or code that is valid now, or None. It is a secret: its repr hides it, and so should you.

        Example:
            >>> fleet["sales"].pairing() is None  # nothing is to be scanned: it is linked
            True
        """
        try:
            return self._client.qr(self.name)
        except ControlError as error:
            if type(error) is not ControlError:  # no daemon, no such session: not "nothing to show"
                raise
            return None

    def restart(self, *, take_over: bool = False) -> Session:
        """Replace its client; clears what waits for a person, too.

        Args:
            take_over: Its credential goes on here, although it was used elsewhere since this copy was made.

        Raises:
            ControlError: It is parked, not enabled, or held.

        Example:
            >>> fleet["sales"].restart().wait_blocking("connected", timeout=20).state
            'connected'
        """
        self._client.restart(self.name, take_over=take_over)
        return self

    def park(self) -> Session:
        """Stop its client until :meth:`resume`, whatever the file says; the credential stays.

        It is an order for now, kept by the daemon (also over its restarts) and nowhere in the file. For good, where
        others see it and can revert it, say it in the file: ``fleet.declare("sales", enabled=False)``.

        Example:
            >>> fleet["sales"].park().name
            'sales'
        """
        self._client.park(self.name)
        return self

    def resume(self) -> Session:
        """Undo :meth:`park`.

        Raises:
            ControlError: The file itself parks it; an order does not outvote the file.

        Example:
            >>> fleet["sales"].resume().wait_blocking("connected", timeout=20).state
            'connected'
        """
        if not self._client.resume(self.name).enabled:
            raise ControlError(
                f"{self.name} stays parked",
                why="sessions.toml says enabled = false",
                hint=f'fleet.declare("{self.name}", enabled=True)',
            )
        return self

    def logs(self, lines: int = 200) -> Log:
        """Return the last lines of its worker's log, one JSON object each, oldest first; it shows itself in words.

        Args:
            lines: How many at most.

        Example:
            >>> len(fleet["sales"].logs(lines=2))
            2
        """
        return Log(self.name, self._client.logs(self.name, lines))

    def events(self) -> Answer:
        """Return its events from the journal, oldest first, as a DuckDB relation.

        Example:
            >>> fleet["sales"].events().filter("kind = 'state'").select("state_to").fetchall()
            [('starting',), ('connected',)]
        """
        return self._chronicle.sql("SELECT * FROM events WHERE session = $name ORDER BY seq", {"name": self.name})

    def timeline(self, *, since: Moment | None = None, until: Moment | None = None) -> Picture:
        """Show what it was when, as :meth:`wakit.notebook.fleet.Fleet.timeline`.

        Example:
            >>> fleet["sales"].timeline().relation.select("state").fetchall()
            [('starting',), ('connected',)]
        """
        return self._chronicle.timeline(self.name, since=since, until=until)

    def uptime(self, *, since: Moment | None = None, until: Moment | None = None) -> Picture:
        """Show how much of each day it was connected, as :meth:`wakit.notebook.fleet.Fleet.uptime`.

        Example:
            >>> fleet["sales"].uptime().relation.select("session").fetchall()
            [('sales',)]
        """
        return self._chronicle.uptime(self.name, since=since, until=until)

    async def wait(self, *wanted: str, timeout: float = 60.0) -> Session:  # noqa: ASYNC109 - people think in seconds
        """Wait until it is in one of these states (or statuses); widgets move on meanwhile.

        Args:
            wanted: ``"connected"`` if nothing is said.
            timeout: Seconds.

        Raises:
            NotConvergedError: It was not in time; says what it is instead.
            UnknownSessionError: It is not declared.

        Example:
            >>> import asyncio
            >>> asyncio.run(fleet["sales"].wait("connected", timeout=20)).state  # in a cell: `await …`
            'connected'
        """
        states = _wanted(wanted)
        future = self._link.session_when(self.name, _is_one_of(states), timeout)
        try:
            await asyncio.wrap_future(future)
        except TimeoutError:
            raise self._too_late(states, timeout) from None
        return self

    def wait_blocking(self, *wanted: str, timeout: float = 60.0) -> Session:
        """Wait like :meth:`wait` where nothing can be awaited; the cell holds its widgets still meanwhile.

        Example:
            >>> fleet["sales"].wait_blocking("connected", timeout=20).state
            'connected'
        """
        states = _wanted(wanted)
        future = self._link.session_when(self.name, _is_one_of(states), timeout)
        try:
            future.result()
        except TimeoutError:
            raise self._too_late(states, timeout) from None
        finally:
            future.cancel()  # after an interrupt nobody waits any more
        return self

    def _too_late(self, states: frozenset[str], seconds: float) -> NotConvergedError:
        info = self.info
        return NotConvergedError(
            f"{self.name} is not {' or '.join(sorted(states))} after {seconds:g} s",
            why=f"it is {info.state}" + (f", {info.reason}" if info.reason else ""),
            hint=f'fleet["{self.name}"].pair() shows what a phone has to do'
            if info.needs_person
            else f'fleet["{self.name}"].events() tells what happened',
        )

    def __repr__(self) -> str:
        try:
            return session_text(self.info, datetime.now(UTC))
        except ControlError as error:  # retired meanwhile: what shows itself must not fail
            return f"{self.name}: {error}"

    def _repr_html_(self) -> str:
        try:
            return session_html(self.info, datetime.now(UTC))
        except ControlError:
            return f"<p>{escape(repr(self))}</p>"


def _number(phone: str | PhoneNumber | None) -> PhoneNumber | None:
    if phone is None or isinstance(phone, PhoneNumber):
        return phone
    try:
        return PhoneNumber(phone)
    except ValueError as error:
        raise ControlError("That number cannot be right", why=str(error), hint="for example +34 600 000 001") from None


def _wanted(wanted: tuple[str, ...]) -> frozenset[str]:
    states = frozenset(wanted or ("connected",))
    if unknown := states - _KNOWN:
        raise ControlError(
            f"{', '.join(sorted(unknown))} is no state of a session", hint=f"one of {', '.join(sorted(_KNOWN))}"
        )
    return states


def _is_one_of(states: frozenset[str]) -> Callable[[SessionInfo], bool]:
    return lambda info: info.state in states or info.status in states
