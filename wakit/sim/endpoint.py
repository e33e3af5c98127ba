"""Where a sim can be dialled, and a sim as a child process for as long as a block of code lasts.

:func:`running_sim` (asynchronous) and :func:`sim_process` (synchronous) start ``python -m wakit.sim``, wait for its one
line, and end it with the block. The child also ends by itself when its parent dies.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from wakit.errors import CredentialError, EndpointError, HeldError, StateDirectoryError, WakitError
from wakit.sim.client import SimClient, SimEndpoint, SyncSimClient
from wakit.sim.requests import NotReady, Ready

__all__ = ["SimEndpoint", "running_sim", "sim_process"]

_START_PATIENCE: Final = 60.0
_START_ERRORS: Final = (CredentialError, EndpointError, HeldError, StateDirectoryError)
_END_PATIENCE: Final = 5.0


@asynccontextmanager
async def running_sim(state: Path, *, port: int = 0, refs: int = 6) -> AsyncIterator[SimClient]:
    """Run a sim on ``state`` while the block lasts.

    Raises:
        HeldError: Another sim runs on it.
        EndpointError: It did not start; the reason is what it said.

    Example:
        >>> async def example() -> None:
        ...     async with running_sim(Path("/tmp/sim")) as sim:
        ...         print((await sim.endpoint()).proxy)
    """
    process = await asyncio.create_subprocess_exec(
        *_command(state, port, refs),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        process_group=0,  # Ctrl-C is for the parent, which ends the sim when it is done with it
    )
    assert process.stdin
    assert process.stdout
    try:
        try:
            async with asyncio.timeout(_START_PATIENCE):
                line = await process.stdout.readline()
        except TimeoutError:
            raise _too_slow() from None
        async with SimClient(_announced(line).admin) as client:
            yield client
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(_END_PATIENCE):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@contextmanager
def sim_process(state: Path, *, port: int = 0, refs: int = 6) -> Iterator[SyncSimClient]:
    """Run a sim on ``state`` while the block lasts; the synchronous twin of :func:`running_sim`.

    Raises:
        HeldError: Another sim runs on it.
        EndpointError: It did not start; the reason is what it said.
    """
    with subprocess.Popen(  # noqa: S603 - our own interpreter and module
        _command(state, port, refs),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    ) as process:
        assert process.stdout
        try:
            line = process.stdout.readline()
            yield SyncSimClient(_announced(line).admin)
        finally:
            process.terminate()
            try:
                process.wait(_END_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _command(state: Path, port: int, refs: int) -> list[str]:
    arguments = ["--state", str(state), "--port", str(port), "--refs", str(refs), "--json", "--die-with-parent"]
    return [sys.executable, "-m", "wakit.sim", *arguments]


def _announced(line: bytes) -> Ready:
    """Read the child's one line; raises what kept it from starting."""
    match _read_announcement(line):
        case Ready() as ready:
            return ready
        case NotReady(error=name, problem=problem):
            kind = next((each for each in _START_ERRORS if each.__name__ == name), WakitError)
            raise kind(problem.what, why=problem.why, hint=problem.hint)
        case None:
            raise EndpointError("The loopback WhatsApp did not start", why="its process ended without a word")


def _read_announcement(line: bytes) -> Ready | NotReady | None:
    return msgspec.json.decode(line, type=Ready | NotReady) if line else None


def _too_slow() -> EndpointError:
    return EndpointError(
        "The loopback WhatsApp did not start",
        why=f"it said nothing for {_START_PATIENCE:g} s",
        hint="try again when the machine is less busy",
    )
