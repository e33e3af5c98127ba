"""``python -m wakit.worker CHANNEL PARENT``: what forks workers. Only :mod:`wakit.worker.forking` starts it."""

# ruff: noqa: E402 - the collector waits until all is loaded: there is no garbage in it
from __future__ import annotations

import gc

gc.disable()

import sys

from wakit.worker import forkserver
from wakit.worker.child import work

forkserver.serve(int(sys.argv[1]), int(sys.argv[2]), work)
