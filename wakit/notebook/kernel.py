"""Where in a notebook we are: is there a kernel, which loop runs its cells, which cell is it; and showing something.

Jupyter's kernels (JupyterLab, VS Code, Colab, Voilà) are ipykernel, one a process. marimo has kernels of its own: a
process in its editor, and in ``marimo run`` one thread for each browser. Both run cells on an asyncio loop, which is
where widgets may be written.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast


def kernel_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop widgets may be written on, or None where no kernel runs (a script, a terminal).

    A cell runs on the kernel's loop, so inside one the running loop is it. From a thread ipykernel is asked; a thread
    of marimo's belongs to no kernel.
    """
    kernel = running_kernel()
    if kernel is None and not in_marimo():
        return None
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        loop = getattr(getattr(kernel, "io_loop", None), "asyncio_loop", None)
        return loop if isinstance(loop, asyncio.AbstractEventLoop) else None


def running_kernel() -> Any | None:
    """Return the ipykernel this code runs in, without importing IPython where it is not loaded anyway."""
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


def in_marimo() -> bool:
    """Return whether this code runs in a cell of a marimo notebook, without importing marimo.

    `marimo.running_in_notebook` is false where the notebook runs as a script, and in a thread of its own.
    """
    marimo = sys.modules.get("marimo")
    running = getattr(marimo, "running_in_notebook", None)  # while marimo imports itself it has none yet
    return bool(running is not None and running())


def marimo_cell() -> str | None:
    """Return marimo's name of the cell that runs; None elsewhere, where widgets belong to no cell.

    marimo's context has no public name (seen in 0.25.2).
    """
    return getattr(_context(), "cell_id", None)


def as_cell(cell: str | None) -> AbstractContextManager[Any]:
    """Return a context in which what is made counts as made by the cell.

    marimo makes a widget only for a cell: while it answers a browser none runs, and a widget made then fails on an
    assertion. For None, and where marimo has come to call it otherwise, this does nothing.

    Example:
        >>> with as_cell(None):
        ...     pass
    """
    within = getattr(_context(), "with_cell_id", None)
    return nullcontext() if cell is None or within is None else cast("AbstractContextManager[Any]", within(cell))


def _context() -> Any | None:
    module = sys.modules.get("marimo._runtime.context") if in_marimo() else None
    return None if module is None else module.get_context()
