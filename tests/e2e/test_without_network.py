"""No ``--sim``, no endpoint, no internet: what people see, and that nothing spins.

The daemon runs in a network namespace of its own that has loopback and nothing else, so no packet can leave.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
from harness import Fleet, fleet_in, gone

# Brings loopback up in a new namespace (SIOCSIFFLAGS of netdevice(7)), then becomes the command.
_ALONE = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))
os.execv(sys.argv[1], sys.argv[1:])
"""
_UNSHARE = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]


@pytest.fixture
def alone() -> Iterator[Fleet]:
    possible = (
        shutil.which("unshare") and not subprocess.run([*_UNSHARE, "true"], check=False, capture_output=True).returncode
    )
    if not possible:
        if os.environ.get("CI"):
            pytest.fail("CI must be able to make a network namespace")
        pytest.skip("this machine lets nobody make a network namespace")
    with fleet_in() as fleet:
        fleet.wrap = [*_UNSHARE, sys.executable, "-c", _ALONE]
        yield fleet


@pytest.mark.long
def test_a_missing_network_is_told_in_words_and_waited_for(alone: Fleet) -> None:
    alone.write('[sessions.support]\n[sessions.sales]\nphone = "+34600000001"\npairing = "code"\n')
    alone.up()
    status = alone.wait(
        lambda status: all(
            s.state == "reconnecting" and "the network is lost since" in s.reason for s in status.sessions
        )
    )
    for session in status.sessions:
        assert "name look-up of web.whatsapp.com failed" in session.reason
        assert (session.status, session.attempt) == ("disconnected", 0)
    assert status.daemon.outage is not None
    assert status.daemon.outage.trouble == "network"

    # One session at a time finds out whether it is over, with pauses of two seconds and more between them.
    seq = 0
    for _ in range(4):
        seq = alone.wait_event(lambda event: event.kind == "dial_failed", since=seq).seq
    pauses = alone.sql(
        "SELECT epoch(ts - lag(ts) OVER (ORDER BY seq)) AS pause FROM events WHERE kind = 'dial_failed' AND seq > "
        "(SELECT seq FROM events WHERE kind = 'outage')"
    )
    assert all(row["pause"] is None or row["pause"] >= 2.0 for row in pauses[1:])
    assert len(alone.sql("SELECT seq FROM events WHERE kind = 'outage'")) == 1

    workers = [psutil.Process(pid) for s in alone.status().sessions if (pid := s.worker_pid)]
    assert alone.end(by=signal.SIGINT) in (0, 130)
    assert gone(workers, timeout=0.5)
    assert b"Traceback" not in (alone.folder / "up.out").read_bytes()
