"""How a dial reaches its destination: directly, through the session's proxy, or to a server on loopback instead.

A route is chosen once a session, when its worker starts, and every dial of that session takes it. Where a route can go
is decided here and nowhere else:

- without an endpoint, to WhatsApp's hosts on port 443 and nothing else (:func:`is_whatsapp`);
- with one, to that loopback server and nothing else, whatever name was asked for; a session's proxy is used on the way
  only if it is on loopback itself, because any other would be a way out.

A dial that fails says why in a person's words. Names of users, passwords and addresses of proxies are not in them.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias
from urllib.parse import urlsplit

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError
from python_socks.async_.asyncio import Proxy

from wakit.core.declaration import Endpoint
from wakit.core.loopback import is_loopback
from wakit.redact import Secret, scrub
from wakit.whatsapp.loopback import loopback_address
from wakit.whatsapp.port import DialFailure, SessionStart

DIAL_DEADLINE: Final = 20.0
"""Seconds a dial may take. The library waits a minute for a proxy's answer, and blocks its own stop() meanwhile."""

LOGIN_HOST: Final = "web.whatsapp.com"
"""Where the web socket is; every other host is for media, and says nothing about a session's connection."""

_EACH_ADDRESS: Final = 6.0
_LONGEST_REPLY: Final = 16 << 10

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]


class DialError(Exception):
    """A dial did not get through. ``detail`` is a sentence for people, without secrets."""

    def __init__(self, cause: DialFailure, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail


class NotYetError(DialError):
    """A dial's turn did not come in the time the library waits. Nothing failed: nobody was dialled."""

    def __init__(self, detail: str) -> None:
        super().__init__(DialFailure.TIMEOUT, detail)


class CutError(DialError):
    """wakit does not let the session dial any more. Nothing failed: its client is being ended, or is to dial anew."""

    def __init__(self) -> None:
        super().__init__(DialFailure.NOT_ALLOWED, "wakit has cut this session's network")


def is_whatsapp(host: str, port: int) -> bool:
    """Tell whether a dial goes to WhatsApp: its web socket, or its media hosts.

    Example:
        >>> is_whatsapp("web.whatsapp.com", 443), is_whatsapp("mmg.whatsapp.net", 443), is_whatsapp("example.org", 443)
        (True, True, False)
    """
    return port == 443 and (host == LOGIN_HOST or host.endswith(".whatsapp.net"))  # noqa: PLR2004 - HTTPS


class Route(Protocol):
    """One way to reach a destination."""

    async def dial(self, session: str, host: str, port: int) -> Streams:
        """Connect.

        Raises:
            DialError: It did not get through, with the cause.
        """


async def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as the system's resolver orders them; raises OSError if it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class SharedLookUps:
    """One look-up at a time for each host, however many sessions want it.

    The system's resolver blocks a thread for each look-up, for many seconds when the network is gone; a hundred
    sessions that redial at once would wait for a handful of threads.
    """

    def __init__(self, resolve: Resolve = look_up) -> None:
        self._resolve = resolve
        self._running: dict[tuple[str, int], asyncio.Task[list[str]]] = {}

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return the host's addresses."""
        key = (host, port)
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._run(key))
        return await asyncio.shield(task)

    async def _run(self, key: tuple[str, int]) -> list[str]:
        try:
            return await self._resolve(*key)
        finally:
            del self._running[key]


@dataclass(frozen=True, slots=True)
class Direct:
    """Straight to the destination."""

    resolve: Resolve

    async def dial(self, session: str, host: str, port: int) -> Streams:
        """Look the name up and try its addresses in turn."""
        del session
        try:
            addresses = await self.resolve(host, port)
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise DialError(DialFailure.NAME_LOOKUP, f"name look-up of {host} failed")
        failure = DialError(DialFailure.UNREACHABLE, f"{host} cannot be reached")
        for address in addresses:
            try:
                async with asyncio.timeout(_EACH_ADDRESS):
                    return await asyncio.open_connection(address, port)
            except OSError as error:  # TimeoutError is one
                failure = _explain(error, host)
        raise failure


@dataclass(frozen=True, slots=True)
class ThroughProxy:
    """Through an HTTP, SOCKS4 or SOCKS5 proxy, which looks the name up itself."""

    url: Secret = field(repr=False)

    async def dial(self, session: str, host: str, port: int) -> Streams:
        """Ask the proxy for a connection."""
        del session
        try:
            proxy = Proxy.from_url(self.url.reveal(), rdns=True)
            connected = await proxy.connect(host, port, timeout=DIAL_DEADLINE)
        except ProxyTimeoutError:
            raise DialError(DialFailure.PROXY_UNREACHABLE, "the session's proxy does not answer") from None
        except ProxyConnectionError as error:
            raise DialError(
                DialFailure.PROXY_UNREACHABLE, f"the session's proxy cannot be reached: {_words(error.errno)}"
            ) from None
        except ProxyError as error:
            raise DialError(DialFailure.PROXY_DENIED, f"the session's proxy said no: {scrub(str(error))}") from None
        except (OSError, ValueError):
            raise DialError(DialFailure.PROXY_UNREACHABLE, "the session's proxy broke off") from None
        return await asyncio.open_connection(sock=connected)


@dataclass(frozen=True, slots=True)
class ToEndpoint:
    """To a loopback server that plays WhatsApp, through its own CONNECT proxy.

    The session's name is sent as the proxy's user, so that the server can tell dials apart.
    """

    host: str
    port: int
    via: ThroughProxy | None = None

    async def dial(self, session: str, host: str, port: int) -> Streams:
        """Connect to the server and ask it for ``host:port``."""
        if self.via is not None:
            reader, writer = await self.via.dial(session, self.host, self.port)
        else:
            try:
                reader, writer = await asyncio.open_connection(self.host, self.port)
            except OSError as error:
                raise _explain(error, "the endpoint") from None
        try:
            await _ask_for(session, host, port, reader, writer)
        except BaseException:
            writer.close()
            raise
        return reader, writer


@dataclass(frozen=True, slots=True)
class NoWay:
    """No way at all; every dial is refused for the same reason."""

    why: str

    async def dial(self, session: str, host: str, port: int) -> Streams:
        """Refuse."""
        del session, host, port
        raise DialError(DialFailure.NOT_ALLOWED, self.why)


def route_for(start: SessionStart, endpoint: Endpoint | None, resolve: Resolve) -> Route:
    """Choose a session's route.

    Raises:
        EndpointError: The endpoint is not a loopback address.
    """
    proxy = None if start.proxy is None else ThroughProxy(start.proxy)
    if endpoint is None:
        return Direct(resolve) if proxy is None else proxy
    host, port = loopback_address(endpoint.proxy)
    if proxy is not None and not is_loopback(urlsplit(proxy.url.reveal()).hostname or ""):
        return NoWay("with an [endpoint], a session's proxy must be on loopback too")
    return ToEndpoint(host, port, proxy)


async def _ask_for(
    session: str, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    user = base64.b64encode(f"{session}:".encode()).decode()
    writer.write(
        f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nProxy-Authorization: Basic {user}\r\n\r\n".encode()
    )
    try:
        reply = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        raise DialError(DialFailure.CLOSED, "the endpoint closed the connection without an answer") from None
    status = reply.split(b"\r\n", 1)[0].split(b" ", 2)[1:2]
    if len(reply) > _LONGEST_REPLY or not status or not status[0].isdigit():
        raise DialError(DialFailure.CLOSED, "the endpoint's answer is not HTTP")
    if not status[0].startswith(b"2"):
        raise DialError(DialFailure.REFUSED, f"the endpoint refused the dial ({status[0].decode()})")


def _explain(error: OSError, host: str) -> DialError:
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return DialError(DialFailure.TIMEOUT, f"{host} did not answer in time")
    if error.errno == errno.ECONNREFUSED:
        return DialError(DialFailure.REFUSED, f"{host} refused the connection")
    if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL):
        return DialError(DialFailure.UNREACHABLE, f"{host} cannot be reached: {_words(error.errno)}")
    return DialError(DialFailure.CLOSED, f"the connection to {host} failed: {_words(error.errno)}")


def _words(number: int | None) -> str:
    match number:
        case errno.ECONNREFUSED:
            return "connection refused"
        case errno.ENETUNREACH | errno.ENETDOWN:
            return "there is no network"
        case errno.EHOSTUNREACH:
            return "no way to that host"
        case int() if number > 0:
            return errno.errorcode.get(number, "unknown error")
        case _:  # getaddrinfo's numbers are negative
            return "its name cannot be looked up"
