"""Waiting for a process to end that is not our child, without asking again and again."""

from __future__ import annotations

import os
import select

from wakit.errors import NotConvergedError


def wait_for_end(pid: int, seconds: float) -> None:
    """Return once the process is gone. A pidfd becomes readable when its process ends (pidfd_open(2), Linux 5.3).

    Raises:
        NotConvergedError: It is not within ``seconds``.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(seconds * 1000):
            raise NotConvergedError(
                f"The daemon (pid {pid}) has not ended",
                why=f"{seconds:g} s went by",
                hint="`wakit down` waits longer",
            )
    finally:
        os.close(descriptor)
