"""``python -m wakit.sim --state DIR``: the loopback WhatsApp as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from wakit.errors import Exit, WakitError
from wakit.sim.process import Options, run
from wakit.sim.requests import NotReady, Problem, Ready, to_line


def main(arguments: list[str] | None = None) -> int:
    """Run a sim in the foreground; returns the exit code."""
    options, as_json = _parse(arguments)

    def ready(endpoint: Ready) -> None:
        if as_json:
            sys.stdout.buffer.write(to_line(endpoint))
        else:
            sys.stdout.write(
                f"proxy           {endpoint.proxy}\n"
                f"ca_file         {endpoint.ca_file}\n"
                f"noise_root_key  {endpoint.noise_root_key}\n"
                f"admin           {endpoint.admin}\n"
            )
        sys.stdout.flush()

    try:
        asyncio.run(run(options, ready))
    except WakitError as error:
        if as_json:
            problem = Problem(what=error.what, why=error.why, hint=error.hint)
            sys.stdout.buffer.write(to_line(NotReady(error=type(error).__name__, problem=problem)))
            return error.exit_code
        sys.stderr.write(f"error: {error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return error.exit_code
    return Exit.OK


def _parse(arguments: list[str] | None) -> tuple[Options, bool]:
    parser = argparse.ArgumentParser(prog="python -m wakit.sim", description="WhatsApp on loopback.")
    parser.add_argument("--state", type=Path, required=True, help="folder of keys and accounts; made if missing")
    parser.add_argument("--port", type=int, default=0, help="port of 127.0.0.1; 0 (default) is the last one, or any")
    parser.add_argument("--refs", type=int, default=6, help="QR codes a registering client gets")
    parser.add_argument("--json", action="store_true", help="print the endpoint as one line of JSON")
    parser.add_argument("--die-with-parent", action="store_true", help="end when stdin ends or the parent dies")
    given = parser.parse_args(arguments)
    return Options(given.state, given.port, given.refs, given.die_with_parent), given.json


if __name__ == "__main__":
    sys.exit(main())
