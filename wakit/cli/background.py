"""``up -d`` and ``up --wait``: a daemon that outlives the command that started it.

The parent makes a pipe and starts this module in a session of its own (no terminal, no hang-up), its output going to
``logs/_daemon.log``. The child says over the pipe, once, that it serves, or why not; so the parent neither guesses nor
polls, and prints the child's error as its own. The child runs in ``/``, so that it holds no file system.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wakit.cli.daemon_log import LARGEST, LOG_NAME, FileHandler, logging_to, open_log
from wakit.cli.fleet import Fleet
from wakit.cli.orders import print_json
from wakit.control.refusals import from_info, to_info, trace
from wakit.control.schemas import ErrorInfo, StatusInfo
from wakit.errors import ControlError, Exit, HeldError, NoDaemonError, NotConvergedError, WakitError

if TYPE_CHECKING:
    from wakit.runtime import Place

SOFTWARE: Final = 70  # EX_SOFTWARE of sysexits(3)
_PATIENCE: Final = 60.0  # seconds until it must serve
_GOODBYE: Final = 5.0  # seconds for one that cannot serve to end
_CROWD: Final = 20.0  # seconds until a daemon that somebody else is starting must serve
_AGAIN: Final = 0.3


def bring_up(fleet: Fleet, *, as_json: bool) -> StatusInfo:
    """Start the daemon in the background, unless one runs; print and return its status."""
    told, fresh = _ensure(fleet)
    if not fresh and _renewed(fleet, quiet=as_json):
        told = fleet.client.status()
    if as_json:
        print_json(told.model_dump_json())
    else:
        what = "serves" if fresh else "runs already"
        sys.stdout.write(f"The daemon (pid {told.daemon.pid}) {what}; see `wakit status`, end it with `wakit down`.\n")
        if len(os.fsencode(told.daemon.socket)) and Path(told.daemon.socket).parent != fleet.place.state_dir:
            sys.stdout.write(f"Its control socket is {told.daemon.socket}: the usual path is too long.\n")
    return told


def bring_up_and_wait(fleet: Fleet, *, seconds: float, as_json: bool) -> None:
    """Start the daemon in the background, unless one runs; wait until it has converged, and print the table.

    Raises:
        NotConvergedError: It has not within ``seconds``; ``why`` names each session and what it waits for.
    """
    from wakit.cli import converging  # noqa: PLC0415 - asyncio and WebSockets, only for --wait

    _, fresh = _ensure(fleet)
    if not fresh:
        _renewed(fleet, quiet=as_json)
    converging.wait(fleet, seconds=seconds, as_json=as_json)


def start(place: Place) -> None:
    """Start a daemon in the background; return once it serves.

    Raises:
        WakitError: What the daemon says, if it cannot serve.
        ControlError: It ended without a word, or does not get ready.
    """
    from wakit.declare import load  # noqa: PLC0415 - the parser, only to start
    from wakit.vault.layout import open_layout  # noqa: PLC0415

    load(place.config)  # so that everything wrong with the file is said here
    log = open_layout(place.state_dir).logs / LOG_NAME
    reading, writing = os.pipe()
    try:
        child = _spawn(place, log, writing)
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as answers:
        try:
            line = answers.readline() if select.select([reading], [], [], _PATIENCE)[0] else None
        except KeyboardInterrupt:
            child.terminate()
            raise
    if line is None:
        child.terminate()
        raise ControlError("The daemon did not get ready", why=f"{_PATIENCE:g} s went by", hint=f"look at {log}")
    if not line:
        raise ControlError("The daemon ended before it served", why=f"code {child.wait()}", hint=f"look at {log}")
    answer = json.loads(line)
    if "error" in answer:
        with suppress(subprocess.TimeoutExpired):
            child.wait(_GOODBYE)  # or it stays a zombie for as long as this process lives
        raise from_info(ErrorInfo.model_validate(answer["error"]))


def _ensure(fleet: Fleet) -> tuple[StatusInfo, bool]:
    """Return the daemon's status, and whether it was started for it.

    Two may start it at one moment, and its lock lets one of them through: the other waits for that one's daemon.
    """
    deadline = time.monotonic() + _CROWD
    while True:
        try:
            return fleet.client.status(), False
        except NoDaemonError:
            pass
        try:
            start(fleet.place)
        except HeldError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN)  # nothing tells when a daemon of somebody else's begins to serve
        else:
            return fleet.client.status(), True


def _renewed(fleet: Fleet, *, quiet: bool) -> bool:
    from wakit.cli import upgrading  # noqa: PLC0415 - only where a daemon runs already

    return upgrading.replace(fleet, quiet=quiet)


def _spawn(place: Place, log: Path, report: int) -> subprocess.Popen[bytes]:
    if log.exists() and log.stat().st_size > LARGEST:
        log.replace(log.with_name(LOG_NAME + ".1"))
    output = open_log(log)
    mode = ("by-hand" if place.phones_by_hand else "sim") if place.sim else "real"
    try:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "wakit.cli.background", str(place.config), mode, str(report)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            pass_fds=(report,),
        )
    finally:
        os.close(output)


class _Report:
    """The child's end of the pipe: one line, then closed. The parent may be gone by then; that is nobody's error."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._descriptor: int | None = descriptor

    def say(self, answer: dict[str, Any]) -> None:
        """Say it, if nothing was said before."""
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, json.dumps(answer).encode() + b"\n")
        except BrokenPipeError:
            pass
        finally:
            os.close(self._descriptor)
            self._descriptor = None


def main(arguments: Sequence[str]) -> int:
    """Be the daemon: ``FILE real|sim|by-hand DESCRIPTOR``."""
    from wakit.runtime import locate  # noqa: PLC0415 - only in the child

    gc.disable()  # as in the foreground
    config, mode, descriptor = arguments
    report = _Report(int(descriptor))
    try:
        place = replace(locate(Path(config), sim=mode != "real"), phones_by_hand=mode == "by-hand")
        handler = FileHandler(place.state_dir / "logs" / LOG_NAME, follows=(1, 2))
    except (WakitError, OSError) as error:
        report.say(_told(error))
        return int(error.exit_code) if isinstance(error, WakitError) else SOFTWARE
    with logging_to(handler, logging.INFO):
        return _be_daemon(place, report)


def _be_daemon(place: Place, report: _Report) -> int:
    from wakit.cli.serving import serve_until_signal  # noqa: PLC0415 - only in the child
    from wakit.runtime import DaemonOptions  # noqa: PLC0415
    from wakit.worker.forking import started_ahead  # noqa: PLC0415

    log = logging.getLogger("wakit.daemon")
    try:
        with started_ahead() as forks:
            options = DaemonOptions(on_ready=lambda _: report.say({"ready": os.getpid()}), forks=forks)
            ended = options.ending.run(serve_until_signal(place, options))
    except WakitError as error:
        report.say(_told(error))
        log.error("%s", error)  # noqa: TRY400 - a person's mistake has no traceback
        return int(error.exit_code)
    except Exception as error:  # noqa: BLE001 - the last line of defence
        report.say(_told(error))
        log.critical("the daemon ends by a mistake\n%s", trace(error))
        return SOFTWARE
    log.info("ended by %s", ended.name if ended else "request")
    return int(Exit.OK)


def _told(error: Exception) -> dict[str, Any]:
    if not isinstance(error, WakitError):
        error = ControlError("The daemon made a mistake", why=f"a {type(error).__name__}")
    return {"error": to_info(error).model_dump(mode="json")}


__all__ = ["LOG_NAME", "NotConvergedError", "bring_up", "bring_up_and_wait", "main", "start"]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
