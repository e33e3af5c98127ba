"""What the host can ask of a session that is aboard: let go, log out, ask WhatsApp, hold an account.

What calls into the library waits until every client is started, and runs on a thread of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

from wakit.errors import HeldError
from wakit.whatsapp.port import AccountHeld, AccountHold, ClientEnded, News
from wakit.worker.aboard import Aboard, Client
from wakit.worker.custody import LOCK_PATIENCE
from wakit.worker.messages import Done
from wakit.worker.relay import Relay

_T = TypeVar("_T")


class OnThread(Protocol):
    """Calls on a thread that may never come back."""

    def __call__(self, call: Callable[[], _T], /) -> Awaitable[_T]:
        """Return what the call returns, once it does."""


class Commands:
    """Carries out what one worker is asked.

    Args:
        aboard: Who is aboard.
        relay: Their way to WhatsApp.
        on_thread: Where calls into the library go.
        tell: Tells the host ``(session, event)``.
        answer: Answers the host.
    """

    def __init__(
        self,
        aboard: Aboard,
        relay: Relay,
        *,
        on_thread: OnThread,
        tell: Callable[[str, News], None],
        answer: Callable[[Done], None],
    ) -> None:
        self._aboard, self._relay = aboard, relay
        self._on_thread, self._tell, self._answer = on_thread, tell, answer
        self._asking: set[str] = set()
        self._leaving: dict[str, asyncio.Future[str]] = {}  # or have left: nobody comes aboard a second time

    async def let_go(self, request: int, session: str) -> None:
        """Let a session leave; who asks again while it is leaving waits for the same end."""
        await self._aboard.started.wait()
        if session not in self._leaving:
            self._leaving[session] = asyncio.ensure_future(self._leave(session))
        why = await self._leaving[session]
        self._answer(Done(request=request, ok=not why, why=why))

    async def log_out(self, request: int, session: str) -> None:
        """Unlink a session's device at WhatsApp."""
        await self._call(request, session, lambda client: client.logout())

    async def ask(self, request: int, session: str) -> None:
        """Ask once at a time: a question that is never answered keeps its thread for as long as the library likes."""
        if session in self._asking:
            self._answer(Done(request=request, ok=False, why="an earlier question is not answered yet"))
            return
        self._asking.add(session)
        try:
            await self._call(request, session, lambda client: client.ask())
        finally:
            self._asking.discard(session)

    async def hold_account(self, session: str, account: AccountHold) -> None:
        """Hold the account that a session was linked to just now; tells only if it cannot."""
        custody = self._aboard.custody.get(session)
        if custody is None:
            return  # it has left
        try:
            await asyncio.to_thread(custody.hold_account, account, patience=LOCK_PATIENCE)
        except HeldError as error:
            self._tell(session, AccountHeld(why=error.why))
        except OSError as error:
            self._tell(session, ClientEnded(why=f"the account's lock cannot be taken now: {error.strerror}"))
        if self._aboard.custody.get(session) is not custody:  # it left meanwhile
            custody.release()

    async def shut_down(self, grace: float) -> None:
        """Close every connection that can be closed in time; the end of the process closes the others."""
        if not self._aboard.started.is_set():
            return
        dialled = [client for name, client in self._aboard.clients.items() if self._relay.called(name).is_set()]
        closing = {asyncio.ensure_future(self._on_thread(client.disconnect)) for client in dialled}
        if closing:
            await asyncio.wait(closing, timeout=grace * 0.8)

    async def _leave(self, session: str) -> str:
        """Return "" once no dial of a session goes out, its client is off and its credential is free, else why.

        The order matters: once the lock is free, another worker may be using the credential.
        """
        self._relay.cut(session)
        client = self._aboard.clients.pop(session, None)
        if client is not None and (why := await self._library_says(client.disconnect)):
            return why  # it is gone for good, and nobody knows whether its client still uses the credential
        custody = self._aboard.custody.pop(session, None)
        if custody is not None:
            custody.release()
        return ""

    async def _call(self, request: int, session: str, action: Callable[[Client], str]) -> None:
        await self._aboard.started.wait()
        client = self._aboard.clients.get(session)
        if client is None:
            self._answer(Done(request=request, ok=False, why="it has no client here"))
            return
        why = await self._library_says(partial(action, client))
        self._answer(Done(request=request, ok=not why, why=why))

    async def _library_says(self, call: Callable[[], str | None]) -> str:
        """Return "" once the library has done what it is called for, else why it has not."""
        try:
            return await self._on_thread(call) or ""
        except Exception as error:  # noqa: BLE001 - the host is told, and the others aboard go on
            return f"the library failed ({type(error).__name__}); see the worker's log"
