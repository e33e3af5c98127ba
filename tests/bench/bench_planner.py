"""The planner at fleet sizes nobody has yet, beside sorting as many names: ``python tests/bench planner``.

Target: under 100 ms at 10,000 sessions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from wakit.core.declaration import Declaration, FleetSpec, SessionSpec
from wakit.core.lifecycle import State
from wakit.core.observation import Credential, Observation, SessionObservation
from wakit.core.planner import plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def milliseconds(work: Callable[[], object], rounds: int = 9) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    return median(times)


def world(count: int) -> tuple[Declaration, Observation]:
    """A fleet in service, in which one session in a hundred wants something."""
    specs = {f"s{n:05d}": SessionSpec(f"s{n:05d}") for n in range(count)}
    seen = {
        name: SessionObservation(
            name,
            State.CONNECTED,
            Credential.PRESENT,
            account=f"account-{name}",
            running=None if n % 100 == 0 else spec.fingerprint(),
            next_try_at=NOW + timedelta(seconds=n) if n % 200 == 0 else None,
            paired_at=NOW,
        )
        for n, (name, spec) in enumerate(specs.items())
    }
    accounts = {name: f"account-{name}" for name in specs}
    return Declaration("/f", "sha", "", FleetSpec("/s"), specs), Observation(seen, declared_accounts=accounts)


def run() -> dict[str, Any]:
    """Return milliseconds for a plan, by fleet size."""
    results: dict[str, Any] = {}
    for count in (100, 1_000, 10_000):
        declaration, observation = world(count)
        planned = milliseconds(lambda d=declaration, o=observation: plan(d, o, NOW))  # type: ignore[misc]
        baseline = milliseconds(lambda d=declaration: sorted(d.sessions, reverse=True))  # type: ignore[misc]
        results[f"{count}_sessions"] = {"plan_ms": planned, "sorting_names_ms": baseline, "ratio": planned / baseline}
    return results
