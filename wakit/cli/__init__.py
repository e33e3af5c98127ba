"""The command line: takes what a person typed, gives tables, JSON and exit codes.

Runs in a process of its own that talks to the daemon over its socket; ``wakit up`` in the foreground is the daemon.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit; the entry point of ``wakit``."""
    from wakit.cli.run import run  # noqa: PLC0415 - `import wakit.cli` stays light

    raise SystemExit(run())
