"""Plans as people read them: what the loop would do, what waits, what is held, and what ends a hold."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from wakit.control.schemas import PlanInfo
from wakit.notebook.words import sign_of

NOTHING: Final = "Nothing to do: the sessions are as declared."


class Plan:
    """What the loop would do now. Its truth is whether there is anything to do.

    Attributes:
        info: The plan as the control API gives it.

    Example:
        >>> fleet.plan()
        Nothing to do: the sessions are as declared.
        >>> bool(fleet.plan())
        False
    """

    def __init__(self, info: PlanInfo) -> None:
        self.info = info

    def __bool__(self) -> bool:
        return bool(self.info.actions)

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        return listed(self._lines(), label="Plan")

    def _lines(self) -> list[str]:
        info = self.info
        lines = [f"{sign_of(action.action)} {action.text}" for action in info.actions]
        lines += [f"! {name} is held: {why}" for name, why in info.held.items()]
        lines += [f"… {name} waits: {why}" for name, why in info.waiting.items()]
        lines = lines or [NOTHING]
        if info.declaration.error:
            lines.append(f"! sessions.toml as it is now is not in force: {info.declaration.error}")
        hints = [*info.hints.values(), *([info.declaration.hint] if info.declaration.hint else [])]
        return [*lines, *(f"hint: {hint}" for hint in dict.fromkeys(hints))]


def listed(lines: Iterable[str], *, label: str) -> str:
    """Return lines as a list that a screen reader announces by its label; no script, no colour alone."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    style = "list-style:none;margin:0;padding:0;font-family:var(--jp-code-font-family,monospace);white-space:pre-wrap"
    return f'<ul aria-label="{escape(label)}" style="{style}">{items}</ul>'
