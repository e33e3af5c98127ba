"""``doctor``: looks at everything that has to be right before and while wakit runs, and changes nothing.

Each check answers with ok, warn or fail, a sentence, and for the latter two what to do. A check that itself goes wrong
is a fail with what it met, never the end of the others.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Final, ParamSpec
from urllib.parse import urlsplit

from wakit.cli.asking_whatsapp import check_sessions
from wakit.cli.credential_checks import Check, check_credentials
from wakit.cli.fleet import Fleet
from wakit.control.address import read_record, socket_address
from wakit.core.declaration import Declaration
from wakit.errors import DeclarationError, Exit, NoDaemonError, WakitError
from wakit.redact import scrub
from wakit.vault.accounts_folder import usual_folder
from wakit.vault.layout import NETWORK_FILE_SYSTEMS, file_system
from wakit.vault.privacy import exposures

P = ParamSpec("P")
_LIBRARY: Final = """
import json, importlib.metadata, importlib.util, pathlib, sys
import pylibmagic
import magic
magic.Magic()
print(json.dumps({"libmagic": importlib.metadata.version("pylibmagic")}), flush=True)
spec = importlib.util.find_spec("neonize")
if spec is None or spec.origin is None:
    sys.exit("neonize is not installed")
# Without its binary, importing neonize would download one.
if not list(pathlib.Path(spec.origin).parent.glob("neonize-*")):
    sys.exit("neonize has no binary here")
import neonize.client
print(json.dumps({"neonize": importlib.metadata.version("neonize")}), flush=True)
"""
_REINSTALL: Final = {
    "libmagic": "install it again: `pip install --force-reinstall pylibmagic`",
    "neonize": "install it again: `pip install --force-reinstall neonize==0.5.2`",
}
_PATIENCE: Final = 60.0  # seconds for the library's import, which takes 1 s on an idle machine
_LEAST_SPACE: Final = 100 << 20
_SOME_SPACE: Final = 1 << 30
_WHATSAPP: Final = "web.whatsapp.com"


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


def check_python() -> Check:
    """Look at the interpreter and the system."""
    said = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.platform != "linux":
        return Check("python", "warn", said, "wakit is made for Linux; [endpoint] and --sim do not work elsewhere")
    return Check("python", "ok", said)


def check_library() -> Iterator[Check]:
    """Import the WhatsApp library as a worker would, in a process of its own."""
    try:
        ran = subprocess.run(  # noqa: S603 - our own interpreter and text
            [sys.executable, "-c", _LIBRARY], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        yield Check("neonize", "fail", f"its import takes more than {_PATIENCE:g} s", "try on a less busy machine")
        return
    found: dict[str, str] = {}
    for line in ran.stdout.splitlines():
        if line.startswith("{"):
            found |= json.loads(line)
    for name in ("libmagic", "neonize"):
        if name in found:
            yield Check(name, "ok", f"version {found[name]}")
        else:
            last = (ran.stderr.strip().splitlines() or [f"the process ended with code {ran.returncode}"])[-1]
            yield Check(name, "fail", scrub(last), _REINSTALL[name])
            return


def check_file(config: Path) -> tuple[Declaration | None, list[Check]]:
    """Read the declaration."""
    from wakit.declare import load  # noqa: PLC0415 - the parser, when it is its turn

    try:
        declaration = load(config)
    except DeclarationError as error:
        problems = getattr(error, "problems", (error,))
        return None, [Check("file", "fail", str(problem), problem.hint) for problem in problems]
    count = len(declaration.sessions)
    said = f"{config}: {count} session{'' if count == 1 else 's'}"
    return declaration, [
        Check("file", "ok", said),
        *(Check("file", "warn", warning, "see docs/sessions-toml.md") for warning in declaration.warnings),
    ]


def check_state_dir(state_dir: Path) -> Check:
    """Look at the state directory's owner, permissions and file system."""
    name = "state"
    try:
        found = state_dir.lstat()
    except FileNotFoundError:
        above = next(folder for folder in state_dir.parents if folder.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            return Check(name, "fail", f"{state_dir} cannot be made", f"make {above} writable, or set state_dir")
        return Check(name, "ok", f"{state_dir} will be made by the first `wakit up`")
    if stat.S_ISLNK(found.st_mode):
        return Check(name, "fail", f"{state_dir} is a symbolic link", "put the real folder in its place")
    if not stat.S_ISDIR(found.st_mode):
        return Check(name, "fail", f"{state_dir} is not a folder", "move the file away")
    if found.st_uid != os.geteuid():
        return Check(name, "fail", f"{state_dir} belongs to user {found.st_uid}", "run wakit as its owner")
    if os.statvfs(state_dir).f_flag & os.ST_RDONLY or not found.st_mode & stat.S_IWUSR:
        return Check(name, "fail", f"{state_dir} is read-only", "make it writable, or set state_dir")
    kind = file_system(state_dir)
    if kind in NETWORK_FILE_SYSTEMS:
        return Check(name, "fail", f"{state_dir} is on a network file system ({kind})", "set state_dir to a local disk")
    if stat.S_IMODE(found.st_mode) & 0o077:
        said = f"{state_dir} is open to others (mode {stat.S_IMODE(found.st_mode):o})"
        return Check(name, "warn", said, f"`chmod 700 {state_dir}`; the next `wakit up` does it as well")
    return Check(name, "ok", f"{state_dir} is private, on {kind or 'a local file system'}")


def check_privacy(state_dir: Path) -> Check:
    """Look for files below the state directory that others could read or replace."""
    found = list(exposures(state_dir))
    if not found:
        return Check("privacy", "ok", "nobody else can read or replace what is in it")
    first = next((each for each in found if each.kind != "mode"), found[0])
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    if first.kind == "mode":
        return Check("privacy", "warn", first.said + more, "the next `wakit up` mends it")
    return Check("privacy", "fail", first.said + more, "put your own plain file in its place; it is refused as it is")


def check_accounts() -> Check:
    """Look at the folder in which the accounts of this machine are noted, for all fleets of this user."""
    name, folder = "accounts", usual_folder()
    for part in (folder.parent, folder):
        if not os.path.lexists(part):
            continue
        found = part.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return Check(
                name, "fail", f"{part} is a link, no folder, or not yours", "put a folder of yours in its place"
            )
    above = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(above, os.W_OK | os.X_OK):
        hint = f"make {above} writable, or set XDG_STATE_HOME; until then a copied credential may not be recognised"
        return Check(name, "warn", f"{folder} cannot be used", hint)
    return Check(name, "ok", f"noted in {folder}")


def check_space(state_dir: Path) -> Check:
    """Look at the room on the disk."""
    where = next(folder for folder in (state_dir, *state_dir.parents) if folder.exists())
    free = shutil.disk_usage(where).free
    said = f"{free / (1 << 30):.1f} GiB free"
    if free < _LEAST_SPACE:
        return Check("disk", "fail", said, "make room: credentials and journal cannot be written on a full disk")
    return Check("disk", "warn" if free < _SOME_SPACE else "ok", said, "make room" if free < _SOME_SPACE else "")


def check_socket(state_dir: Path) -> Check:
    """Look where the control socket is, or would be."""
    address = socket_address(state_dir)
    if address.note:
        return Check("socket", "warn", address.note, "it works; a shorter state_dir puts it into the state directory")
    return Check("socket", "ok", str(address.path))


def check_daemon(fleet: Fleet) -> Check:
    """Ask the daemon, if there is one."""
    try:
        readiness = fleet.client.ready()
        daemon = fleet.client.status().daemon
    except NoDaemonError as error:
        record = read_record(fleet.place.state_dir)
        if record is not None:
            hint = "`wakit up -d` starts a new one; paired sessions come back by themselves"
            return Check("daemon", "warn", error.why, hint)
        return Check("daemon", "ok", "none runs; `wakit up` starts one")
    said = f"pid {daemon.pid}, version {daemon.version}"
    if not readiness.ready:
        return Check("daemon", "fail", f"{said}: {readiness.why}", f"look at {fleet.logs / '_daemon.log'}")
    from wakit import __version__  # noqa: PLC0415 - only here

    if daemon.version != __version__:
        hint = "`wakit down`, then `wakit up -d`"
        return Check("daemon", "warn", f"{said}, and this command is of version {__version__}", hint)
    if daemon.outage is not None:
        hint = {
            "network": "check the network of this machine; the daemon goes on trying by itself",
            "service": "WhatsApp may be down; the daemon goes on trying by itself",
            "outdated": "upgrade wakit, then `wakit down` and `wakit up`",
        }[daemon.outage.trouble]
        return Check("daemon", "warn", f"{said}: {daemon.outage.reason}", hint)
    return Check("daemon", "ok", said)


def check_journal(fleet: Fleet) -> Check:
    """Read from the journal the way commands do."""
    query = "SELECT count(*) AS n FROM events"
    try:
        if stuck := fleet.client.status().daemon.stuck_queries:
            said = f"queries that were told to stop and still run: {stuck}"
            hint = "they hold memory, and others may have to wait; if they do not end, `wakit down`, then `wakit up -d`"
            return Check("journal", "warn", said, hint)
        table = fleet.client.sql(query)
    except NoDaemonError:
        if not fleet.journal.exists():
            return Check("journal", "ok", "none yet")
        from wakit.journal import open_read_only  # noqa: PLC0415 - DuckDB, only without a daemon

        with open_read_only(fleet.journal) as journal:
            table = journal.query(query)
    return Check("journal", "ok", f"{table['n'][0].as_py()} events")


def check_endpoint(declaration: Declaration, sim: bool) -> Check:
    """Look whether what the sessions dial can be reached: the [endpoint], or WhatsApp's name."""
    if sim:
        return Check("endpoint", "ok", "the loopback WhatsApp comes with `wakit up --sim`")
    endpoint = declaration.fleet.endpoint
    if endpoint is None:
        if _resolves(_WHATSAPP):
            return Check("endpoint", "ok", f"{_WHATSAPP} is known to the name service")
        said = f"{_WHATSAPP} cannot be looked up"
        return Check("endpoint", "warn", said, "check the network; a session with a proxy may not need it")
    address = urlsplit(endpoint.proxy)
    if not Path(endpoint.ca_file).is_file():
        return Check("endpoint", "fail", f"{endpoint.ca_file} does not exist", "correct [endpoint] ca_file")
    try:
        with socket.create_connection((address.hostname or "", address.port or 80), timeout=2):
            return Check("endpoint", "ok", f"{address.hostname}:{address.port} accepts connections")
    except OSError as error:
        said = f"{address.hostname}:{address.port} does not answer ({error.strerror or type(error).__name__})"
        return Check("endpoint", "fail", said, "start the server there, or take [endpoint] out of the file")


def _resolves(name: str) -> bool:
    # The resolver has no timeout of its own that could be set; the thread is left to it.
    pool = ThreadPoolExecutor(1)
    try:
        return bool(pool.submit(socket.getaddrinfo, name, 443).result(timeout=5))
    except (OSError, TimeoutError):
        return False
    finally:
        pool.shutdown(wait=False)


def _print(check: Check) -> None:
    colours = {"ok": "32", "warn": "33", "fail": "1;31"}
    word = f"{check.verdict:<5}"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        word = f"\x1b[{colours[check.verdict]}m{word}\x1b[0m"
    sys.stdout.write(f"{word} {check.name:<10} {check.said}\n")
    if check.hint and check.verdict != "ok":
        sys.stdout.write(f"{'':<17}hint: {check.hint}\n")
    sys.stdout.flush()
