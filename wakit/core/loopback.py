"""Which hosts are this machine, told by their spelling alone."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Tell whether a host is written as a loopback address; nothing is looked up.

    Shorthands (``127.1``, ``0x7f000001``) and IPv4-mapped IPv6 are not taken, because programs disagree about them.

    Example:
        >>> is_loopback("127.8.8.8"), is_loopback("::1"), is_loopback("127.0.0.1.example.com")
        (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return address == ipaddress.IPv6Address("::1") and address.scope_id is None
    return address.is_loopback
