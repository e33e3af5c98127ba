from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness import Fleet, endpoint_table, fleet_in
from support.whatsapp import LoopbackWhatsApp, whatsapp  # noqa: F401 - a fixture


@pytest.fixture
def fleet(whatsapp: LoopbackWhatsApp) -> Iterator[Fleet]:  # noqa: F811
    """A fleet whose declaration points to a loopback server that the daemon knows nothing of."""
    with fleet_in(head=endpoint_table(whatsapp)) as made:
        yield made
