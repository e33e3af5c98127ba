"""``pair``: shows the QR or the code until the session is connected, renewing it as WhatsApp does.

The stream is opened before the request is made, so nothing that follows from it can be missed. With ``--json`` every
step is one line: ``qr``, ``code``, ``waiting``, and at the end ``connected``, ``expired`` or ``failed``.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Protocol, Self

from wakit.cli.asking import with_number
from wakit.cli.fleet import Fleet
from wakit.cli.pairing_steps import Asked, Step, steps
from wakit.control.client import Client
from wakit.errors import Exit, NotConvergedError


class Screen(Protocol):
    """Where steps are shown."""

    def show(self, step: Step) -> None:
        """Show a step."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def pair(fleet: Fleet, asked: Asked, *, as_json: bool) -> int:
    """Pair a session and return the exit code: 0 connected, 1 failed, 3 when nobody used the code in time.

    Raises:
        NotConvergedError: Not connected within the time given.
        ControlError: It needs a number, and none was given.
        WakitError: The daemon refuses.
    """
    asked = with_number(fleet, asked)
    screen: Screen
    if as_json:
        screen = JsonLines()
    else:
        from wakit.cli.render_pairing import Terminal  # noqa: PLC0415 - rich, only for people

        screen = Terminal()
    with screen:
        return asyncio.run(_pair(fleet.live_client, asked, screen))


async def _pair(client: Client, asked: Asked, screen: Screen) -> int:
    last: Step | None = None
    try:
        async with asyncio.timeout(asked.seconds), aclosing(steps(client, asked)) as taken:
            async for step in taken:
                last = step
                screen.show(step)
    except TimeoutError:
        where = f"it is {last.session.state}" if last else "the daemon said nothing"
        raise NotConvergedError(
            f"{asked.name} is not connected after {asked.seconds:g} s",
            why=where + (f" ({last.session.reason})" if last and last.session.reason else ""),
            hint=f"it may still be paired: `wakit status`, or once more `wakit pair {asked.name}`",
        ) from None
    assert last is not None
    return {"connected": Exit.OK, "expired": Exit.TIMEOUT}.get(last.event, Exit.ERROR)


class JsonLines:
    """Steps for scripts, one JSON object a line."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, step: Step) -> None:
        """Print a step."""
        import json  # noqa: PLC0415 - only here

        sys.stdout.write(json.dumps(as_json(step), ensure_ascii=False) + "\n")
        sys.stdout.flush()


def as_json(step: Step) -> dict[str, Any]:
    """Return a step as ``--json`` prints it."""
    told: dict[str, Any] = {"event": step.event, "session": step.session.name}
    if step.shown is not None:
        secret = {"payload": step.shown.payload} if step.event == "qr" else {"code": step.shown.code}
        return told | secret | {"expires_at": _iso(step.shown.expires_at)}
    return told | {"state": step.session.state, "reason": step.session.reason, "at": _iso(step.session.since)}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
