"""What ``doctor`` says of this machine: Python, the WhatsApp library, the disk, and the way to WhatsApp."""

from __future__ import annotations

import json
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from wakit.cli.doctor.check import Check
from wakit.core.declaration import Declaration
from wakit.redact import scrub

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


def check_space(state_dir: Path) -> Check:
    """Look at the room on the disk."""
    where = next(folder for folder in (state_dir, *state_dir.parents) if folder.exists())
    free = shutil.disk_usage(where).free
    said = f"{free / (1 << 30):.1f} GiB free"
    if free < _LEAST_SPACE:
        return Check("disk", "fail", said, "make room: credentials and journal cannot be written on a full disk")
    return Check("disk", "warn" if free < _SOME_SPACE else "ok", said, "make room" if free < _SOME_SPACE else "")


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
