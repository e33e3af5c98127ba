"""Which fleet a command means: the one small place where the command line meets the runtime.

Nothing is looked up before it is needed, because a command that only prints help or talks to a running daemon should
not wait for the file to be read.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wakit.runtime import Place, locate

if TYPE_CHECKING:
    from wakit.control.blocking import SyncClient
    from wakit.control.client import Client
    from wakit.control.schemas import PlanInfo


class Fleet:
    """The fleet of a ``sessions.toml``.

    Args:
        config: The file, or None for the nearest one.
        sim: The simulated fleet (True), the real one (False), or whichever daemon runs (None).
        phones_by_hand: A daemon that is started leaves the simulated phones to whoever operates them.
    """

    def __init__(self, config: Path | None, *, sim: bool | None, phones_by_hand: bool = False) -> None:
        self._config = config
        self._sim = sim
        self._phones_by_hand = phones_by_hand

    @cached_property
    def place(self) -> Place:
        """Where it is; DeclarationError if there is no such file."""
        return replace(locate(self._config, sim=self._sim), phones_by_hand=self._phones_by_hand)

    @property
    def client(self) -> SyncClient:
        """The daemon, blocking."""
        from wakit.control.blocking import SyncClient  # noqa: PLC0415 - whoever becomes the daemon asks none

        return SyncClient(self.place.state_dir)

    def client_within(self, seconds: float) -> SyncClient:
        """Return the daemon, blocking, for who waits for no answer longer than so many seconds."""
        from wakit.control.blocking import SyncClient  # noqa: PLC0415 - as above

        return SyncClient(self.place.state_dir, longest=seconds)

    @property
    def live_client(self) -> Client:
        """The daemon, for asyncio."""
        from wakit.control.client import Client  # noqa: PLC0415 - asyncio, only where it is needed

        return Client(self.place.state_dir)

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.place.state_dir / "journal.duckdb"

    @property
    def logs(self) -> Path:
        """The folder of the logs."""
        return self.place.state_dir / "logs"

    def plan_offline(self) -> PlanInfo:
        """Return the plan that a daemon would begin with."""
        from wakit.runtime import plan_offline  # noqa: PLC0415 - the planner and the vault, only where they are needed

        return plan_offline(self.place)
