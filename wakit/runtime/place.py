"""Where a fleet is: its file, its state directory, and the daemon that serves it, if any.

A place can be told even of a file that does not parse: people ask for the status of a running fleet exactly when they
have just broken its file.
"""

from __future__ import annotations

import json
import os
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wakit.control.address import DaemonRecord, read_record, socket_address
from wakit.declare import DeclarationErrors, Source, find, load, parse

_SIM_SUFFIX = "-sim"


@dataclass(frozen=True, slots=True)
class Place:
    """One fleet on this machine.

    Attributes:
        config: Absolute path of ``sessions.toml``.
        state_dir: Absolute path; with ``sim`` the one beside the real one.
        sim: The loopback WhatsApp instead of the real one.
        daemon: The daemon that serves it now, or None.
        phones_by_hand: With ``sim``: virtual phones wait to be operated, instead of using what their sessions show.
    """

    config: Path
    state_dir: Path
    sim: bool
    daemon: DaemonRecord | None
    phones_by_hand: bool = False

    @property
    def socket(self) -> Path:
        """The control socket: the running daemon's, or the one a daemon would take."""
        return Path(self.daemon.socket) if self.daemon else socket_address(self.state_dir).path

    def simulated_beside(self) -> DaemonRecord | None:
        """Return the daemon that runs the same file against the loopback WhatsApp, if this one is the real fleet."""
        return None if self.sim else _living(self.state_dir.with_name(self.state_dir.name + _SIM_SUFFIX))


def locate(config: Path | None = None, *, sim: bool | None = None) -> Place:
    """Find a fleet.

    Args:
        config: The file; None looks for the nearest ``sessions.toml``, upwards from the working directory.
        sim: True or False chooses; None takes whichever daemon runs, the real one if both or none do.

    Raises:
        DeclarationError: There is no such file.
    """
    path = Path(os.path.abspath(config)) if config is not None else find(Path.cwd())  # noqa: PTH100 - keeps symlinks
    real = state_dir_of(path)
    simulated = real.with_name(real.name + _SIM_SUFFIX)
    records = {False: _living(real), True: _living(simulated)}
    if sim is None:
        sim = records[True] is not None and records[False] is None
    if records[sim] is None and not path.exists():
        load(path, git=False)  # says what is wrong with it; a running daemon is found even when its file is gone
    return Place(path, simulated if sim else real, sim, records[sim])


def state_dir_of(config: Path) -> Path:
    """Return the state directory a file declares, as well as a broken file lets one know."""
    try:
        return Path(load(config, git=False).fleet.state_dir)
    except DeclarationErrors:
        # A file with this one key, read as the loader would: the environment over it, ``~`` for the home.
        declared = f"[wakit]\nstate_dir = {json.dumps(_declared_state_dir(config))}\n".encode()
        environ = {key: os.environ[key] for key in ("HOME", "WAKIT_STATE_DIR") if os.environ.get(key)}
        for dotenv in (_dotenv(config), None):
            with suppress(DeclarationErrors):
                return Path(parse(Source(config, str(config), declared, dotenv), environ=environ).fleet.state_dir)
        return config.parent / ".wakit"


def _dotenv(config: Path) -> bytes | None:
    try:
        return (config.parent / ".env").read_bytes()
    except OSError:
        return None


def _declared_state_dir(config: Path) -> str:
    """Read ``state_dir`` out of the longest beginning of the file that is valid TOML."""
    try:
        lines = config.read_text("utf-8", errors="replace").splitlines()[:500]
    except OSError:
        return ".wakit"
    for end in range(len(lines), 0, -1):
        try:
            found = tomllib.loads("\n".join(lines[:end])).get("wakit", {})
        except tomllib.TOMLDecodeError:
            continue
        value = found.get("state_dir") if isinstance(found, dict) else None
        return value if isinstance(value, str) and value else ".wakit"
    return ".wakit"


def _living(state_dir: Path) -> DaemonRecord | None:
    record = read_record(state_dir)
    return record if record is not None and record.alive else None
