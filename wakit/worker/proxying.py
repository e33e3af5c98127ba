"""What a client asks a proxy for: the head of a CONNECT, and who says to be asking (RFC 9110, RFC 7617)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request, with what its Proxy-Authorization says ("" without one).

    Attributes:
        method: As it was sent.
        host: In lower case.
        port: 0 if the target has none.
        user: Whose dial it is.
        password: The nonce that proves it.
    """

    method: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)


def read_request(head: bytes) -> Request | None:
    r"""Read a request's head; None if it is not one a proxy gets.

    Example:
        >>> read_request(b"CONNECT web.whatsapp.com:443 HTTP/1.1\r\n\r\n")
        Request(method='CONNECT', host='web.whatsapp.com', port=443, user='')
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3:  # noqa: PLR2004 - method, target, version
        return None
    host, colon, port = words[1].rpartition(":")
    if words[0] == "CONNECT" and (not colon or not port.isdigit()):
        return None
    user, password = "", ""
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip().lower() == "proxy-authorization":
            user, password = _read_basic(value.strip())
    return Request(words[0], host.lower(), int(port) if port.isdigit() else 0, user, password)


def _read_basic(value: str) -> tuple[str, str]:
    scheme, _, encoded = value.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    user, _, password = decoded.partition(":")
    return user, password
