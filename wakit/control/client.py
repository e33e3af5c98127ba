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
import socket as sockets
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from wakit.control import calls, streams
from wakit.control.address import check_socket_folder, read_record, socket_address
from wakit.control.calls import Call, QrImage
from wakit.control.schemas import (
    DaemonInfo,
    Disconnected,
    LiveFrame,
    PairingShown,
    PlanInfo,
    Readiness,
    SessionInfo,
    StatusInfo,
)
from wakit.control.wire import CHUNK, Exchange
from wakit.errors import ControlError, NoDaemonError
from wakit.redact import PhoneNumber

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
_LONGEST_PAUSE: Final = 2.0


def backoff(attempt: int, *, chance: float) -> float:
    """Return the pause in seconds before the ``attempt``-th try (from 1) to reach the daemon again.

    Doubles from 0.1 s and is capped at 2 s, because trying costs one ``connect`` on this machine; ``chance`` in [0, 1)
    spreads it over the upper half, so that many notebooks do not come back in the same moment.

    Example:
        >>> backoff(1, chance=0.0), backoff(50, chance=0.0)
        (0.05, 1.0)
    """
    longest = min(0.1 * 2.0 ** min(attempt - 1, 10), _LONGEST_PAUSE)
    return longest * (1 + chance) / 2


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

    async def apply(self, *, confirm: bool = False) -> PlanInfo:
        """Run the loop once now, held retirements included if ``confirm``; return what was carried out."""
        return await self._answer(calls.apply(confirm=confirm))

    async def pair(
        self, name: str, *, method: Literal["qr", "code"] | None = None, phone: str | PhoneNumber | None = None
    ) -> SessionInfo:
        """Begin to pair a session because a person asks; ``method`` and ``phone`` override the file for this once."""
        return await self._answer(calls.pair(name, method, phone))

    async def restart(self, name: str) -> SessionInfo:
        """Replace the session's client."""
        return await self._answer(calls.order(name, "restart"))

    async def park(self, name: str) -> SessionInfo:
        """Stop the session's client until ``resume``."""
        return await self._answer(calls.order(name, "park"))

    async def resume(self, name: str) -> SessionInfo:
        """Undo ``park``."""
        return await self._answer(calls.order(name, "resume"))

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

    async def ready(self) -> Readiness:
        """Say whether the daemon does its work, and if not, why."""
        return await self._answer(calls.ready())

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
            raise _too_slow(call) from error
        except OSError as error:
            raise no_daemon(self.state_dir) from error
        return call.read(exchange.result())


class SyncClient:
    """The daemon of a state directory, blocking; the same methods as :class:`Client`.

    It starts no event loop and needs none, so it works in a notebook whose kernel runs one. Safe to share between
    threads: a call holds nothing that another could see.

    Example:
        ``SyncClient(Path(".wakit")).status().daemon.pid``
    """

    def __init__(self, state_dir: Path, *, socket: Path | None = None) -> None:
        self.state_dir = state_dir.absolute()
        self._socket = socket

    def status(self) -> StatusInfo:
        """See :meth:`Client.status`."""
        return self._answer(calls.status())

    def session(self, name: str) -> SessionInfo:
        """See :meth:`Client.session`."""
        return self._answer(calls.session(name))

    @overload
    def qr(self, name: str, format: Literal["json"] = "json") -> PairingShown: ...

    @overload
    def qr(self, name: str, format: QrImage) -> bytes: ...

    def qr(self, name: str, format: Literal["json", "svg", "png"] = "json") -> PairingShown | bytes:  # noqa: A002
        """See :meth:`Client.qr`."""
        if format == "json":
            return self._answer(calls.qr(name))
        return self._answer(calls.qr_image(name, format))

    def plan(self) -> PlanInfo:
        """See :meth:`Client.plan`."""
        return self._answer(calls.plan())

    def apply(self, *, confirm: bool = False) -> PlanInfo:
        """See :meth:`Client.apply`."""
        return self._answer(calls.apply(confirm=confirm))

    def pair(
        self, name: str, *, method: Literal["qr", "code"] | None = None, phone: str | PhoneNumber | None = None
    ) -> SessionInfo:
        """See :meth:`Client.pair`."""
        return self._answer(calls.pair(name, method, phone))

    def restart(self, name: str) -> SessionInfo:
        """See :meth:`Client.restart`."""
        return self._answer(calls.order(name, "restart"))

    def park(self, name: str) -> SessionInfo:
        """See :meth:`Client.park`."""
        return self._answer(calls.order(name, "park"))

    def resume(self, name: str) -> SessionInfo:
        """See :meth:`Client.resume`."""
        return self._answer(calls.order(name, "resume"))

    def logs(self, name: str, lines: int = 200) -> list[str]:
        """See :meth:`Client.logs`."""
        return self._answer(calls.logs(name, lines))

    def sql(
        self, query: str, params: Sequence[Any] | None = None, *, timeout: float = 30.0, max_rows: int = 1_000_000
    ) -> pa.Table:
        """See :meth:`Client.sql`."""
        return self._answer(calls.sql(query, params, timeout, max_rows))

    def ready(self) -> Readiness:
        """See :meth:`Client.ready`."""
        return self._answer(calls.ready())

    def shutdown(self) -> DaemonInfo:
        """See :meth:`Client.shutdown`."""
        return self._answer(calls.shutdown())

    def live(self, pairing: str | None = None, since: int | None = None) -> Iterator[LiveFrame]:
        """See :meth:`Client.live`; close the iterator (or exhaust it) to close the connection."""
        try:
            yield from streams.blocking_frames(self._find(), calls.live_uri(pairing, since))
        except OSError as error:
            raise no_daemon(self.state_dir) from error

    def watch(
        self,
        pairing: str | None = None,
        since: int | None = None,
        *,
        pause: Callable[[float], Any] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> Iterator[LiveFrame | Disconnected]:
        """See :meth:`Client.watch`."""
        attempt = 0
        while True:
            try:
                for frame in self.live(pairing, since):
                    attempt = 0
                    since = streams.newest(frame, since)
                    yield frame
            except NoDaemonError as error:
                attempt += 1
                seconds = backoff(attempt, chance=chance())
                yield Disconnected(reason=str(error), retry_in=seconds)
                pause(seconds)

    def _find(self) -> Path:
        return self._socket or find_socket(self.state_dir)

    def _answer(self, call: Call[T]) -> T:
        exchange = Exchange(call)
        deadline = time.monotonic() + call.seconds
        try:
            with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as connection:
                connection.settimeout(call.seconds)
                connection.connect(str(self._find()))
                connection.sendall(exchange.request())
                while not exchange.done:
                    connection.settimeout(max(deadline - time.monotonic(), 0.001))
                    exchange.feed(connection.recv(CHUNK))
        except TimeoutError as error:
            raise _too_slow(call) from error
        except OSError as error:
            raise no_daemon(self.state_dir) from error
        return call.read(exchange.result())


def find_socket(state_dir: Path) -> Path:
    """Return where the daemon of a state directory listens, or would.

    Raises:
        NoDaemonError: The state directory, or the folder of the socket, does not exist.
        StateDirectoryError: The socket's folder is not ours: whoever listens there is not our daemon.
    """
    record = read_record(state_dir)
    path = Path(record.socket) if record is not None else socket_address(state_dir).path
    try:
        check_socket_folder(path.parent)
    except OSError as error:
        raise no_daemon(state_dir) from error
    return path


def no_daemon(state_dir: Path) -> NoDaemonError:
    """Say that nobody serves a state directory, as exactly as ``daemon.json`` allows."""
    record = read_record(state_dir)
    if record is None:
        why = f"nothing listens for {state_dir}"
    elif record.alive:
        why = f"process {record.pid} started at {record.started_at:%Y-%m-%d %H:%M:%S} UTC but does not listen"
    else:
        why = f"the last one for {state_dir} (pid {record.pid}) ended without a goodbye"
    return NoDaemonError("No daemon runs", why=why, hint="start one with `wakit up -d`")


def _too_slow(call: Call[Any]) -> ControlError:
    return ControlError(
        f"The daemon did not answer {call.method} {call.path.partition('?')[0]} in time",
        why=f"{call.seconds:.0f} s went by",
        hint="look at logs/_daemon.log in the state directory; `wakit down` ends it",
    )
