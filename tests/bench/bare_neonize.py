"""A bare neonize process for the benchmark: restores sessions as its documentation shows, without wakit.

Reads one JSON object from standard input (``proxy``, ``ca_file``, ``noise_root_key``, ``databases``), starts a client
for each database at once, prints ``connected`` when all are, and waits to be killed. Only the key is set by wakit.
"""

from __future__ import annotations

import json
import os
import sys
import threading


def main() -> None:
    order = json.load(sys.stdin)
    os.environ["SSL_CERT_FILE"] = order["ca_file"]

    import pylibmagic  # noqa: F401, PLC0415 - finds libmagic for neonize

    # isort: split
    from neonize._binder import ProxySettings  # noqa: PLC0415
    from neonize.client import NewClient  # noqa: PLC0415
    from neonize.events import ConnectedEv  # noqa: PLC0415

    from wakit.whatsapp.loopback import replace_noise_root  # noqa: PLC0415

    replace_noise_root(order["noise_root_key"])
    left = len(order["databases"])
    lock = threading.Lock()

    def connected(_client: NewClient, _event: object) -> None:
        nonlocal left
        with lock:
            left -= 1
            if left == 0:
                print("connected", flush=True)

    for number, database in enumerate(order["databases"]):
        client = NewClient(database, uuid=f"bare-{number}")
        client.event(ConnectedEv)(connected)
        threading.Thread(target=client.connect, args=(ProxySettings(order["proxy"]),), daemon=True).start()
    threading.Event().wait()


main()
