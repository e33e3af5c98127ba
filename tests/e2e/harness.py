"""A whole fleet on this machine: the command line as a user has it, real workers, and a WhatsApp on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from support.whatsapp import LoopbackWhatsApp

from wakit.control.client import Client, SyncClient
from wakit.control.schemas import (
    DaemonChanged,
    EventInfo,
    EventLogged,
    Hello,
    LiveFrame,
    SessionChanged,
    SessionGone,
    StatusInfo,
)
from wakit.errors import WakitError
from wakit.runtime import locate

PATIENCE = 45.0
WAKIT = [sys.executable, "-m", "wakit"]


def endpoint_table(whatsapp: LoopbackWhatsApp) -> str:
    """The [endpoint] that points a declaration to a loopback server."""
    endpoint = whatsapp.endpoint
    return (
        f'[endpoint]\nproxy = "{endpoint.proxy}"\nca_file = "{endpoint.ca_file}"\n'
        f'noise_root_key = "{endpoint.noise_root_key}"\n[pacing]\ndials = "100/s"\npairings = 8\n'
    )


@dataclass
class Fleet:
    """One folder with a sessions.toml, and the daemon started on it."""

    folder: Path
    head: str = ""
    daemon: subprocess.Popen[bytes] | None = None
    environ: dict[str, str] = field(default_factory=dict)
    wrap: list[str] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.folder / "sessions.toml"

    @property
    def state(self) -> Path:
        return self.folder / ".wakit"

    def write(self, sessions: str) -> None:
        """Save the file as careful editors do: a new file, renamed into place."""
        new = self.config.with_suffix(".new")
        new.write_text(self.head + sessions, "utf-8")
        new.replace(self.config)

    def run(self, *arguments: str, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [*WAKIT, *arguments],
            check=False,
            cwd=self.folder,
            env=self._env(),
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def up(self, *arguments: str) -> None:
        """Start the daemon in the foreground of a process of its own, and wait until it serves."""
        self.start(*arguments)
        self.served()

    def start(self, *arguments: str) -> None:
        """Start the daemon in the foreground of a process of its own; nobody asks it anything yet."""
        with (self.folder / "up.out").open("ab") as output:
            self.daemon = subprocess.Popen(
                [*self.wrap, *WAKIT, "up", *arguments],
                cwd=self.folder,
                env=self._env(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def served(self) -> None:
        """Wait until the daemon that was started serves."""
        assert self.daemon is not None
        deadline = time.monotonic() + PATIENCE
        while not self._serves():
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self.folder / "up.out").read_text())
            # Nothing tells when another process has imported everything; its socket can only be tried.
            time.sleep(0.05)

    def _serves(self) -> bool:
        record = locate(self.config).daemon
        return record is not None and self.daemon is not None and record.pid == self.daemon.pid

    def client(self) -> SyncClient:
        """A client of the running daemon."""
        return SyncClient(locate(self.config).state_dir)

    def status(self) -> StatusInfo:
        return self.client().status()

    def states(self) -> dict[str, str]:
        return {session.name: session.state for session in self.status().sessions}

    def wait(self, holds: Callable[[StatusInfo], bool], *, timeout: float = PATIENCE) -> StatusInfo:
        """Wait, on the live stream, until the status is as wanted."""
        return asyncio.run(self._wait(holds, timeout))

    async def _wait(self, holds: Callable[[StatusInfo], bool], seconds: float) -> StatusInfo:
        found: StatusInfo | None = None
        try:
            client = Client(locate(self.config).state_dir)
            async with asyncio.timeout(seconds), aclosing(client.live()) as frames:
                async for frame in frames:
                    found = seen(found, frame)
                    # The stream tells each change once; the order of sessions and the daemon's last word need asking.
                    if holds(found) and holds(found := await client.status()):
                        return found
        except TimeoutError:
            pass
        raise AssertionError(f"not so within {seconds} s: {found and found.model_dump_json(indent=1)}")

    def wait_states(self, **wanted: str) -> StatusInfo:
        """Wait until the named sessions are in the named states."""
        return self.wait(lambda status: wanted.items() <= {s.name: s.state for s in status.sessions}.items())

    def wait_connected(self, *names: str) -> StatusInfo:
        return self.wait_states(**dict.fromkeys(names, "connected"))

    def wait_event(self, holds: Callable[[EventInfo], bool], *, since: int = 0, timeout: float = PATIENCE) -> EventInfo:
        """Wait for a journal event after the number ``since``."""
        return asyncio.run(self._wait_event(holds, since, timeout))

    async def _wait_event(self, holds: Callable[[EventInfo], bool], since: int, patience: float) -> EventInfo:
        client = Client(locate(self.config).state_dir)
        async with asyncio.timeout(patience):
            async with aclosing(client.live(since=since)) as frames:
                async for frame in frames:
                    if isinstance(frame, EventLogged) and holds(frame.event):
                        return frame.event
        raise AssertionError("the stream ended without the event")

    def seq(self) -> int:
        """The number of the newest event."""
        return int(self.sql("SELECT max(seq) AS seq FROM events")[0]["seq"])

    def sql(self, query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.client().sql(query).to_pylist()
        return rows

    def wait_for_ending(self) -> None:
        """Wait until the daemon has begun to end, or has ended."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                if self.status().daemon.ending is not None:
                    return
            except WakitError:
                return
            time.sleep(0.01)  # its end is told to whoever asks
        raise AssertionError("the daemon does not end")

    def workers(self) -> list[psutil.Process]:
        """The worker processes of this fleet, wherever they hang."""
        return [
            p for p in psutil.process_iter(["cmdline"]) if "wakit.worker" in (p.info["cmdline"] or []) and self._ours(p)
        ]

    def _ours(self, process: psutil.Process) -> bool:
        try:
            return any(str(self.folder) in file.path for file in process.open_files())
        except psutil.Error:
            return False

    def end(self, *, by: int = signal.SIGTERM) -> int:
        """End the daemon and wait for it."""
        if self.daemon is None:
            return 0
        if self.daemon.poll() is None:
            self.daemon.send_signal(by)
        code = self.daemon.wait(PATIENCE)
        self.daemon = None
        return code

    def _env(self) -> dict[str, str]:
        return {**os.environ, "NO_COLOR": "1", "COLUMNS": "160", **self.environ}


def seen(before: StatusInfo | None, frame: LiveFrame) -> StatusInfo:
    """What the stream has told so far."""
    if isinstance(frame, Hello):
        return StatusInfo(daemon=frame.daemon, sessions=frame.sessions)
    assert before is not None, "a stream begins with everything as it is"
    if isinstance(frame, DaemonChanged):
        return before.model_copy(update={"daemon": frame.daemon})
    sessions = {session.name: session for session in before.sessions}
    if isinstance(frame, SessionChanged):
        sessions[frame.session.name] = frame.session
    elif isinstance(frame, SessionGone):
        sessions.pop(frame.name, None)
    return before.model_copy(update={"sessions": list(sessions.values())})


def gone(processes: list[psutil.Process], *, timeout: float = 10.0) -> bool:
    """Wait until processes have ended; that init has not reaped an orphan yet (PID 1 may be slow) is not its life."""
    until = time.monotonic() + timeout
    while any(map(_lives, processes)):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)  # the end of a process that is not ours is told to nobody
    return True


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def fleet_in(folder: Path | None = None, *, head: str = "") -> Iterator[Fleet]:
    """A fleet in a short folder (sockets have 107 bytes), ended and removed afterwards."""
    made = folder or Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    fleet = Fleet(made, head)
    try:
        yield fleet
    finally:
        leftovers = fleet.workers()
        if fleet.daemon is not None:
            fleet.end()
        else:
            fleet.run("down")
        assert gone(leftovers), "a worker outlived its daemon"
        if folder is None:
            shutil.rmtree(made)


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]
