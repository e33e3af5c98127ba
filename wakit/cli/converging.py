"""Waiting until the world is as the file says, and saying what keeps it from being so."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import ExitStack, aclosing, suppress
from typing import Final

from rich.console import RenderableType
from rich.live import Live

from wakit.cli import progress, render
from wakit.cli.fleet import Fleet
from wakit.cli.orders import print_json
from wakit.control.client import Client
from wakit.control.schemas import DaemonChanged, DaemonInfo, Hello, SessionChanged, SessionGone, SessionInfo, StatusInfo
from wakit.errors import NotConvergedError

_ASK_AGAIN: Final = 0.5  # seconds


class Board:
    """The daemon and its sessions as a live stream tells them."""

    def __init__(self) -> None:
        self.daemon: DaemonInfo | None = None
        self.sessions: dict[str, SessionInfo] = {}
        self.lines: progress.Lines | None = None  # says on the way how far it has come

    def take(self, frame: object) -> None:
        """Note what a frame says; frames about other things are ignored."""
        self._take(frame)
        if self.lines is None:
            return
        match frame:
            case Hello():
                for session in frame.sessions:
                    self.lines.take(session)
            case SessionChanged():
                self.lines.take(frame.session)
            case SessionGone():
                self.lines.forget(frame.name)
        self.lines.tell()

    def _take(self, frame: object) -> None:
        match frame:
            case Hello():
                self.daemon = frame.daemon
                self.sessions = {session.name: session for session in frame.sessions}
            case DaemonChanged():
                self.daemon = frame.daemon
            case SessionChanged():
                self.sessions[frame.session.name] = frame.session
            case SessionGone():
                self.sessions.pop(frame.name, None)

    @property
    def status(self) -> StatusInfo | None:
        """The same as ``wakit status`` would say; None before the first Hello."""
        if self.daemon is None:
            return None
        return StatusInfo(daemon=self.daemon, sessions=list(self.sessions.values()))

    @property
    def converged(self) -> bool:
        """True when there is nothing to do and every enabled session is connected."""
        return self.daemon is not None and self.daemon.converged and not self.missing()

    def missing(self) -> list[SessionInfo]:
        """Return the sessions that should be connected and are not. A parked one should not."""
        return [s for s in self.sessions.values() if s.enabled and s.state not in ("connected", "parked")]

    def reasons(self) -> str:
        """Say what is not as it should be."""
        told = [_reason(session) for session in self.missing()]
        if self.daemon is not None and self.daemon.declaration.error:
            told.append(f"the file is not in force ({self.daemon.declaration.error})")
        return "; ".join(told) or "the daemon still works on it"


def wait(fleet: Fleet, *, seconds: float, as_json: bool) -> None:
    """Wait until converged and print the table, or the JSON of ``wakit status``.

    Raises:
        NotConvergedError: Not within ``seconds``; the table is printed all the same.
    """
    board = Board()
    try:
        with ExitStack() as stack:
            if sys.stdout.isatty() and not as_json:
                _drawing(stack, board)
            elif not as_json:
                board.lines = progress.Lines(_on_stderr, time.monotonic)
            asyncio.run(until_converged(fleet.live_client, board, seconds=seconds))
    finally:
        told = board.status
        if told is not None and not as_json:
            render.show(render.status(told, unicode=render.speaks_unicode()))
    if as_json and told is not None:
        print_json(told.model_dump_json())


async def until_converged(client: Client, board: Board, *, seconds: float) -> None:
    """Follow the live stream into ``board`` until it has converged.

    Raises:
        NotConvergedError: Not within ``seconds``.
        NoDaemonError: The daemon went away.
    """
    changed = asyncio.Event()

    async def follow() -> None:
        async with aclosing(client.live()) as frames:
            async for frame in frames:
                board.take(frame)
                changed.set()

    following = asyncio.create_task(follow())
    following.add_done_callback(lambda _: changed.set())
    try:
        async with asyncio.timeout(seconds):
            await _until(client, board, changed, following)
    except TimeoutError:
        raise NotConvergedError(
            f"Not every enabled session is connected after {seconds:g} s",
            why=board.reasons(),
            hint="the daemon goes on; see `wakit status`, or wait longer with --timeout",
        ) from None
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _until(client: Client, board: Board, changed: asyncio.Event, following: asyncio.Task[None]) -> None:
    while not board.converged:
        if following.done():
            following.result()  # the stream only ends with an error
        if board.daemon is not None and not board.missing():
            # Every session is where it should be, and the daemon's own word on it is all that is still missing: ask.
            board.daemon = (await client.status()).daemon
            if board.daemon.converged:
                continue
        with suppress(TimeoutError):
            async with asyncio.timeout(_ASK_AGAIN):
                await changed.wait()
        changed.clear()


def _on_stderr(line: str) -> None:
    with suppress(OSError):  # it is told on the way; the result is on stdout
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _drawing(stack: ExitStack, board: Board) -> None:
    unicode = render.speaks_unicode()
    console = render.console()

    def drawn() -> RenderableType:
        told = board.status
        return render.fitting(told, console, unicode=unicode) if told is not None else ""

    # rich draws in a thread of its own, whatever happens meanwhile: a change costs nothing.
    stack.enter_context(Live(console=console, get_renderable=drawn, transient=True, refresh_per_second=4))


def _reason(session: SessionInfo) -> str:
    told = f"{session.name} is {session.state}"
    if session.state == "pairing":
        how = "a person to scan its QR" if session.pairing == "qr" else "a person to type its code"
        return f"{told} (it waits for {how}: `wakit pair {session.name}`)"
    why = session.held or session.reason
    return f"{told} ({why})" if why else told
