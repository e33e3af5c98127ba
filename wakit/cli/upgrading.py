"""``up`` where a daemon runs already: has it replace the workers that run another release than the installed one.

One worker after the other, and only when the one before is connected again; a release that does not hold stops it at
the first. The daemon itself goes on as what it was started from, which is said.
"""

from __future__ import annotations

import sys
import time
from typing import Final

from wakit import __version__
from wakit.cli.fleet import Fleet
from wakit.control.schemas import DaemonInfo, UpgradeInfo
from wakit.errors import ControlError

_ASK_AGAIN: Final = 0.5  # seconds
_OTHERS: Final = "the other workers run on as they were; see `wakit events`, then run `wakit up -d` again, or go back"


def replace(fleet: Fleet, *, quiet: bool) -> bool:
    """Have older workers replaced, and wait for it; False if no daemon runs, or there is nothing to say.

    Args:
        fleet: Whose daemon.
        quiet: Print no progress.

    Raises:
        ControlError: Not every worker could be replaced.
    """
    if not fleet.place.socket.exists():
        return False
    client = fleet.client
    try:
        before = client.status().daemon
    except ControlError:
        return False  # none runs, or it does not answer: whoever wants to start one is told
    if before.ending is not None:
        return False
    try:
        daemon = client.replace()
    except ControlError as error:
        if before.version == __version__:
            raise
        raise ControlError(
            "No worker is replaced",
            why=f"the daemon is of version {before.version}, which cannot",
            hint="run `wakit down`, then `wakit up -d`: every session is away for some seconds",
        ) from error
    told = total = 0
    while (upgrade := daemon.upgrade) is not None and upgrade.under_way and not _only_waits(upgrade):
        # One that has been replaced is neither done nor to go until it has proved itself.
        total = max(total, upgrade.replaced + upgrade.workers)
        told = _tell(upgrade, told, total, quiet=quiet)
        time.sleep(_ASK_AGAIN)  # progress of another process; nothing is missed in between
        daemon = client.status().daemon
    return _concluded(daemon, quiet=quiet)


def _only_waits(upgrade: UpgradeInfo) -> bool:
    return 0 < upgrade.workers <= len(upgrade.waiting)


def _tell(upgrade: UpgradeInfo, told: int, total: int, *, quiet: bool) -> int:
    if not quiet and (told == 0 or upgrade.replaced >= told):
        sys.stdout.write(f"Replacing workers by {upgrade.installed}: {upgrade.replaced} of {total}\n")
        sys.stdout.flush()
        return upgrade.replaced + 1
    return told


def _concluded(daemon: DaemonInfo, *, quiet: bool) -> bool:
    upgrade = daemon.upgrade
    if upgrade is None:
        return False
    if upgrade.problem:
        raise ControlError(f"Not every worker was replaced by {upgrade.installed}", why=upgrade.problem, hint=_OTHERS)
    if not quiet:
        if upgrade.waiting:
            sys.stdout.write(f"Replaced as soon as it is paired: {', '.join(upgrade.waiting)}\n")
        else:
            sys.stdout.write(f"Every worker runs {upgrade.installed}.\n")
        if upgrade.daemon:
            sys.stdout.write(
                f"The daemon itself (pid {daemon.pid}): {upgrade.daemon}; `wakit down`, then `wakit up -d` renews it.\n"
            )
    return True
