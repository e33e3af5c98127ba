"""Finding the daemon of a state directory, and the words for not finding it; shared by both clients.

What is looked up here is only *where* to ask. Whether anybody answers is known by connecting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from wakit.control.address import check_socket_folder, read_record, socket_address
from wakit.control.calls import Call
from wakit.errors import ControlError, NoDaemonError

_LONGEST_PAUSE: Final = 2.0


def backoff(attempt: int, *, chance: float) -> float:
    """Return the pause in seconds before the ``attempt``-th try (from 1) to reach the daemon again.

    Doubles from 0.1 s and is capped at 2 s, because trying costs one ``connect`` on this machine; ``chance`` in [0, 1)
    spreads it over the upper half, so that many notebooks do not come back in the same moment.

    Example:
        >>> backoff(1, chance=0.0), backoff(50, chance=0.0)
        (0.05, 1.0)
    """
    longest = min(0.1 * 2.0 ** min(attempt - 1, 10), _LONGEST_PAUSE)
    return longest * (1 + chance) / 2


def find_socket(state_dir: Path) -> Path:
    """Return where the daemon of a state directory listens, or would.

    Raises:
        NoDaemonError: The state directory, or the folder of the socket, does not exist.
        StateDirectoryError: The socket's folder is not ours: whoever listens there is not our daemon.
    """
    record = read_record(state_dir)
    path = Path(record.socket) if record is not None else socket_address(state_dir).path
    try:
        check_socket_folder(path.parent)
    except OSError as error:
        raise no_daemon(state_dir) from error
    return path


def no_daemon(state_dir: Path) -> NoDaemonError:
    """Say that nobody serves a state directory, as exactly as ``daemon.json`` allows."""
    record = read_record(state_dir)
    if record is None:
        why = f"nothing listens for {state_dir}"
    elif record.alive:
        why = f"process {record.pid} started at {record.started_at:%Y-%m-%d %H:%M:%S} UTC but does not listen"
    else:
        why = f"the last one for {state_dir} (pid {record.pid}) ended without a goodbye"
    return NoDaemonError("No daemon runs", why=why, hint="start one with `wakit up -d`")


def too_slow(call: Call[Any]) -> ControlError:
    """Say that the daemon listens and did not answer in time."""
    return ControlError(
        f"The daemon did not answer {call.method} {call.path.partition('?')[0]} in time",
        why=f"{call.seconds:.0f} s went by",
        hint="look at logs/_daemon.log in the state directory; `wakit down` ends it",
    )
