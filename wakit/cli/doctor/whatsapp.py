"""``doctor --ask``: is each session that says it is connected really answered by WhatsApp?"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from wakit.cli.doctor.check import Check
from wakit.cli.fleet import Fleet
from wakit.errors import NoDaemonError

_AT_ONCE = 8


def check_sessions(fleet: Fleet) -> Iterator[Check]:
    """Have every connected session ask WhatsApp; yield one check for all, and one for each that was not answered."""
    try:
        told = fleet.client.status().sessions
    except NoDaemonError:
        yield Check("sessions", "ok", "no daemon runs, so no session does")
        return
    connected = [session.name for session in told if session.state in ("connected", "degraded")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(fleet.client.ping, connected))
    alive = [answer for answer in answers if answer.alive]
    slowest = max((answer.seconds or 0.0 for answer in alive), default=0.0)
    said = f"WhatsApp answered {len(alive)} of {len(connected)} connected sessions"
    yield Check("sessions", "ok", f"{said}, the slowest in {slowest * 1000:.0f} ms" if alive else said)
    for answer in answers:
        if not answer.alive:
            hint = f"it is started anew by itself if it stays so; `wakit restart {answer.session}` does it now"
            yield Check("sessions", "fail", f"{answer.session}: {answer.why}", hint)
