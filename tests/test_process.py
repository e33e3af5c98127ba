from __future__ import annotations

import doctest
import os
import select
import subprocess
import sys

from wakit import process
from wakit.process import birth

PARENT = """
import os, signal, time
from wakit.process import die_with
me = os.getpid()
if os.fork() == 0:
    told = die_with(me, signal.SIGKILL)
    print(os.getpid(), told, flush=True)
    time.sleep(60)
signal.pause()
"""


def test_the_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(process).failed == 0


def test_a_birth_names_one_process() -> None:
    ours = birth(os.getpid())
    assert ours is not None
    assert ours.boot_id
    assert ours.ticks > 0
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        theirs = birth(child.pid)
        assert theirs is not None
        assert theirs != ours
        assert theirs.boot_id == ours.boot_id
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert birth(child.pid) is None  # a zombie
    assert birth(child.pid) is None


def test_a_process_dies_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, told = parent.stdout.readline().split()
        assert told == "True"
        child = os.pidfd_open(int(pid))
        try:
            parent.kill()
            assert select.select([child], [], [], 20)[0], "it outlived its parent"
        finally:
            os.close(child)


def test_a_parent_that_has_gone_before_is_told() -> None:
    script = f"import signal; from wakit.process import die_with; print(die_with({os.getppid()}, signal.SIGTERM))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b"False\n"
