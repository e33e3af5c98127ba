"""What people ask of a session: to pair it, start it anew, stop it, and let it run again.

A wish is noted, and the loop is woken; the plan fulfils it. What cannot be fulfilled is refused at once, with what
would help.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from wakit.control.schemas import PairRequest
from wakit.core.declaration import Pairing
from wakit.core.lifecycle import FINAL
from wakit.core.observation import UNUSABLE, Credential, Request
from wakit.core.restarts import Failures
from wakit.errors import ControlError
from wakit.reconciler.lookup import declared, startable
from wakit.reconciler.loop import Reconciler
from wakit.reconciler.tracked import Tracked
from wakit.redact import PhoneNumber

_MAY_BE_BACK: Final = frozenset({Credential.DAMAGED, Credential.GIVEN_AWAY})
_ANEW: Final = "link the phone anew with `wakit pair {}`"


class Wishes:
    """Notes what people ask for. Each wish returns the session, or raises ControlError.

    Args:
        reconciler: The loop.
    """

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._roster = reconciler.roster

    async def pair(self, name: str, request: PairRequest) -> Tracked:
        """Pair because a person asks."""
        tracked = startable(self._roster, name)
        if tracked.credential is Credential.PRESENT:
            if tracked.running is None or tracked.state in FINAL:
                self._ask(tracked, Request.RESTART)
        else:
            self._ask_to_pair(tracked, request)
        self._reconciler.wake()
        return tracked

    async def restart(self, name: str, *, take_over: bool = False) -> Tracked:
        """Replace the client; with ``take_over`` the credential goes on here, even if it was used elsewhere since."""
        tracked = startable(self._roster, name)
        if tracked.credential in _MAY_BE_BACK:
            # A person may have put a copy back. What it is worth is found out before the library is given it.
            found = await self._reconciler.executor.in_turn(name, partial(self._roster.ports.vault.find, name))
            if tracked.credential in _MAY_BE_BACK and not tracked.busy:
                tracked.remember(found)
        if tracked.credential in UNUSABLE:
            given = tracked.credential is Credential.GIVEN_AWAY
            raise ControlError(
                f"{name} cannot be restarted",
                why=(given and tracked.why_waits) or f"its credential is {tracked.credential.replace('_', ' ')}",
                hint=(f"take it back with `wakit import`, or {_ANEW}" if given else _ANEW).format(name),
            )
        if take_over and tracked.running is None and tracked.credential is Credential.PRESENT:
            await self._take_over(tracked)
        self._ask(tracked, Request.RESTART)
        self._reconciler.wake()
        return tracked

    async def park(self, name: str) -> Tracked:
        """Stop the client until ``resume``."""
        return await self._set_parked(declared(self._roster, name), parked=True)

    async def resume(self, name: str) -> Tracked:
        """Undo ``park``."""
        return await self._set_parked(declared(self._roster, name), parked=False)

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _take_over(self, tracked: Tracked) -> None:
        try:
            take_over = partial(self._roster.ports.vault.take_over, tracked.name)
            told = await self._reconciler.executor.in_turn(tracked.name, take_over)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise ControlError(
                f"{tracked.name} was not taken over", why=why, hint="mend the disk, and ask again"
            ) from None
        if told:
            self._roster.log("warning", tracked, reason=told)

    @staticmethod
    def _ask(tracked: Tracked, request: Request) -> None:
        """Note a request; a person who asks does not wait for a pause that began before."""
        tracked.request = request
        tracked.attempt, tracked.next_try_at, tracked.not_before = 0, None, None
        tracked.failures = Failures()

    def _ask_to_pair(self, tracked: Tracked, request: PairRequest) -> None:
        if request.method is None and request.phone is None and tracked.pairs:
            return  # whoever names no way sees the code that is valid now, in whatever way it was asked for
        spec = tracked.spec
        declared_phone = spec.phone if spec else None
        method = Pairing(request.method) if request.method else spec.pairing if spec else Pairing.QR
        phone = self._phone(tracked.name, request.phone) or declared_phone
        if declared_phone is not None and phone != declared_phone:
            raise ControlError(
                f"{tracked.name} is not paired",
                why="the number given is not the one the file declares for it",
                hint="leave the number out, or change `phone` in the file",
            )
        if method is Pairing.CODE and phone is None:
            raise ControlError(
                f"{tracked.name} is not paired",
                why="pairing by code needs the account's number",
                hint=f'set `phone = "+…"` in the file, or run `wakit pair {tracked.name} --code`, which asks for it',
            )
        if tracked.pairs and self._pairs_so(tracked, method, phone):
            return  # whoever asks sees the code that is valid now
        tracked.method, tracked.phone = method, phone
        self._ask(tracked, Request.PAIR)
        # A client cannot be told to pair in another way; the next one is begun as asked.
        self._reconciler.executor.errands.release(tracked, why=f"a person asked to pair by {method.value}")

    @staticmethod
    def _pairs_so(tracked: Tracked, method: Pairing, phone: PhoneNumber | None) -> bool:
        spec = tracked.spec
        underway = tracked.shown.kind if tracked.shown else tracked.method or (spec.pairing if spec else Pairing.QR)
        same_phone = phone == (tracked.phone or (spec.phone if spec else None))
        return underway is method and (method is Pairing.QR or same_phone)

    @staticmethod
    def _phone(name: str, text: str | None) -> PhoneNumber | None:
        if text is None:
            return None
        try:
            return PhoneNumber(text)
        except ValueError as error:
            raise ControlError(f"{name} is not paired", why=str(error), hint="give it as +34600000001") from None

    async def _set_parked(self, tracked: Tracked, *, parked: bool) -> Tracked:
        """Stop a client or let it run; returns once the next daemon, however this one ends, would do the same."""
        name, vault = tracked.name, self._roster.ports.vault
        tracked.parked = parked
        if parked:  # the newer word; what was asked for before is not to wait for the day it is resumed
            tracked.request = None
            tracked.end_pairing()
        self._reconciler.wake()
        try:
            await self._reconciler.executor.in_turn(name, lambda: vault.update(name, parked=parked))
        except OSError as error:
            raise ControlError(
                f"{name} is {'parked' if parked else 'resumed'}, but only until the daemon ends",
                why=f"it could not be noted: {error.strerror or type(error).__name__}",
                hint=f"mend the disk, then `wakit {'park' if parked else 'resume'} {name}` again",
            ) from error
        return tracked
