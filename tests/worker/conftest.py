"""Workers for tests: a host that collects what is reported, and one loopback WhatsApp a test process."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from crew import Crew

from wakit.core.declaration import Endpoint
from wakit.sim.client import SimClient
from wakit.sim.endpoint import SimEndpoint, sim_process


@pytest.fixture(scope="session")
def sim_endpoint() -> Iterator[SimEndpoint]:
    """One loopback WhatsApp for the whole run of this test process; tests are kept apart by their numbers."""
    folder = Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    try:
        with sim_process(folder) as sim:
            yield sim.endpoint()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
async def sim(sim_endpoint: SimEndpoint) -> AsyncIterator[SimClient]:
    async with SimClient(sim_endpoint.admin) as client:
        yield client


@pytest.fixture
def endpoint(sim_endpoint: SimEndpoint) -> Endpoint:
    return Endpoint(sim_endpoint.proxy, str(sim_endpoint.ca_file), sim_endpoint.noise_root_key)


@pytest.fixture
async def crew(tmp_path: Path, endpoint: Endpoint) -> AsyncIterator[Crew]:
    crew = Crew(tmp_path, endpoint)
    yield crew
    await crew.host.close()
