"""The stock neonize client as a process of its own, driven by the tests of the sim.

``python stock_client.py CONFIG`` where CONFIG is JSON: proxy, ca_file, noise_root_key, database, dialer and optionally
phone (a code is then asked for after the first QR code). It prints one JSON line an event and never ends by itself: the
last word to the Go library is SIGKILL.

It depends on nothing of wakit, so that the sim is judged by a client it does not share a line with.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
import threading
import traceback
from pathlib import Path

PINNED_ROOT_KEY = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")

_out = os.fdopen(os.dup(1), "w", buffering=1)
_lock = threading.Lock()


def say(event: str, **detail: object) -> None:
    with _lock:
        _out.write(json.dumps({"event": event, **detail}) + "\n")
        _out.flush()


def override_root_key(key: bytes) -> None:
    """Replace the pinned key in the library's writable memory."""
    replaced = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "neonize" not in line or "rw" not in line.split()[1]:
            continue
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        for found in re.finditer(re.escape(PINNED_ROOT_KEY), ctypes.string_at(start, end - start)):
            ctypes.memmove(start + found.start(), key, len(key))
            replaced += 1
    if replaced != 1:
        raise RuntimeError(f"the pinned key was found {replaced} times")


def main() -> None:
    config = json.loads(sys.argv[1])
    os.environ["SSL_CERT_FILE"] = config["ca_file"]
    os.dup2(os.open(config["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 1)
    os.dup2(1, 2)

    import pylibmagic  # noqa: F401
    from neonize import client as neonize_client
    from neonize.client import NewClient
    from neonize.proto import Neonize_pb2 as events
    from neonize.utils import log as neonize_log

    neonize_log.setLevel(config.get("level", "WARNING"))
    override_root_key(bytes.fromhex(config["noise_root_key"]))

    client = NewClient(config["database"], uuid=f"stock-{os.getpid()}")
    asked = threading.Event()

    def on_qr(_: NewClient, data: bytes) -> None:
        say("qr", payload=data.decode())
        if config.get("phone") and not asked.is_set():
            asked.set()
            threading.Thread(target=ask_for_code, daemon=True).start()

    def ask_for_code() -> None:
        try:
            say("code", code=client.PairPhone(config["phone"], show_push_notification=True))
        except Exception as error:  # noqa: BLE001
            say("code-error", text=str(error))

    def on_login_status(_: int, status: int) -> None:
        say("login", status=ctypes.string_at(status).decode())

    client.event.qr(on_qr)
    client._NewClient__onLoginStatus = on_login_status
    keep = []

    def listen(kind: type, name: str, *fields: str) -> None:
        def handler(_: NewClient, message: object) -> None:
            say(name, **{field: _plain(getattr(message, field)) for field in fields})

        keep.append(handler)
        client.event(kind)(handler)

    listen(events.PairStatus, "paired", "Status")
    listen(events.Connected, "connected")
    listen(events.Disconnected, "disconnected")
    listen(events.LoggedOut, "logged-out", "OnConnect", "Reason")
    listen(events.StreamReplaced, "replaced")
    listen(events.TemporaryBan, "banned", "Code", "Expire")
    listen(events.ConnectFailure, "failure", "Reason", "Message")
    listen(events.ClientOutdated, "outdated")
    listen(events.StreamError, "stream-error", "Code")
    listen(events.KeepAliveTimeout, "keepalive-timeout", "ErrorCount")
    listen(events.KeepAliveRestored, "keepalive-restored")
    listen(events.OfflineSyncCompleted, "offline-sync", "Count")

    host = config["proxy"].removeprefix("http://")
    proxy = neonize_client.ProxySettings(f"http://{config['dialer']}:secret@{host}")
    say("starting", pid=os.getpid())
    try:
        client.connect(proxy)
        say("returned")
    except BaseException as error:  # noqa: BLE001
        say("raised", text=str(error), trace=traceback.format_exc())
    threading.Event().wait()


def _plain(value: object) -> object:
    return value if isinstance(value, (int, str, bool, float)) else str(value)


if __name__ == "__main__":
    main()
