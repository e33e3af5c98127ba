"""The stock neonize client as a process that logs in with one database after the other, for the tests of the vault.

``python serial_client.py CONFIG``: JSON with proxy, ca_file, noise_root_key and log. Reads one JSON line an order,
``{"enter": DATABASE}`` or ``{"leave": DATABASE}``; prints one JSON line an event, with the database it is about.
Loading the library takes half a second, a login some milliseconds: so one process sees hundreds of databases, whose
clients are never in it at the same time. It depends on nothing of wakit, and is ended by SIGKILL.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "sim"))
from stock_client import override_root_key, say

PARAMETERS = "?_foreign_keys=on&_journal_mode=WAL&_busy_timeout=10000&_x="  # as wakit's workers open it
KEPT: list[object] = []  # what Go calls, and clients whose finalizer would stop a later one


def main() -> None:
    config = json.loads(sys.argv[1])
    os.environ["SSL_CERT_FILE"] = config["ca_file"]
    os.dup2(os.open(config["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 1)
    os.dup2(1, 2)

    import pylibmagic  # noqa: F401, PLC0415
    from neonize.client import NewClient, ProxySettings  # noqa: PLC0415

    override_root_key(bytes.fromhex(config["noise_root_key"]))
    host = config["proxy"].removeprefix("http://")
    clients: dict[str, Any] = {}
    for line in sys.stdin:
        order = json.loads(line)
        if database := order.get("enter"):
            clients[database] = client = NewClient(database + PARAMETERS, uuid=uuid.uuid4().hex)
            listen(client, database)
            proxy = ProxySettings(f"http://serial:secret@{host}")
            threading.Thread(target=run, args=(client, database, proxy), daemon=True).start()
        else:
            clients[order["leave"]].disconnect()
            say("left", database=order["leave"])


def listen(client: Any, database: str) -> None:
    """Tell what tells a login from everything else; handlers are held weakly by the library."""
    from neonize.proto import Neonize_pb2 as events  # noqa: PLC0415

    kinds = {"Connected": "connected", "LoggedOut": "logged-out", "ConnectFailure": "failure"}
    for kind, name in (kinds | {"StreamReplaced": "replaced", "ClientOutdated": "outdated"}).items():

        def told(_: object, _message: object, name: str = name) -> None:
            say(name, database=database)

        client.event(getattr(events, kind))(told)
        KEPT.append(told)

    def on_qr(_: object, data: bytes) -> None:
        say("qr", database=database, payload=data.decode())

    client.event.qr(on_qr)
    client._NewClient__onLoginStatus = lambda *_: None
    KEPT.extend((client, on_qr))


def run(client: Any, database: str, proxy: Any) -> None:
    try:
        client.connect(proxy)
    except BaseException as error:  # noqa: BLE001
        say("raised", database=database, text=str(error))


if __name__ == "__main__":
    main()
