"""Lets the library open a database once, so that its tables are made, or brought up to date, and nothing else happens.

The library does both when a client starts (whatsmeow's sqlstore.New), before it dials. So a client is started on the
database, in a process of its own, with a proxy that refuses: a port of this machine that is bound and not listening,
held for as long as the process lives, so that nobody else can answer there. The refused dial ends the client's one
call, and the process with it. Whether the tables are as they should be is for the caller to look at, who may open the
database with SQLite once this process is gone.

:func:`make_tables` runs anywhere; the rest is the process, ``python -m wakit.worker.tables DATABASE PORT``.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Final, NoReturn

from wakit import coredumps
from wakit.errors import WakitError, WorkerError
from wakit.process import import_path
from wakit.redact import scrub
from wakit.whatsapp.port import ClientEnded, CredentialBad, News, SessionStart
from wakit.whatsapp.translation import Ear, LastDial
from wakit.worker.child import load_library
from wakit.worker.exits import ExitCode, LastWords, explain

PATIENCE: Final = 60.0
"""Seconds for all of it; loading the library takes 0.5 s on an idle machine."""

_NAME: Final = "creds.db"  # the adapter opens no other
_REFUSED: Final = "connection refused"  # Go's words for ECONNREFUSED


def make_tables(database: Path, *, patience: float = PATIENCE) -> None:
    """Have the library open a database; it makes one that is not there.

    Args:
        database: An absolute path that ends in ``creds.db``, in a folder that nobody else uses meanwhile.
        patience: Seconds.

    Raises:
        WorkerError: The library is missing, or could not open it.
    """
    if database.name != _NAME:
        raise ValueError(f"the library is only given databases called {_NAME}")
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        code, output = _run([str(database), str(refusing.getsockname()[1])], patience)
    if code != ExitCode.ASKED:
        raise _failed(_cause(code, output))


def _run(arguments: list[str], patience: float) -> tuple[int, bytes]:
    """Run the process to its end; return how it ended and what it said."""
    theirs, ours = os.pipe()  # it ends when our end does, whatever becomes of us
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            [sys.executable, "-P", "-m", "wakit.worker.tables", *arguments],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": import_path(os.environ), "GOTRACEBACK": "single"},
            start_new_session=True,
            cwd="/",
        )
        try:
            output, _ = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            raise _failed(f"it took longer than {patience:g} s") from None
        finally:
            process.kill()
            process.communicate()
    finally:
        os.close(theirs)
        os.close(ours)
    return process.returncode, output


def _cause(code: int, output: bytes) -> str:
    words = LastWords()
    lines = [scrub(line) for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    for line in lines:
        words.hear(line)
    said = code == ExitCode.CANNOT_START and lines
    return lines[-1] if said else explain(code, words.lines).cause


def _failed(why: str) -> WorkerError:
    return WorkerError("The library could not open the database", why=why, hint="run `wakit doctor`")


# --- the process


def main() -> NoReturn:
    """Open the database and end; never returns."""
    os.umask(0o077)
    coredumps.forbid()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    code = ExitCode.BUG
    try:
        problem = _open(Path(sys.argv[1]), int(sys.argv[2]))
        sys.stdout.write(f"{problem}\n")
        code = ExitCode.CANNOT_START if problem else ExitCode.ASKED
    except BaseException:  # noqa: BLE001 - the process ends here, and its last words must be said
        traceback.print_exc()
    _leave(code)


def _open(database: Path, port: int) -> str:
    """Run a client until its dial was refused; return why it could not be run, or ""."""
    heard: list[News] = []
    start = SessionStart(name="tables", directory=str(database.parent), epoch=0)
    ear = Ear(tell=heard.append, log=lambda _: None, settled=lambda: None, last_dial=LastDial)
    try:
        library = load_library(None)
        library(start, f"http://127.0.0.1:{port}", ear).run()
    except (WakitError, ValueError) as error:
        return str(error)
    # It dials once the tables are there, and nothing but that one port refuses it.
    said = " ".join(each.why for each in heard if isinstance(each, ClientEnded | CredentialBad))
    return "" if _REFUSED in said else said or "the library said nothing"


def _end_with_parent() -> None:
    """End when the parent ends, however: its end of stdin closes then."""
    while os.read(0, 1):
        pass
    _leave(ExitCode.PARENT_GONE)


def _leave(code: ExitCode) -> NoReturn:
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
