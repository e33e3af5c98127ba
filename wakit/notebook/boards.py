"""One board of a fleet for each kernel that shows it, and in marimo for each cell.

Jupyter has one kernel a process. In ``marimo run`` each browser is a kernel of its own, a thread with a loop of its
own, while the fleet is the process's; a widget made in one reaches no other. And marimo closes a widget when the cell
that made it runs again, wherever else it is shown.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from wakit.notebook.kernel import kernel_loop, marimo_cell

if TYPE_CHECKING:
    from wakit.notebook.widgets.board import Board


class Boards:
    """Keeps the boards of one fleet.

    Args:
        make: Makes a board that is written on the loop it is made on.

    Example:
        >>> boards = Boards(lambda: fleet_board)
        >>> boards.close()  # nothing was shown
    """

    def __init__(self, make: Callable[[], Board]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._boards: dict[tuple[asyncio.AbstractEventLoop | None, str | None], Board] = {}

    def here(self) -> Board:
        """Return the board of this place: the one it has shown, if that is still open, or a new one."""
        here = (kernel_loop(), marimo_cell())
        with self._lock:
            for place, board in list(self._boards.items()):
                if not _open(board) or ((loop := place[0]) is not None and loop.is_closed()):
                    board.close()  # a kernel that has ended would keep it listening for ever
                    del self._boards[place]
            if here not in self._boards:
                self._boards[here] = self._make()
            return self._boards[here]

    def close(self) -> None:
        """Take all of them off their pages."""
        with self._lock:
            boards, self._boards = list(self._boards.values()), {}
        for board in boards:
            board.close()


def _open(board: Board) -> bool:
    # Jupyter's comms and marimo's both note it under this name, and neither tells the widget.
    return board.comm is not None and not getattr(board.comm, "_closed", False)
