"""Points the library at a WhatsApp server on loopback, in this worker's memory only.

Two things stand between the stock library and a server of ours, and both are checks the real one passes: the TLS
certificate, and the Noise handshake's root key. The first is answered by an environment variable Go reads
(:func:`trust_only`), the second by writing the server's public key over the 32 pinned bytes in the loaded library's
writable data (:func:`replace_noise_root`). No file changes, and nothing outlives the process.

Whoever could do this for a remote address could read a user's messages. So both are done only for an endpoint whose
host *is* a loopback address, written as one (:func:`loopback_address`); a name is never looked up. The declaration
is checked for it when it is read, and it is checked again here, where it counts.

The pinned key is whatsmeow's ``WACertPubKey`` (handshake.go).
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from wakit.core.loopback import is_loopback
from wakit.errors import EndpointError

_PINNED: Final = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")
_LIBRARY: Final = re.compile(r"/neonize-[a-z0-9_-]+\.so$")
_MAPPING: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \S+\s*(.*)")


def loopback_address(proxy: str) -> tuple[str, int]:
    """Return the address an endpoint's proxy URL names; ``localhost`` becomes 127.0.0.1, whatever /etc/hosts says.

    Raises:
        EndpointError: It is no ``http://HOST:PORT`` of a loopback address.

    Example:
        >>> loopback_address("http://localhost:8443")
        ('127.0.0.1', 8443)
    """
    try:
        url = urlsplit(proxy)
        scheme, host, port = url.scheme, url.hostname or "", url.port
    except ValueError:
        scheme, host, port = "", "", None
    if scheme != "http" or port is None or not is_loopback(host):
        raise EndpointError(
            "The endpoint was refused",
            why="its proxy is not http://HOST:PORT of a loopback address",
            hint='write [endpoint] proxy = "http://127.0.0.1:PORT", or remove [endpoint] to use WhatsApp itself',
        )
    return ("127.0.0.1" if host.lower() == "localhost" else host), port


def trust_only(ca_file: str) -> None:
    """Make Go trust this CA and no other. Must come before the library is loaded: Go reads it once.

    Raises:
        EndpointError: The file cannot be read.
    """
    try:
        certificate = Path(ca_file).read_bytes()
    except OSError as error:
        raise EndpointError(
            "The endpoint's CA cannot be read", why=error.strerror or "", hint="check [endpoint] ca_file"
        ) from error
    if b"-----BEGIN CERTIFICATE-----" not in certificate:
        raise EndpointError(
            "The endpoint's CA cannot be used", why="the file holds no PEM certificate", hint="check [endpoint] ca_file"
        )
    os.environ["SSL_CERT_FILE"] = ca_file
    # Without this, crypto/x509 adds the system's certificate folders to the one file (root_unix.go).
    os.environ["SSL_CERT_DIR"] = os.devnull


def replace_noise_root(key_hex: str) -> None:
    """Write the endpoint's Noise root public key over the pinned one. The library must be loaded, no client started.

    Raises:
        EndpointError: Not on Linux, not a key, or the pinned key is not where it is expected.
    """
    if not sys.platform.startswith("linux"):
        raise EndpointError(
            "A loopback endpoint cannot be used here",
            why="the library's root key can be replaced on Linux only",
            hint="run wakit on Linux (a container will do), or remove [endpoint] to use WhatsApp itself",
        )
    try:
        key = bytes.fromhex(key_hex)
    except ValueError:
        key = b""
    if len(key) != len(_PINNED):
        raise EndpointError(
            "The endpoint was refused", why="noise_root_key is not 32 bytes in hex", hint="check [endpoint]"
        )
    found = _find_pinned()
    if len(found) != 1:
        raise EndpointError(
            "The endpoint cannot be used with this library",
            why=f"its pinned root key stands in memory {len(found)} times instead of once",
            hint="install the neonize release that wakit pins",
        )
    ctypes.memmove(found[0], key, len(key))


def _find_pinned() -> list[int]:
    """Return every address in the library's writable data that holds the pinned key."""
    addresses: list[int] = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        mapping = _MAPPING.match(line)
        if mapping is None or not mapping[3].startswith("rw") or not _LIBRARY.search(mapping[4]):
            continue
        start, end = int(mapping[1], 16), int(mapping[2], 16)
        data = ctypes.string_at(start, end - start)
        at = data.find(_PINNED)
        while at >= 0:
            addresses.append(start + at)
            at = data.find(_PINNED, at + 1)
    return addresses
