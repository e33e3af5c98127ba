"""A stock neonize client that writes to several others at a steady pace, and tells when each message was opened.

``python writer.py CONFIG``: JSON with proxy, ca_file, noise_root_key, database, log, pace (seconds between two messages
to one recipient) and recipients (name to number). It prints ``qr`` and ``connected``; on the line ``go`` it begins to
write, on ``stop`` it stops, and prints ``written`` once every message was opened or patience ran out: for each name the
moments (CLOCK_MONOTONIC, one for the machine) at which a message was due, and at which its receipt came, or null.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "sim"))
from stock_client import listen, override_root_key, say, watch_pairing

PATIENCE = 20.0


class Correspondence:
    """What was written, and when it was opened."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[str, tuple[str, float]] = {}
        self._opened: dict[str, float] = {}

    def wrote(self, message: str, to: str, due: float) -> None:
        with self._changed:
            self._due[message] = to, due
            self._changed.notify_all()

    def opened(self, message: str) -> None:
        now = time.monotonic()
        with self._changed:
            self._opened.setdefault(message, now)
            self._changed.notify_all()

    def told(self) -> dict[str, list[tuple[float, float | None]]]:
        """Wait until everything was opened, and return the moments by recipient."""
        with self._changed:
            self._changed.wait_for(lambda: self._due.keys() <= self._opened.keys(), PATIENCE)
            found: dict[str, list[tuple[float, float | None]]] = {}
            for message, (to, due) in self._due.items():
                found.setdefault(to, []).append((due, self._opened.get(message)))
        return found


def write(client: Any, name: str, config: dict[str, Any], kept: Correspondence, stop: threading.Event) -> None:
    """Write at a steady pace: one that could not be handed in in time delays the next, and that counts."""
    from neonize.utils.jid import build_jid  # noqa: PLC0415

    due = time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        answer = client.send_message(build_jid(config["recipients"][name]), f"it is {due}")
        kept.wrote(answer.ID, name, due)
        due += config["pace"]


def main() -> None:
    config = json.loads(sys.argv[1])
    os.environ["SSL_CERT_FILE"] = config["ca_file"]
    os.dup2(os.open(config["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 1)
    os.dup2(1, 2)

    import pylibmagic  # noqa: F401, PLC0415
    from neonize.client import NewClient, ProxySettings  # noqa: PLC0415
    from neonize.proto import Neonize_pb2 as events  # noqa: PLC0415

    override_root_key(bytes.fromhex(config["noise_root_key"]))
    client = NewClient(config["database"], uuid=f"writer-{os.getpid()}")
    kept, stop = Correspondence(), threading.Event()
    keep: list[object] = [watch_pairing(client, ""), listen(client)]

    def on_receipt(_: object, receipt: Any) -> None:
        for message in receipt.MessageIDs:
            kept.opened(message)

    client.event(events.Receipt)(on_receipt)
    proxy = ProxySettings(f"http://writer:secret@{config['proxy'].removeprefix('http://')}")
    threading.Thread(target=client.connect, args=(proxy,), daemon=True).start()
    writers = [
        threading.Thread(target=write, args=(client, name, config, kept, stop), daemon=True)
        for name in config["recipients"]
    ]
    for line in sys.stdin:
        if line == "go\n":
            for writer in writers:
                writer.start()
        else:
            stop.set()
            for writer in writers:
                writer.join()
            say("written", messages=kept.told())
    threading.Event().wait()
    del keep, on_receipt


if __name__ == "__main__":
    main()
