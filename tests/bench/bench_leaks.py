"""Whether anything grows: ``python tests/bench leaks``.

Edits put into force, workers killed, connections dropped, each thousands of times on a real daemon with real clients
(:mod:`leaking`). ``--full`` does 10,000 edits, 10,000 with new names, 1,000 crashes and 10,000 reconnects, which takes
ten minutes on two cores; without it a tenth to a fifth of each, in two minutes.
"""

from __future__ import annotations

from typing import Any

from leaking import crashes, edits, reconnects
from paired import paired


def run(*, full: bool = False) -> dict[str, Any]:
    """Return figures before and after, slopes in a thousand times, and what grows."""
    found: dict[str, Any] = {}
    with paired(2) as linked:
        found["edits"] = edits(linked, 10_000 if full else 2_000)
    with paired(2) as linked:
        found["edits_with_new_names"] = edits(linked, 10_000 if full else 1_000, fresh_names=True)
    with paired(8) as linked:
        found["crashes"] = crashes(linked, 1_000 if full else 200)
    with paired(32) as linked:
        found["reconnects"] = reconnects(linked, 10_000 if full else 2_048)
    return found
