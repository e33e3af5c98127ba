"""The typed client of the control API: :class:`Client` for asyncio, :class:`SyncClient` for everything else.

Both are named by a state directory, find the daemon's socket anew for every call, and hold nothing in between; so they
survive a restart of the daemon, and there is nothing to close. What the daemon refuses is raised here as the same
:class:`~wakit.errors.WakitError` it was there; no daemon is a :class:`~wakit.errors.NoDaemonError` with the next step.

A live stream comes in two strengths: ``live()`` is one connection and ends with an error when it breaks; ``watch()``
goes on for ever, yields a :class:`~wakit.control.schemas.Disconnected` when the daemon goes and a ``Hello`` when it is
back, and asks for the journal's events it missed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from wakit.control import calls, streams
from wakit.control.blocking import SyncClient
from wakit.control.calls import Call, QrImage
from wakit.control.finding import backoff, find_socket, no_daemon, too_slow
from wakit.control.schemas import (
    BackupList,
    BackupTaken,
    DaemonInfo,
    Disconnected,
    JournalInfo,
    LiveFrame,
    PairingShown,
    PingInfo,
    PlanInfo,
    Readiness,
    SessionInfo,
    StatusInfo,
)
from wakit.control.wire import CHUNK, Exchange
from wakit.errors import NoDaemonError
from wakit.redact import PhoneNumber

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Client", "SyncClient"]

T = TypeVar("T")


class Client:
    """The daemon of a state directory, for asyncio.

    Args:
        state_dir: The state directory whose daemon is meant.
        socket: The control socket, if it is known; else it is looked up for every call.

    Every method raises ``NoDaemonError`` when nobody serves, ``UnknownSessionError`` for a name the daemon does not
    know, and ``ControlError`` when the daemon does not answer in time or refuses.

    Example:
        ``client = Client(Path(".wakit")); (await client.status()).sessions[0].state``
    """

    def __init__(self, state_dir: Path, *, socket: Path | None = None) -> None:
        self.state_dir = state_dir.absolute()
        self._socket = socket

    async def status(self) -> StatusInfo:
        """Return the daemon and every session."""
        return await self._answer(calls.status())

    async def session(self, name: str) -> SessionInfo:
        """Return one session."""
        return await self._answer(calls.session(name))

    @overload
    async def qr(self, name: str, format: Literal["json"] = "json") -> PairingShown: ...

    @overload
    async def qr(self, name: str, format: QrImage) -> bytes: ...

    async def qr(self, name: str, format: Literal["json", "svg", "png"] = "json") -> PairingShown | bytes:  # noqa: A002
        """Return what is to be scanned or typed now: as a record, or drawn as an SVG or PNG file's bytes.

        Raises:
            ControlError: Nothing is to be scanned now.
        """
        if format == "json":
            return await self._answer(calls.qr(name))
        return await self._answer(calls.qr_image(name, format))

    async def plan(self) -> PlanInfo:
        """Return what the loop would do now."""
        return await self._answer(calls.plan())

    async def plan_of(self, path: str, text: str, dotenv: str | None = None) -> PlanInfo:
        r"""Return what the loop would do if the daemon followed another file; nothing is done.

        Args:
            path: The file's absolute path, for errors and for relative paths in it.
            text: What is in it.
            dotenv: What is in the ``.env`` beside it, if there is one.

        Raises:
            DeclarationError: It is no declaration.

        Example:
            >>> await client.plan_of("/srv/draft.toml", "[sessions.sales]\n")  # doctest: +SKIP
        """
        return await self._answer(calls.plan_of(path, text, dotenv))

    async def apply(self, *, confirm: bool = False) -> PlanInfo:
        """Run the loop once now, held retirements included if ``confirm``; return what was carried out."""
        return await self._answer(calls.apply(confirm=confirm))

    async def pair(
        self, name: str, *, method: Literal["qr", "code"] | None = None, phone: str | PhoneNumber | None = None
    ) -> SessionInfo:
        """Begin to pair a session because a person asks; ``method`` and ``phone`` override the file for this once."""
        return await self._answer(calls.pair(name, method, phone))

    async def restart(self, name: str, *, take_over: bool = False) -> SessionInfo:
        """Replace the session's client; ``take_over``: its credential goes on here, though it was used elsewhere."""
        return await self._answer(calls.restart(name, take_over=take_over))

    async def park(self, name: str) -> SessionInfo:
        """Stop the session's client until ``resume``."""
        return await self._answer(calls.order(name, "park"))

    async def resume(self, name: str) -> SessionInfo:
        """Undo ``park``."""
        return await self._answer(calls.order(name, "resume"))

    async def ping(self, name: str) -> PingInfo:
        """Have a session ask WhatsApp something now, and say whether it was answered."""
        return await self._answer(calls.ping(name))

    async def backups(self, name: str) -> BackupList:
        """Return the backups of a session's credential, newest first."""
        return await self._answer(calls.backups(name))

    async def backup(self, name: str) -> BackupTaken:
        """Back a session's credential up now, also while it is in use."""
        return await self._answer(calls.backup(name))

    async def restore(self, name: str, backup: str | None = None) -> SessionInfo:
        """Put a backup (the newest good one if none is named) in the place of the credential in use.

        Raises:
            ControlError: There is no such backup, or none that is good.
        """
        return await self._answer(calls.restore(name, backup))

    async def logs(self, name: str, lines: int = 200) -> list[str]:
        """Return the last lines of the session's log, one JSON object each, oldest first."""
        return await self._answer(calls.logs(name, lines))

    async def sql(
        self,
        query: str,
        params: Sequence[Any] | None = None,
        *,
        timeout: float = 30.0,  # noqa: ASYNC109 - the daemon cuts the query off, not this client
        max_rows: int = 1_000_000,
    ) -> pa.Table:
        """Run one read-only SELECT on the journal.

        Args:
            query: SQL with ``?`` for parameters.
            params: Their values.
            timeout: Seconds after which the daemon cuts the query off, at most 300.
            max_rows: The most rows to return.

        Raises:
            QueryError: The query is wrong, refused, or was cut off.
        """
        return await self._answer(calls.sql(query, params, timeout, max_rows))

    async def journal(self, since: int = 0) -> JournalInfo:
        """Return what of the journal is durable: the newest numbers, and the events after the number ``since``.

        It costs the daemon no query. The events are None if they are more than it has in memory: ask for them by SQL.
        """
        return await self._answer(calls.journal(since))

    async def ready(self) -> Readiness:
        """Say whether the daemon does its work, and if not, why."""
        return await self._answer(calls.ready())

    async def replace(self) -> DaemonInfo:
        """Begin to replace the workers of another release than the installed one; return the daemon as it is then."""
        return await self._answer(calls.replace())

    async def shutdown(self) -> DaemonInfo:
        """Begin the daemon's clean end; return who ends. Its process is gone some moments later."""
        return await self._answer(calls.shutdown())

    async def live(self, pairing: str | None = None, since: int | None = None) -> AsyncGenerator[LiveFrame, None]:
        """Stream what happens: a ``Hello`` with everything as it is, then every change.

        Args:
            pairing: Also the QRs and codes of this session.
            since: Also the journal's events after this ``seq`` before the new ones.

        Raises:
            NoDaemonError: The daemon went away; also when it ended in order.

        Example:
            ``async with aclosing(client.live()) as frames: async for frame in frames: …`` closes the connection at
            once when the loop is left.
        """
        path = self._find()
        try:
            async with aclosing(streams.frames(path, calls.live_uri(pairing, since))) as frames:
                async for frame in frames:
                    yield frame
        except OSError as error:
            raise no_daemon(self.state_dir) from error

    async def watch(
        self,
        pairing: str | None = None,
        since: int | None = None,
        *,
        pause: Callable[[float], Any] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> AsyncGenerator[LiveFrame | Disconnected, None]:
        """Stream like :meth:`live`, but outlive the daemon: no event of the journal is missed in between.

        Args:
            pairing: Also the QRs and codes of this session.
            since: Also the journal's events after this ``seq``.
            pause: Waits between two tries, given seconds.
            chance: A number in [0, 1) for the length of a pause.

        Raises:
            ControlError: The daemon serves, and refuses the stream (for an unknown session, for one).
        """
        attempt = 0
        while True:
            try:
                async with aclosing(self.live(pairing, since)) as frames:
                    async for frame in frames:
                        attempt = 0
                        since = streams.newest(frame, since)
                        yield frame
            except NoDaemonError as error:
                attempt += 1
                seconds = backoff(attempt, chance=chance())
                yield Disconnected(reason=str(error), retry_in=seconds)
                await pause(seconds)

    def _find(self) -> Path:
        return self._socket or find_socket(self.state_dir)

    async def _answer(self, call: Call[T]) -> T:
        exchange = Exchange(call)
        try:
            async with asyncio.timeout(call.seconds):
                reader, writer = await asyncio.open_unix_connection(self._find())
                try:
                    writer.write(exchange.request())
                    while not exchange.done:
                        exchange.feed(await reader.read(CHUNK))
                finally:
                    # Not close(): it would wait for a daemon that hangs to take the rest of the request.
                    writer.transport.abort()
                    with suppress(OSError):
                        await writer.wait_closed()
        except TimeoutError as error:
            raise too_slow(call) from error
        except OSError as error:
            raise no_daemon(self.state_dir) from error
        return call.read(exchange.result())
