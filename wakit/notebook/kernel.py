"""Where in a notebook we are: is there a kernel, and which loop does it run its cells on?"""

from __future__ import annotations

import asyncio
import sys
from typing import Any


def kernel_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop widgets may be written on, or None where no kernel runs (a script, a terminal).

    A cell runs on the kernel's loop, so inside one the running loop is it. From a thread the kernel is asked.
    """
    if (kernel := running_kernel()) is None:
        return None
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        loop = getattr(getattr(kernel, "io_loop", None), "asyncio_loop", None)
        return loop if isinstance(loop, asyncio.AbstractEventLoop) else None


def running_kernel() -> Any | None:
    """Return the kernel this code runs in, without importing IPython where it is not loaded anyway."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None)
