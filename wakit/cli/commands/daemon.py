"""``up``, ``down`` and ``status``: the daemon."""
# ruff: noqa: PLC0415 - each command imports its own module when it runs

from __future__ import annotations

import gc
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from wakit.cli.options import Config, Json, Sim, fleet_of

if TYPE_CHECKING:
    from wakit.cli.fleet import Fleet

_PATIENCE: Final = 60.0  # seconds `up --wait` waits


class SimPhones(StrEnum):
    """Who operates the virtual phones of ``up --sim``."""

    AUTO = "auto"
    MANUAL = "manual"


def up(
    context: typer.Context,
    *,
    detach: Annotated[
        bool, typer.Option("-d", "--detach", help="Run in the background; return when it serves.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Run in the background; return when every enabled session is connected.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, metavar="SECONDS", help="How long --wait waits at most (60).")
    ] = None,
    config: Config = None,
    sim: Annotated[
        bool, typer.Option("--sim", help="Against a WhatsApp on loopback, with phones that pair by themselves.")
    ] = False,
    sim_phones: Annotated[
        SimPhones,
        typer.Option(
            "--sim-phones",
            envvar="WAKIT_SIM_PHONES",
            help="With --sim: who operates the phones, they themselves or you.",
        ),
    ] = SimPhones.AUTO,
    json: Json = False,
) -> None:
    """Start the daemon, here or in the background.

    In the foreground it shows a live table (plain lines where stdout is no terminal) until Ctrl-C. With -d or --wait it
    outlives this command. Where a daemon runs already and wakit was upgraded since, its workers are replaced one at a
    time.
    """
    if timeout is not None and not wait:
        raise typer.BadParameter("it is how long --wait waits, which was not given", context, param_hint="--timeout")
    typed = context.get_parameter_source("sim_phones")
    if typed is not None and typed.name == "COMMANDLINE" and not sim:
        raise typer.BadParameter("it is about --sim, which was not given", context, param_hint="--sim-phones")

    def asked() -> Fleet:
        fleet = fleet_of(context, config, sim, phones_by_hand=sim_phones is SimPhones.MANUAL)
        if (simulated := fleet.place.simulated_beside()) is not None:
            told = f"a simulated daemon of this file runs (pid {simulated.pid}); without --sim the real one is started"
            sys.stderr.write(f"note: {told}\n")
        return fleet

    if wait:
        from wakit.cli import background

        background.bring_up_and_wait(asked(), seconds=_PATIENCE if timeout is None else timeout, as_json=json)
    elif detach:
        from wakit.cli import background

        background.bring_up(asked(), as_json=json)
    else:
        gc.disable()  # nothing of what is loaded now is garbage; it goes on once the daemon serves
        from wakit.worker.forking import started_ahead

        with started_ahead() as forks:
            from wakit.cli import foreground, upgrading

            if upgrading.replace(fleet := asked(), quiet=json):
                return
            raise typer.Exit(foreground.run(fleet, forks, as_json=json))


def down(
    context: typer.Context,
    *,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, metavar="SECONDS", help="How long to wait for its end.")
    ] = 15.0,
    config: Config = None,
    sim: Sim = None,
) -> None:
    """End the daemon in order.

    Waits until it is gone. The sessions stay paired.
    """
    from wakit.cli import ending

    ending.bring_down(fleet_of(context, config, sim), seconds=timeout)


def status(context: typer.Context, *, config: Config = None, sim: Sim = None, json: Json = False) -> None:
    """Show every session and the daemon."""
    from wakit.cli import orders

    orders.show_status(fleet_of(context, config, sim), as_json=json)
