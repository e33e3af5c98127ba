"""The blocking client: the same methods as :class:`wakit.control.client.Client`, without an event loop.

A module of its own, so that a command that asks one question does not load asyncio.
"""

from __future__ import annotations

import math
import random
import socket as sockets
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from wakit.control import calls, streams
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

T = TypeVar("T")


class SyncClient:
    """The daemon of a state directory, blocking; the same methods as :class:`Client`.

    It starts no event loop and needs none, so it works in a notebook whose kernel runs one. Safe to share between
    threads: a call holds nothing that another could see.

    Args:
        state_dir: The daemon's folder.
        socket: Its control socket, if it is known.
        longest: Seconds that any answer is waited for at most, if that is less than each question has by itself.

    Example:
        ``SyncClient(Path(".wakit")).status().daemon.pid``
    """

    def __init__(self, state_dir: Path, *, socket: Path | None = None, longest: float = math.inf) -> None:
        self.state_dir = state_dir.absolute()
        self._socket = socket
        self._longest = longest

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

    def plan_of(self, path: str, text: str, dotenv: str | None = None) -> PlanInfo:
        """See :meth:`Client.plan_of`."""
        return self._answer(calls.plan_of(path, text, dotenv))

    def apply(self, *, confirm: bool = False) -> PlanInfo:
        """See :meth:`Client.apply`."""
        return self._answer(calls.apply(confirm=confirm))

    def pair(
        self, name: str, *, method: Literal["qr", "code"] | None = None, phone: str | PhoneNumber | None = None
    ) -> SessionInfo:
        """See :meth:`Client.pair`."""
        return self._answer(calls.pair(name, method, phone))

    def restart(self, name: str, *, take_over: bool = False) -> SessionInfo:
        """See :meth:`Client.restart`."""
        return self._answer(calls.restart(name, take_over=take_over))

    def park(self, name: str) -> SessionInfo:
        """See :meth:`Client.park`."""
        return self._answer(calls.order(name, "park"))

    def resume(self, name: str) -> SessionInfo:
        """See :meth:`Client.resume`."""
        return self._answer(calls.order(name, "resume"))

    def ping(self, name: str) -> PingInfo:
        """See :meth:`Client.ping`."""
        return self._answer(calls.ping(name))

    def backups(self, name: str) -> BackupList:
        """See :meth:`Client.backups`."""
        return self._answer(calls.backups(name))

    def backup(self, name: str) -> BackupTaken:
        """See :meth:`Client.backup`."""
        return self._answer(calls.backup(name))

    def restore(self, name: str, backup: str | None = None) -> SessionInfo:
        """See :meth:`Client.restore`."""
        return self._answer(calls.restore(name, backup))

    def logs(self, name: str, lines: int = 200) -> list[str]:
        """See :meth:`Client.logs`."""
        return self._answer(calls.logs(name, lines))

    def sql(
        self, query: str, params: Sequence[Any] | None = None, *, timeout: float = 30.0, max_rows: int = 1_000_000
    ) -> pa.Table:
        """See :meth:`Client.sql`."""
        return self._answer(calls.sql(query, params, timeout, max_rows))

    def journal(self, since: int = 0) -> JournalInfo:
        """See :meth:`Client.journal`."""
        return self._answer(calls.journal(since))

    def ready(self) -> Readiness:
        """See :meth:`Client.ready`."""
        return self._answer(calls.ready())

    def replace(self) -> DaemonInfo:
        """See :meth:`Client.replace`."""
        return self._answer(calls.replace())

    def shutdown(self) -> DaemonInfo:
        """See :meth:`Client.shutdown`."""
        return self._answer(calls.shutdown())

    def live(self, pairing: str | None = None, since: int | None = None) -> Generator[LiveFrame, None, None]:
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
    ) -> Generator[LiveFrame | Disconnected, None, None]:
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
        call = replace(call, seconds=min(call.seconds, self._longest))
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
            raise too_slow(call) from error
        except OSError as error:
            raise no_daemon(self.state_dir) from error
        return call.read(exchange.result())
