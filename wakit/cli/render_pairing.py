"""A pairing on a terminal: the QR in half blocks with a countdown, or the eight characters.

Black on white is set explicitly, so that the code can be scanned on dark and light terminals alike; without colour the
blocks are turned round, for a terminal that writes light on dark. A terminal that is too small is told how big it must
be, because a QR that wraps cannot be scanned by anybody.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

import segno
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from wakit.cli import render
from wakit.cli.words import span
from wakit.control.schemas import PairingShown

if TYPE_CHECKING:
    from wakit.cli.pairing_steps import Step

_BORDER: Final = 4
_INK: Final = "#000000 on #ffffff"
# By (upper module dark, lower module dark).
_HALVES: Final = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
_TOLD: Final = {
    "connected": "is connected",
    "failed": "could not be linked",
    "expired": "was not linked: nobody scanned or typed in time",
}


def qr_lines(payload: str, *, inverted: bool = False) -> list[str]:
    """Return a QR as lines of half blocks, a border of four modules included.

    Args:
        payload: The text.
        inverted: For light writing on dark ground: what is blank is filled and the other way round.
    """
    rows = [
        [bool(module) != inverted for module in row]
        for row in segno.make(payload, error="l", boost_error=False, micro=False).matrix_iter(scale=1, border=_BORDER)
    ]
    if len(rows) % 2:
        rows.append([inverted] * len(rows[0]))
    return [
        "".join(_HALVES[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]


class Terminal:
    """Steps for a person."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or render.console()
        self._live: Live | None = None
        self._step: Step | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def show(self, step: Step) -> None:
        """Show a step; a code stays on the screen, counting down, until the next one."""
        name = step.session.name
        if step.shown is None:
            self._stop()
            told = _TOLD.get(step.event, f"is {step.session.state}")
            reason = f": {step.session.reason}" if step.session.reason else ""
            self._console.print(f"{name} {told}{reason}")
            if step.event == "expired":
                self._console.print(f"Once more: `wakit pair {name}`", style="cyan")
            return
        self._step = step
        if not self._console.is_terminal:
            self._console.print(self._picture())
        elif self._live is None:
            self._live = Live(
                console=self._console, get_renderable=self._picture, transient=True, refresh_per_second=2,
                vertical_overflow="visible",
            )  # fmt: skip
            self._live.start()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _picture(self) -> RenderableType:
        assert self._step is not None
        shown = self._step.shown
        assert shown is not None
        left = (shown.expires_at - datetime.now(UTC)).total_seconds()
        count = Text(f"{span(left)} left, then a new one comes by itself" if left > 0 else "waiting for the next one")
        return Group(*self._parts(shown), count)

    def _parts(self, shown: PairingShown) -> list[RenderableType]:
        name = self._step.session.name if self._step else ""
        if shown.payload is None:
            return [
                Text(f"On the phone of {name}: Settings, Linked devices, Link with phone number, and type"),
                Text(f"\n    {shown.code}\n", style="bold"),
            ]
        coloured = self._console.color_system is not None
        lines = qr_lines(shown.payload, inverted=not coloured)
        if self._console.is_terminal and len(lines[0]) > self._console.width:
            return [
                Text(f"The terminal is too narrow: a QR needs {len(lines[0])} columns and {len(lines) + 2} rows."),
                Text(f"Make it bigger, or link by code: `wakit pair {name} --code`"),
            ]
        return [
            Text(f"On the phone of {name}: Settings, Linked devices, Link a device, and scan"),
            *(Text(line, style=_INK if coloured else "", no_wrap=True) for line in lines),
        ]
