"""``plan`` and ``apply``: what the loop would do, and doing it now."""

from __future__ import annotations

from pathlib import Path

from wakit.cli.fleet import Fleet
from wakit.cli.orders import print_json
from wakit.control.schemas import PlanInfo
from wakit.errors import ControlError, Exit, NoDaemonError


def show(fleet: Fleet, *, as_json: bool) -> int:
    """Print the running loop's plan, or the one a daemon would begin with; return the exit code.

    If the daemon follows another file than the one that was named, this one is what the plan is for: a draft.
    """
    try:
        told = fleet.client.plan()
        if not _is_followed(fleet.place.config, told):
            told = _plan_of(fleet)
    except NoDaemonError:
        told = fleet.plan_offline()
    _print(told, as_json=as_json)
    if told.declaration.error:
        return Exit.ERROR
    return Exit.CHANGES if any(action.action != "hold" for action in told.actions) else Exit.OK


def apply(fleet: Fleet, *, confirm: bool, as_json: bool) -> None:
    """Let the loop run once, and print what it carries out."""
    followed = fleet.client.plan()
    if not _is_followed(fleet.place.config, followed):
        raise ControlError(
            "Nothing was applied",
            why=f"the daemon follows {followed.declaration.path}, not {fleet.place.config}",
            hint="write the one into the other; `wakit plan -c FILE` says what that would do",
        )
    _print(fleet.client.apply(confirm=confirm), as_json=as_json)


def _is_followed(config: Path, told: PlanInfo) -> bool:
    try:
        return config.samefile(told.declaration.path)
    except OSError:  # one of them is gone; the daemon goes on with what it has read
        return str(config) == told.declaration.path


def _plan_of(fleet: Fleet) -> PlanInfo:
    from wakit.declare import load, read_source  # noqa: PLC0415 - the parser, only for a draft

    config = fleet.place.config
    load(config, git=False)  # everything that is wrong with it is said here
    source = read_source(config)
    dotenv = None if source.dotenv is None else source.dotenv.decode()
    return fleet.client.plan_of(str(config), source.data.decode(), dotenv)


def _print(told: PlanInfo, *, as_json: bool) -> None:
    if as_json:
        print_json(told.model_dump_json())
        return
    from wakit.cli import render  # noqa: PLC0415 - rich, only for people

    render.show(render.plan(told))
