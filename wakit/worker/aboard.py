"""Who is aboard a worker: the clients that were made, and the locks that are held for them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from wakit.worker.custody import Custody


class Client(Protocol):
    """One session in the library. Its calls block, some for ever."""

    def run(self) -> None:
        """Connect and stay connected; returns with the client's end."""

    def disconnect(self) -> None:
        """Close the connection for good."""

    def logout(self) -> str:
        """Unlink the device at WhatsApp; return "" or why it failed, scrubbed."""

    def ask(self) -> str:
        """Ask WhatsApp something small; return "" if it answered, else why not, scrubbed."""


@dataclass(frozen=True, slots=True)
class Aboard:
    """Those of one worker, by session.

    Attributes:
        clients: Made, and started or about to be.
        custody: The locks; one that is collected is released.
        started: Set once every client was started, which writes what other calls into the library read.
    """

    clients: dict[str, Client] = field(default_factory=dict)
    custody: dict[str, Custody] = field(default_factory=dict)
    started: asyncio.Event = field(default_factory=asyncio.Event)
