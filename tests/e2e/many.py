"""A large fleet that is linked already, without a worker for each."""

from __future__ import annotations

from harness import Fleet
from support.linking import link_fleet
from support.whatsapp import LoopbackWhatsApp, fresh_number


def link_all(fleet: Fleet, whatsapp: LoopbackWhatsApp, names: list[str]) -> dict[str, str]:
    """Link every session with a phone of its own; no daemon runs meanwhile. Returns the numbers."""
    numbers = {name: fresh_number() for name in names}
    link_fleet(whatsapp.endpoint, fleet.state, numbers)
    return numbers
