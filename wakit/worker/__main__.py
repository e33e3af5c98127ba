"""``python -m wakit.worker CHANNEL PARENT``: what forks workers. Only :mod:`wakit.worker.forking` starts it."""

from __future__ import annotations

import sys

from wakit.worker import forkserver
from wakit.worker.child import work

forkserver.serve(int(sys.argv[1]), int(sys.argv[2]), work)
