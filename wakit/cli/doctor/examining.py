"""All the checks of ``doctor``, in their order, as people and scripts read them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import ParamSpec

from wakit.cli.doctor.check import Check
from wakit.cli.doctor.credentials import check_credentials
from wakit.cli.doctor.daemon import check_daemon, check_journal, check_socket
from wakit.cli.doctor.machine import check_endpoint, check_library, check_python, check_space
from wakit.cli.doctor.state import check_accounts, check_file, check_privacy, check_state_dir
from wakit.cli.doctor.whatsapp import check_sessions
from wakit.cli.fleet import Fleet
from wakit.errors import Exit, WakitError
from wakit.redact import scrub

P = ParamSpec("P")


def examine(config: Path | None, *, sim: bool | None, as_json: bool, ask: bool = False) -> int:
    """Print every check; return 1 if any failed, else 0."""
    found: list[Check] = []
    for check in checks(Fleet(config, sim=sim), ask=ask):
        found.append(check)
        if not as_json:
            _print(check)
    failed = any(check.verdict == "fail" for check in found)
    if as_json:
        told = {"ok": not failed, "checks": [asdict(check) for check in found]}
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    return Exit.ERROR if failed else Exit.OK


def checks(fleet: Fleet, *, ask: bool = False) -> Iterator[Check]:
    """Yield the checks, the ones that others build on first; with ``ask`` sessions ask WhatsApp whether it answers."""
    yield check_python()
    yield from check_library()
    try:
        place = fleet.place
    except WakitError as error:
        yield Check("file", "fail", str(error), error.hint)
        return
    declaration, found = check_file(place.config)
    yield from found
    yield _guarded("state", check_state_dir, place.state_dir)
    yield _guarded("privacy", check_privacy, place.state_dir)
    yield _guarded("accounts", check_accounts)
    yield _guarded("disk", check_space, place.state_dir)
    yield _guarded("socket", check_socket, place.state_dir)
    yield _guarded("daemon", check_daemon, fleet)
    yield _guarded("journal", check_journal, fleet)
    if ask:
        yield from check_sessions(fleet)
    if declaration is not None:
        yield from check_credentials(place, declaration)
        yield _guarded("endpoint", check_endpoint, declaration, place.sim)


def _guarded(name: str, check: Callable[P, Check], *args: P.args, **more: P.kwargs) -> Check:
    try:
        return check(*args, **more)
    except WakitError as error:
        return Check(name, "fail", str(error), error.hint)
    except Exception as error:  # noqa: BLE001 - one look that goes wrong must not end the others
        return Check(name, "fail", scrub(f"{type(error).__name__}: {error}"), "this is a mistake of wakit: report it")


def _print(check: Check) -> None:
    colours = {"ok": "32", "warn": "33", "fail": "1;31"}
    word = f"{check.verdict:<5}"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        word = f"\x1b[{colours[check.verdict]}m{word}\x1b[0m"
    sys.stdout.write(f"{word} {check.name:<10} {check.said}\n")
    if check.hint and check.verdict != "ok":
        sys.stdout.write(f"{'':<17}hint: {check.hint}\n")
    sys.stdout.flush()
