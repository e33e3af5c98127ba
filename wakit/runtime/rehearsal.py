"""``wakit up --sim``: the same file, the same daemon, and a WhatsApp of our own on loopback.

The declaration is taken as it is, but for the endpoint and the state directory: real credentials and simulated ones
never share a folder. Virtual phones scan or type by themselves what their sessions show, unless they are told to be
operated by hand.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from wakit.core.declaration import Declaration, Endpoint, Pairing, SessionSpec
from wakit.errors import WakitError
from wakit.reconciler.roster import Roster
from wakit.redact import PhoneNumber, Secret
from wakit.sim.answers import SimEndpoint
from wakit.sim.client import SimClient

# +999 is kept unassigned by the ITU (E.164, list of country codes), so no simulated number can be anybody's.
_UNASSIGNED: Final = "+999"


def rehearsed(declaration: Declaration, endpoint: SimEndpoint, state_dir: Path) -> Declaration:
    """Return the declaration as it is rehearsed: against the simulator, in its own state directory."""
    fleet = replace(
        declaration.fleet,
        state_dir=str(state_dir),
        endpoint=Endpoint(endpoint.proxy, str(endpoint.ca_file), endpoint.noise_root_key),
    )
    # An upstream proxy leads away from this machine; a rehearsal stays on it.
    sessions = {name: replace(spec, proxy=None) for name, spec in declaration.sessions.items()}
    return replace(declaration, fleet=fleet, sessions=sessions)


def number_of(spec: SessionSpec) -> PhoneNumber:
    """Return a session's simulated number: the declared one, or one that follows from its name.

    Example:
        >>> str(number_of(SessionSpec("support")))[:4]
        '+99•'
    """
    if spec.phone is not None:
        return spec.phone
    digits = int.from_bytes(sha256(spec.name.encode()).digest()[:6], "big") % 10**9
    return PhoneNumber(f"{_UNASSIGNED}{digits:09d}")


class Phones:
    """The people of a rehearsal: each looks at its session's screen and does what a person would do.

    Args:
        roster: The sessions.
        sim: Commands the simulator.
    """

    def __init__(self, roster: Roster, sim: SimClient) -> None:
        self._roster = roster
        self._sim = sim
        self._used: set[Secret] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def look(self, name: str) -> None:
        """Look at a session; use the code it shows, once."""
        tracked = self._roster.sessions.get(name)
        shown = tracked.shown if tracked else None
        if tracked is None or shown is None or tracked.spec is None or shown.text in self._used:
            return
        self._used.add(shown.text)
        task = asyncio.create_task(self._use(tracked.phone or number_of(tracked.spec), shown.kind, shown.text))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Put the phones down."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _use(self, number: PhoneNumber, kind: Pairing, text: Secret) -> None:
        try:
            if kind is Pairing.QR:
                await self._sim.scan(number, text.reveal())
            else:
                await self._sim.type_code(number, text.reveal())
        except WakitError as error:
            self._roster.log("warning", reason=f"a virtual phone could not link: {error}")
