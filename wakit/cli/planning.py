"""``plan`` and ``apply``: what the loop would do, and doing it now."""

from __future__ import annotations

from wakit.cli.fleet import Fleet
from wakit.cli.orders import print_json
from wakit.control.schemas import PlanInfo
from wakit.errors import Exit, NoDaemonError


def show(fleet: Fleet, *, as_json: bool) -> int:
    """Print the running loop's plan, or the one a daemon would begin with; return the exit code."""
    try:
        told = fleet.client.plan()
    except NoDaemonError:
        told = fleet.plan_offline()
    _print(told, as_json=as_json)
    if told.declaration.error:
        return Exit.ERROR
    return Exit.CHANGES if told.actions else Exit.OK


def apply(fleet: Fleet, *, confirm: bool, as_json: bool) -> None:
    """Let the loop run once, and print what it carries out."""
    _print(fleet.client.apply(confirm=confirm), as_json=as_json)


def _print(told: PlanInfo, *, as_json: bool) -> None:
    if as_json:
        print_json(told.model_dump_json())
        return
    from wakit.cli import render  # noqa: PLC0415 - rich, only for people

    render.show(render.plan(told))
