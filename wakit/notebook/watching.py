"""Changes as they happen, for a script's ``for`` and a notebook's ``async for``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from wakit.control.client import Client, SyncClient
    from wakit.control.schemas import Disconnected, LiveFrame


class Watch:
    """An iterator of both kinds over the frames of a live stream. Made by :meth:`Fleet.watch`.

    It connects when it is first asked for a frame, and reconnects for as long as it is asked. Leaving the loop ends the
    connection; there is no thread and no task behind it. ``with`` and ``async with`` end it at a place of your choice.

    Args:
        blocking: The client for ``for``.
        awaited: The client for ``async for``.
        since: Also the journal's events after this ``seq``.
    """

    def __init__(self, blocking: SyncClient, awaited: Client, since: int | None = None) -> None:
        self._blocking = blocking
        self._awaited = awaited
        self._since = since
        self._frames: Generator[LiveFrame | Disconnected, None, None] | None = None
        self._coming: AsyncGenerator[LiveFrame | Disconnected, None] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LiveFrame | Disconnected:
        if self._frames is None:
            self._frames = self._blocking.watch(since=self._since)
        return next(self._frames)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LiveFrame | Disconnected:
        if self._coming is None:
            self._coming = self._awaited.watch(since=self._since)
        return await anext(self._coming)

    def close(self) -> None:
        """End a ``for``; safe to call twice."""
        if self._frames is not None:
            self._frames.close()

    async def aclose(self) -> None:
        """End an ``async for``; safe to call twice."""
        if self._coming is not None:
            await self._coming.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return "<changes of the fleet: `async for frame in …` in a notebook, `for frame in …` in a script>"
