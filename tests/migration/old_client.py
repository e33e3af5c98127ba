"""An old release of the stock client pairs, and leaves a store as stores were then.

``python old_client.py CONFIG``, in a network and mount namespace of its own: JSON with site (where the release is
installed), state (of a sim), database and number. Prints ``paired`` when it is.

These releases take no proxy, they dial WhatsApp's address. So in here that address is this machine's own: a hosts file
says so, and a door on its port leads to the sim, which is in here too. No packet can get out: there is no way out.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__)
HOST = "web.whatsapp.com"
MS_BIND = 4096  # <sys/mount.h>


def bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:  # SIOCSIFFLAGS, netdevice(7)
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))


def be_whatsapp(folder: Path) -> None:
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {HOST}\n")
    if ctypes.CDLL(None, use_errno=True).mount(bytes(hosts), b"/etc/hosts", None, MS_BIND, None):
        raise OSError(ctypes.get_errno(), "mount")


def open_door(proxy: str) -> None:
    """Lead whoever comes to port 443 through the sim's proxy."""
    address, _, port = proxy.removeprefix("http://").partition(":")
    door = socket.create_server(("127.0.0.1", 443))

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        while True:
            caller, _ = door.accept()
            called = socket.create_connection((address, int(port)))
            called.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += called.recv(1)
            for ends in ((caller, called), (called, caller)):
                threading.Thread(target=pass_on, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()


def main() -> None:
    config = json.loads(sys.argv[1])
    if "noise_root_key" in config:
        return run_client(config)
    from wakit.sim.endpoint import sim_process  # noqa: PLC0415

    bring_loopback_up()
    be_whatsapp(Path(config["database"]).parent)
    with sim_process(Path(config["state"])) as sim:
        endpoint = sim.endpoint()
        open_door(endpoint.proxy)
        config |= {"noise_root_key": endpoint.noise_root_key, "ca_file": str(endpoint.ca_file)}
        client = subprocess.Popen([sys.executable, str(HERE), json.dumps(config)], stdout=subprocess.PIPE)
        try:
            assert client.stdout
            for line in client.stdout:
                event = json.loads(line)
                if event["event"] == "qr" and not sim.status().connected(config["number"]):
                    sim.scan(config["number"], event["payload"])
                if event["event"] == "connected":
                    sys.stdout.write("paired\n")
                    return None
        finally:
            client.kill()
            client.communicate()
    return None


def run_client(config: dict[str, str]) -> None:
    sys.path.insert(0, str(HERE.parent.parent / "sim"))
    from stock_client import override_root_key, say  # noqa: PLC0415

    os.environ["SSL_CERT_FILE"] = config["ca_file"]
    os.dup2(os.open(config["database"] + ".log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 1)
    os.dup2(1, 2)
    sys.path.insert(0, config["site"])

    import pylibmagic  # noqa: F401, PLC0415
    from neonize.client import NewClient  # noqa: PLC0415
    from neonize.proto import Neonize_pb2 as events  # noqa: PLC0415

    override_root_key(bytes.fromhex(config["noise_root_key"]))
    client = NewClient(config["database"], uuid="old")
    client._NewClient__onLoginStatus = lambda *_: None
    client.event.qr(lambda _, data: say("qr", payload=data.decode()))
    client.event(events.Connected)(lambda *_: say("connected"))
    client.connect()
    threading.Event().wait()


if __name__ == "__main__":
    main()
