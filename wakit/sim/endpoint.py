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

from wakit.errors import EndpointError, Exit, HeldError, WakitError
from wakit.sim.client import SimClient, SimEndpoint, SyncSimClient
from wakit.sim.requests import Ready, from_line

__all__ = ["SimEndpoint", "running_sim", "sim_process"]

_START_PATIENCE: Final = 30.0
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
        stderr=asyncio.subprocess.PIPE,
        process_group=0,  # Ctrl-C is for the parent, which ends the sim when it is done with it
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    try:
        try:
            async with asyncio.timeout(_START_PATIENCE):
                line = await process.stdout.readline()
        except TimeoutError:
            raise _too_slow() from None
        if not line:
            said = await process.stderr.read()
            raise _not_started(await process.wait(), said)
        async with SimClient(from_line(line, Ready).admin) as client:
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
        stderr=subprocess.PIPE,
        process_group=0,
    ) as process:
        assert process.stdout
        assert process.stderr
        try:
            line = process.stdout.readline()
            if not line:
                said = process.stderr.read()
                raise _not_started(process.wait(), said)
            yield SyncSimClient(from_line(line, Ready).admin)
        finally:
            process.terminate()
            try:
                process.wait(_END_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _command(state: Path, port: int, refs: int) -> list[str]:
    arguments = ["--state", str(state), "--port", str(port), "--refs", str(refs), "--json", "--die-with-parent"]
    return [sys.executable, "-m", "wakit.sim", *arguments]


def _not_started(code: int, said: bytes) -> WakitError:
    lines = dict(line.partition(": ")[::2] for line in said.decode(errors="replace").splitlines() if ": " in line)
    kind = HeldError if code == Exit.HELD else EndpointError
    return kind(
        "The loopback WhatsApp did not start",
        why=lines.get("error", f"its process ended with code {code}"),
        hint=lines.get("hint", ""),
    )


def _too_slow() -> EndpointError:
    return EndpointError(
        "The loopback WhatsApp did not start",
        why=f"it said nothing for {_START_PATIENCE:g} s",
        hint="try again when the machine is less busy",
    )
