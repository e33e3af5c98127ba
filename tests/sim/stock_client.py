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
from pathlib import Path
from typing import Any

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


# Each event's name in the output and the fields that are told.
LISTENED = {
    "PairStatus": ("paired", ("Status",)),
    "Connected": ("connected", ()),
    "Disconnected": ("disconnected", ()),
    "LoggedOut": ("logged-out", ("OnConnect", "Reason")),
    "StreamReplaced": ("replaced", ()),
    "TemporaryBan": ("banned", ("Code", "Expire")),
    "ConnectFailure": ("failure", ("Reason", "Message")),
    "ClientOutdated": ("outdated", ()),
    "StreamError": ("stream-error", ("Code",)),
    "KeepAliveTimeout": ("keepalive-timeout", ("ErrorCount",)),
    "KeepAliveRestored": ("keepalive-restored", ()),
    "Receipt": ("receipt", ("Type",)),
    "OfflineSyncCompleted": ("offline-sync", ("Count",)),
}


def main() -> None:
    config = json.loads(sys.argv[1])
    os.environ["SSL_CERT_FILE"] = config["ca_file"]  # read by Go when the library starts, so before the imports
    os.dup2(os.open(config["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 1)
    os.dup2(1, 2)

    import pylibmagic  # noqa: F401, PLC0415
    from neonize.client import NewClient, ProxySettings  # noqa: PLC0415

    override_root_key(bytes.fromhex(config["noise_root_key"]))
    client = NewClient(config["database"], uuid=f"stock-{os.getpid()}")
    keep = watch_pairing(client, config.get("phone", "")), listen(client)
    host = config["proxy"].removeprefix("http://")
    say("starting", pid=os.getpid())
    try:
        client.connect(ProxySettings(f"http://{config['dialer']}:secret@{host}"))
        say("returned")
    except BaseException as error:  # noqa: BLE001
        say("raised", text=str(error))
    threading.Event().wait()
    del keep


def watch_pairing(client: Any, phone: str) -> list[object]:
    """Tell QR codes and their end; with a phone, ask for a code once the first QR code is there."""
    asked = threading.Event()

    def on_qr(_: object, data: bytes) -> None:
        say("qr", payload=data.decode())
        if phone and not asked.is_set():
            asked.set()
            threading.Thread(target=ask_for_code, daemon=True).start()

    def ask_for_code() -> None:
        try:
            say("code", code=client.PairPhone(phone, show_push_notification=True))
        except Exception as error:  # noqa: BLE001
            say("code-error", text=str(error))

    def on_login_status(_: int, status: int) -> None:
        say("login", status=ctypes.string_at(status).decode())

    client.event.qr(on_qr)
    client._NewClient__onLoginStatus = on_login_status
    return [on_qr, on_login_status]


def listen(client: Any) -> list[object]:
    """Tell every event of LISTENED; returns the handlers, which the library holds only weakly."""
    from neonize.proto import Neonize_pb2 as events  # noqa: PLC0415

    handlers: list[object] = []
    for kind, (name, fields) in LISTENED.items():

        def handler(_: object, message: object, name: str = name, fields: tuple[str, ...] = fields) -> None:
            say(name, **{field: plain(getattr(message, field)) for field in fields})

        handlers.append(handler)
        client.event(getattr(events, kind))(handler)
    return handlers


def plain(value: object) -> object:
    return value if isinstance(value, (int, str, bool, float)) else str(value)


if __name__ == "__main__":
    main()
