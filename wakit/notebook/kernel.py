"""Where in a notebook we are: is there a kernel, which loop runs its cells, which cell is it; and showing something."""

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


def running_cell() -> object:
    """Return which cell runs, as the number that stands beside it; None where there is no kernel."""
    return getattr(getattr(running_kernel(), "shell", None), "execution_count", None)


def show(text: str, html: str) -> None:
    """Show something under the running cell now; print the text where IPython is not."""
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        print(text)  # noqa: T201 - what display() does there, too
        return
    from IPython.display import display  # noqa: PLC0415 - loaded already

    display({"text/plain": text, "text/html": html}, raw=True)  # type: ignore[no-untyped-call]
