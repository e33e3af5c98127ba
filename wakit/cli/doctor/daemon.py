"""What ``doctor`` says of the daemon: its socket, itself, and its journal."""

from __future__ import annotations

from pathlib import Path

from wakit.cli.doctor.check import Check
from wakit.cli.fleet import Fleet
from wakit.control.address import read_record, socket_address
from wakit.errors import NoDaemonError


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
