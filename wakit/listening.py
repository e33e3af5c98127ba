"""Ending an asyncio server without forgetting a connection it has just accepted.

Up to Python 3.11 asyncio loses one that is accepted in the turn of the loop its server is closed in: the socket stays
open, nobody serves it, and nothing is said (``_accept_connection2`` swallows what ``Server._attach`` asserts;
read in CPython 3.11's ``asyncio/selector_events.py`` and ``base_events.py``).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Final

_UNTIL_SHOWN: Final = 3  # turns from the accepting of a connection to its protocol's first callback, with room to spare


async def stop_accepting(listeners: Iterable[socket.socket]) -> None:
    """Accept nothing more; on return, every connection accepted until now has met its protocol.

    Args:
        listeners: Sockets that an asyncio server of this loop listens on. They stay open: close the server next, in
            the same turn, so that nobody waits to be accepted.

    Example:
        >>> async def end(server: asyncio.Server) -> None:
        ...     await stop_accepting(server.sockets)
        ...     server.close()
    """
    loop = asyncio.get_running_loop()
    for listener in listeners:
        loop.remove_reader(listener.fileno())
    for _ in range(_UNTIL_SHOWN):
        await asyncio.sleep(0)
