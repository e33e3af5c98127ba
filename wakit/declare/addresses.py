"""The two kinds of URL a declaration may hold: an upstream proxy, and the proxy of a loopback endpoint.

A proxy URL may carry a password, so no message here repeats any part of one.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from wakit.core.loopback import is_loopback
from wakit.declare.problems import Refusal, closest

PROXY_SCHEMES: Final = ("http", "socks5", "socks4")
_PROXY_HINT: Final = 'write scheme://[user:password@]host:port, for example "socks5://127.0.0.1:1080"'
_ENDPOINT_HINT: Final = (
    'write "http://127.0.0.1:PORT"; only loopback addresses (127.0.0.0/8, ::1, localhost) are allowed'
)
# Host names as in RFC 1123, plus the underscore that container networks use.
_HOST_NAME: Final = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")


def check_proxy(text: str) -> str:
    """Return an upstream proxy's URL if it is one.

    Raises:
        Refusal: It is not; the reason repeats nothing of it.

    Example:
        >>> check_proxy("socks5://user:secret@127.0.0.1:1080")
        'socks5://user:secret@127.0.0.1:1080'
    """
    url = _split(text, _PROXY_HINT)
    if url.scheme not in PROXY_SCHEMES:
        raise Refusal("this proxy's scheme is not supported", why=_why_scheme(url.scheme), hint=_PROXY_HINT)
    _require_host_and_port(url, _PROXY_HINT)
    return text


def check_endpoint(text: str) -> str:
    """Return a loopback server's proxy URL if it is one.

    Raises:
        Refusal: The address is not a loopback one, or not a plain ``http://host:port``.

    Example:
        >>> check_endpoint("http://127.0.0.1:8443")
        'http://127.0.0.1:8443'
    """
    url = _split(text, _ENDPOINT_HINT)
    if url.scheme != "http":
        raise Refusal("an endpoint is reached over http", why="the scheme is another", hint=_ENDPOINT_HINT)
    if url.username is not None:
        raise Refusal("an endpoint takes no user or password", hint=_ENDPOINT_HINT)
    if not is_loopback(url.hostname or ""):
        raise Refusal(
            "only a loopback address may stand here",
            why="an endpoint replaces WhatsApp and its keys, which is for servers on this machine",
            hint=_ENDPOINT_HINT,
        )
    _require_host_and_port(url, _ENDPOINT_HINT)
    return text


def _split(text: str, hint: str) -> SplitResult:
    # urlsplit drops tabs and line ends silently and keeps spaces; a URL has neither.
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise Refusal("this is not a URL", why="it holds a space or a character that a URL must escape", hint=hint)
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        # The library's own words would repeat the user's text.
        raise Refusal("this is not a URL", why="its host or port cannot be read", hint=hint) from None
    if "://" not in text or not url.netloc:
        raise Refusal("this is not a URL", why="it needs a scheme and a host", hint=hint)
    if url.path not in ("", "/") or url.query or url.fragment or "?" in text or "#" in text:
        # A raw "/", "?" or "#" inside a password ends the host part early, which is a likelier cause than a real path.
        raise Refusal(
            "a proxy's URL ends after the port",
            why="something follows the host and the port",
            hint="escape special characters in a password: / is %2F, ? is %3F, # is %23, @ is %40",
        )
    return url


def _require_host_and_port(url: SplitResult, hint: str) -> None:
    host = url.hostname or ""
    if not _is_host(host):
        raise Refusal("this is not a URL", why="its host is missing or malformed", hint=hint)
    if not url.port:
        raise Refusal("the port is missing", why="no port is assumed for a proxy", hint=hint)


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOST_NAME.fullmatch(host) is not None
    return True


def _why_scheme(scheme: str) -> str:
    supported = ", ".join(PROXY_SCHEMES)
    if scheme == "socks5h":
        return "socks5 already has the proxy look names up, so write socks5"
    if scheme == "https":
        return "a proxy that itself speaks TLS is not supported; most that are sold as https proxies are http ones"
    guess = closest(scheme, PROXY_SCHEMES)
    return f"supported are {supported}" + (f"; did you mean {guess}?" if guess else "")
