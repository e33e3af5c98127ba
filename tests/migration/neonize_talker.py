"""The stock neonize client with somebody at the keyboard, as a process for the tests of migration.

``python neonize_talker.py CONFIG``: JSON with proxy, ca_file, noise_root_key, database and log. Prints one JSON line an
event; reads one JSON line a command, ``{"to": "user@server", "text": "…"}``. It depends on nothing of wakit, so that
what wakit carried over is judged by the library alone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "sim"))
from stock_client import listen, override_root_key, say, watch_pairing


def main() -> None:
    config = json.loads(sys.argv[1])
    os.environ["SSL_CERT_FILE"] = config["ca_file"]
    os.dup2(os.open(config["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 1)
    os.dup2(1, 2)

    import pylibmagic  # noqa: F401, PLC0415
    from neonize.client import NewClient, ProxySettings  # noqa: PLC0415
    from neonize.proto import Neonize_pb2 as events  # noqa: PLC0415

    override_root_key(bytes.fromhex(config["noise_root_key"]))
    client = NewClient(config["database"], uuid=f"talker-{os.getpid()}")
    keep: list[object] = [watch_pairing(client, ""), listen(client)]

    def on_message(_: object, message: Any) -> None:
        said = message.Message
        say("message", text=said.conversation or said.extendedTextMessage.text)

    client.event(events.Message)(on_message)
    keep.append(on_message)
    threading.Thread(target=obey, args=(client,), daemon=True).start()
    host = config["proxy"].removeprefix("http://")
    say("starting", pid=os.getpid())
    client.connect(ProxySettings(f"http://talker:secret@{host}"))
    threading.Event().wait()
    del keep


def obey(client: Any) -> None:
    from neonize.utils.jid import build_jid  # noqa: PLC0415

    for line in sys.stdin:
        order = json.loads(line)
        user, _, server = order["to"].partition("@")
        try:
            client.send_message(build_jid(user, server), order["text"])
            say("sent", text=order["text"])
        except Exception as error:  # noqa: BLE001
            say("error", text=str(error))


if __name__ == "__main__":
    main()
