"""Every way to reach WhatsApp, and every way in which it fails, against upstreams on loopback."""

from __future__ import annotations

import asyncio
import errno

import pytest
from proxies import closed_port, echo, hang_up, http_proxy, serving, silence, socks4_proxy, socks5_proxy

import wakit.worker.dialing
from wakit.core.declaration import Endpoint
from wakit.errors import EndpointError
from wakit.redact import Secret
from wakit.whatsapp.port import DialFailure, SessionStart
from wakit.worker.dialing import (
    DialError,
    Direct,
    NoWay,
    SharedLookUps,
    ThroughProxy,
    ToEndpoint,
    is_whatsapp,
    route_for,
)

WEB = "web.whatsapp.com"


async def here(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


async def answers(streams) -> bool:
    reader, writer = streams
    writer.write(b"hello")
    got = await reader.readexactly(5)
    writer.close()
    await writer.wait_closed()
    return got == b"hello"


async def failure(route, port: int = 443) -> DialError:
    with pytest.raises(DialError) as failed:
        await route.dial("sales", WEB, port)
    return failed.value


@pytest.mark.parametrize(
    ("host", "port", "allowed"),
    [
        (WEB, 443, True),
        ("mmg.whatsapp.net", 443, True),
        ("media-mad1-1.cdn.whatsapp.net", 443, True),
        ("g.whatsapp.net", 443, True),
        (WEB, 80, False),
        ("whatsapp.net", 443, False),
        ("evil-whatsapp.net", 443, False),
        ("web.whatsapp.com.evil.example", 443, False),
        ("127.0.0.1", 443, False),
        ("", 443, False),
    ],
)
def test_the_egress_list(host: str, port: int, allowed: bool):
    assert is_whatsapp(host, port) is allowed


async def test_direct():
    async with serving(echo) as port:
        assert await answers(await Direct(here).dial("sales", WEB, port))


async def test_direct_tries_the_next_address():
    async def two(_host: str, _port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with serving(echo) as port:
        assert await answers(await Direct(two).dial("sales", WEB, port))


async def test_a_name_that_cannot_be_looked_up_is_named():
    async def nowhere(_host: str, _port: int) -> list[str]:
        raise OSError(-3, "Temporary failure in name resolution")

    failed = await failure(Direct(nowhere))
    assert failed.cause is DialFailure.NAME_LOOKUP
    assert failed.detail == "name look-up of web.whatsapp.com failed"


async def test_a_refused_connection():
    failed = await failure(Direct(here), closed_port())
    assert failed.cause is DialFailure.REFUSED
    assert "web.whatsapp.com refused" in failed.detail


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.ENETUNREACH, ""), DialFailure.UNREACHABLE),
        (OSError(errno.EHOSTUNREACH, ""), DialFailure.UNREACHABLE),
        (OSError(errno.ETIMEDOUT, ""), DialFailure.TIMEOUT),
        (TimeoutError(), DialFailure.TIMEOUT),
        (OSError(errno.ECONNRESET, ""), DialFailure.CLOSED),
    ],
)
async def test_other_failures_of_the_network(monkeypatch, error: OSError, cause: DialFailure):
    async def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(wakit.worker.dialing.asyncio, "open_connection", fail)
    assert (await failure(Direct(here))).cause is cause


async def test_one_look_up_serves_all_who_wait():
    asked = 0
    answer = asyncio.Event()

    async def slow(_host: str, _port: int) -> list[str]:
        nonlocal asked
        asked += 1
        await answer.wait()
        return ["127.0.0.1"]

    shared = SharedLookUps(slow)
    waiting = [asyncio.create_task(shared(WEB, 443)) for _ in range(10)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # one that gives up takes the look-up away from nobody
    await asyncio.sleep(0)
    answer.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert results[1:] == [["127.0.0.1"]] * 9
    assert asked == 1
    await shared(WEB, 443)
    assert asked == 2


@pytest.mark.parametrize(
    ("scheme", "proxy", "asked"),
    [
        ("http", http_proxy, "CONNECT web.whatsapp.com:443"),
        ("socks5", socks5_proxy, "web.whatsapp.com:443"),
        ("socks4", socks4_proxy, "web.whatsapp.com:443"),
    ],
)
async def test_proxies_get_the_name_and_look_it_up_themselves(scheme: str, proxy, asked: str):
    seen: list[str] = []
    async with serving(echo) as target, serving(proxy(target, seen)) as port:
        route = ThroughProxy(Secret(f"{scheme}://127.0.0.1:{port}"))
        assert await answers(await route.dial("sales", WEB, 443))
    assert seen[0].startswith(asked)


async def test_a_proxys_password():
    async with serving(echo) as target, serving(socks5_proxy(target, [], password="sw%rd fish")) as port:
        assert await answers(
            await ThroughProxy(Secret(f"socks5://me:sw%25rd%20fish@127.0.0.1:{port}")).dial("sales", WEB, 443)
        )
        failed = await failure(ThroughProxy(Secret(f"socks5://me:wrongone@127.0.0.1:{port}")))
    assert failed.cause is DialFailure.PROXY_DENIED
    assert "wrongone" not in failed.detail


@pytest.mark.parametrize(
    ("scheme", "handler"),
    [
        ("http", http_proxy(0, [], answer=b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")),
        ("http", http_proxy(0, [], answer=b"HTTP/1.1 403 Forbidden\r\n\r\n")),
        ("socks5", socks5_proxy(0, [], reply=2)),
        ("socks5", socks5_proxy(0, [], reply=5)),
        ("socks4", socks4_proxy(0, [], granted=False)),
    ],
)
async def test_a_proxy_that_says_no(scheme: str, handler):
    async with serving(handler) as port:
        failed = await failure(ThroughProxy(Secret(f"{scheme}://127.0.0.1:{port}")))
    assert failed.cause is DialFailure.PROXY_DENIED
    assert failed.detail.startswith("the session's proxy said no")


@pytest.mark.parametrize("scheme", ["http", "socks4", "socks5"])
async def test_a_proxy_that_is_not_there_or_breaks_off(scheme: str):
    failed = await failure(ThroughProxy(Secret(f"{scheme}://127.0.0.1:{closed_port()}")))
    assert failed.cause is DialFailure.PROXY_UNREACHABLE
    assert "connection refused" in failed.detail
    async with serving(hang_up) as port:
        failed = await failure(ThroughProxy(Secret(f"{scheme}://127.0.0.1:{port}")))
    assert failed.cause in (DialFailure.PROXY_UNREACHABLE, DialFailure.PROXY_DENIED)


async def test_a_proxy_that_never_answers(monkeypatch):
    monkeypatch.setattr(wakit.worker.dialing, "DIAL_DEADLINE", 0.1)
    async with serving(silence) as port:
        failed = await failure(ThroughProxy(Secret(f"http://127.0.0.1:{port}")))
    assert failed.cause is DialFailure.PROXY_UNREACHABLE


async def test_the_endpoint_is_asked_by_name_and_told_who_dials():
    seen: list[str] = []
    async with serving(echo) as target, serving(http_proxy(target, seen)) as port:
        assert await answers(await ToEndpoint("127.0.0.1", port).dial("sales", WEB, 443))
    assert seen[0].startswith("CONNECT web.whatsapp.com:443")
    assert "Proxy-Authorization: Basic c2FsZXM6" in seen[0]  # "sales:"


@pytest.mark.parametrize(
    ("handler", "cause"),
    [
        (http_proxy(0, [], answer=b"HTTP/1.1 503 No\r\n\r\n"), DialFailure.REFUSED),
        (http_proxy(0, [], answer=b"SSH-2.0\r\n\r\n"), DialFailure.CLOSED),
        (hang_up, DialFailure.CLOSED),
    ],
)
async def test_an_endpoint_that_says_no(handler, cause: DialFailure):
    async with serving(handler) as port:
        assert (await failure(ToEndpoint("127.0.0.1", port))).cause is cause


async def test_an_endpoint_that_is_not_there():
    failed = await failure(ToEndpoint("127.0.0.1", closed_port()))
    assert failed.cause is DialFailure.REFUSED


async def test_an_endpoint_through_a_loopback_proxy():
    seen: list[str] = []
    async with (
        serving(echo) as target,
        serving(http_proxy(target, [])) as endpoint,
        serving(socks5_proxy(endpoint, seen)) as proxy,
    ):
        start = SessionStart(name="a", directory="/d", epoch=1, proxy=Secret(f"socks5://127.0.0.1:{proxy}"))
        route = route_for(start, Endpoint(f"http://127.0.0.1:{endpoint}", "/ca", "00"), here)
        assert await answers(await route.dial("a", WEB, 443))
    assert seen == [f"127.0.0.1:{endpoint}"]


async def test_with_an_endpoint_a_remote_proxy_is_refused():
    start = SessionStart(name="a", directory="/d", epoch=1, proxy=Secret("socks5://u:p@proxy.example.org:1080"))
    route = route_for(start, Endpoint("http://127.0.0.1:1", "/ca", "00"), here)
    assert isinstance(route, NoWay)
    failed = await failure(route)
    assert failed.cause is DialFailure.NOT_ALLOWED
    assert "loopback" in failed.detail


def test_a_remote_endpoint_is_refused():
    with pytest.raises(EndpointError):
        route_for(SessionStart(name="a", directory="/d", epoch=1), Endpoint("http://10.0.0.1:1", "/ca", "00"), here)


def test_routes_do_not_show_their_secrets():
    start = SessionStart(name="a", directory="/d", epoch=1, proxy=Secret("socks5://u:swordfish@127.0.0.1:1080"))
    assert "swordfish" not in repr(route_for(start, None, here))
