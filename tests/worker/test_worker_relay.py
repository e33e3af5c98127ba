"""The relay from outside: who may dial, what is refused and how it is told, what is counted, what a cut does."""

from __future__ import annotations

import asyncio
import base64
import doctest
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType
from urllib.parse import urlsplit

import pytest
from proxies import echo, serving

from wakit.whatsapp.port import DialFailure
from wakit.worker import metering, proxying
from wakit.worker.dialing import DialError, Streams
from wakit.worker.messages import Traffic
from wakit.worker.relay import Relay

WEB = "web.whatsapp.com:443"


SEGMENT, SEGMENTS = 1 << 20, 64


@pytest.mark.parametrize("module", [proxying, metering])
def test_the_example_in_the_docstring_runs(module: ModuleType) -> None:
    ran = doctest.testmod(module)
    assert ran.attempted > 0
    assert ran.failed == 0


class Fixed:
    """A route to a port of this machine, or to a failure, or to nowhere."""

    def __init__(self, port: int = 0, *, fails: DialError | None = None, hangs: bool = False) -> None:
        self.port, self.fails, self.hangs = port, fails, hangs
        self.dialled = asyncio.Event()
        self.let_go = asyncio.Event()

    async def dial(self, session: str, host: str, port: int) -> Streams:
        self.dialled.set()
        if self.fails is not None:
            raise self.fails
        if self.hangs:
            try:
                await asyncio.Event().wait()
            finally:
                self.let_go.set()
        return await asyncio.open_connection("127.0.0.1", self.port)


class Caller:
    """A program that dials through the relay as a session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, head: str) -> int:
        self.writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        answer = await self.reader.readuntil(b"\r\n\r\n")
        return int(answer.split()[1])

    async def connect(self, url: str, target: str = WEB, *, user: str = "", password: str = "") -> int:
        parts = urlsplit(url)
        given = f"{user or parts.username}:{password or parts.password}"
        encoded = base64.b64encode(given.encode()).decode()
        return await self.ask(f"CONNECT {target} HTTP/1.1\nHost: {target}\nProxy-Authorization: Basic {encoded}")


@asynccontextmanager
async def calling(relay: Relay) -> AsyncIterator[Caller]:
    parts = urlsplit(relay.proxy_url("sales"))
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def relaying(route: Fixed, clearance=None, deadline: float = 5.0, clock=time.monotonic) -> AsyncIterator[Relay]:
    async def clear(_session: str, _host: str) -> None:
        return

    failures: list[tuple[str, str, DialError]] = []
    relay = Relay(
        {"sales": route, "support": route},
        clearance=clearance or clear,
        on_failure=lambda *failure: failures.append(failure),
        clock=clock,
        deadline=deadline,
    )
    relay.failures = failures  # type: ignore[attr-defined]
    await relay.open()
    try:
        yield relay
    finally:
        await relay.close()


async def test_bytes_go_both_ways_and_are_counted():
    async with (
        serving(echo) as port,
        relaying(Fixed(port), clock=lambda: 77.0) as relay,
        calling(relay) as caller,
    ):
        assert relay.news() == {}
        assert not relay.called("sales").is_set()
        assert await caller.connect(relay.proxy_url("sales")) == 200
        assert relay.called("sales").is_set()
        caller.writer.write(b"x" * 100_000)
        assert await caller.reader.readexactly(100_000) == b"x" * 100_000
        (told,) = relay.news().items()
        assert told == ("sales", Traffic(100_000, 100_000, last_byte=77.0, heard_at=77.0, spoke_at=77.0))
        assert relay.news() == {}, "it is told once"
        assert relay.last_dial("sales").seen
        assert relay.last_dial("sales").cause is None


async def test_each_direction_of_the_web_socket_has_its_own_silence():
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            arrived.set()
        writer.close()

    arrived = asyncio.Event()
    now = [1000.0]
    async with serving(swallow) as port, relaying(Fixed(port), clock=lambda: now[0]) as relay, calling(relay) as caller:
        await caller.connect(relay.proxy_url("sales"))
        caller.writer.write(b"ping")
        await arrived.wait()
        now[0] += 50
        traffic = relay.news()["sales"]
        assert (traffic.heard_at, traffic.spoke_at, traffic.last_byte) == (None, 1000.0, 1000.0)
        relay.forgive(20)
        assert relay.news()["sales"].spoke_at == 1020.0
        relay.forgive(500)
        now[0] += 7
        assert relay.news()["sales"].spoke_at == 1050.0, "what was not yet is not forgiven"


async def test_bytes_of_media_say_nothing_about_the_web_socket():
    async with serving(echo) as port, relaying(Fixed(port)) as relay, calling(relay) as caller:
        assert await caller.connect(relay.proxy_url("sales"), "mmg.whatsapp.net:443") == 200
        caller.writer.write(b"x")
        await caller.reader.readexactly(1)
        traffic = relay.news()["sales"]
        assert traffic.last_byte is not None
        assert (traffic.heard_at, traffic.spoke_at) == (None, None)


async def test_what_was_written_before_the_end_arrives():
    async def say_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"farewell" * 10_000)
        await writer.drain()

    async with serving(say_and_close) as port, relaying(Fixed(port)) as relay, calling(relay) as caller:
        await caller.connect(relay.proxy_url("sales"))
        caller.writer.write(b"x")
        assert await caller.reader.read(-1) == b"farewell" * 10_000


class Held(Fixed):
    """A route whose connection has read something already when it is given away."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.may = asyncio.Event()

    async def dial(self, session: str, host: str, port: int) -> Streams:
        self.dialled.set()
        await self.may.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        assert await reader.readexactly(1) == b"1"  # the rest of that segment is in the reader now
        return reader, writer


async def test_what_a_side_said_before_the_tunnel_stood_is_passed_on():
    async def speaks_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"123")
        writer.write(await reader.readexactly(5))

    async with serving(speaks_first) as port:
        route = Held(port)
        async with relaying(route) as relay, calling(relay) as caller:
            answer = asyncio.create_task(caller.connect(relay.proxy_url("sales")))
            await route.dialled.wait()
            caller.writer.write(b"early")
            await asyncio.sleep(0)
            route.may.set()
            assert await answer == 200
            assert await caller.reader.readexactly(7) == b"23early"
            assert relay.news()["sales"].sent == 5


async def test_a_side_that_does_not_read_stops_the_other():
    """Else a slow phone's download would fill the worker's memory."""
    wrote = [0]

    async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        for _ in range(SEGMENTS):
            writer.write(b"x" * SEGMENT)
            await writer.drain()
            wrote[0] += SEGMENT
        writer.close()

    async with serving(floods) as port, relaying(Fixed(port)) as relay, calling(relay) as caller:
        await caller.connect(relay.proxy_url("sales"))
        caller.writer.transport.pause_reading()
        caller.writer.write(b"x")
        stuck = 0
        while stuck < 100:  # turns of the loop in which nothing was written any more
            before = wrote[0]
            await asyncio.sleep(0.001)
            stuck = stuck + 1 if wrote[0] == before and before else 0
        assert wrote[0] < SEGMENTS * SEGMENT
        caller.writer.transport.resume_reading()
        assert len(await caller.reader.read(-1)) == SEGMENTS * SEGMENT


@pytest.mark.parametrize("side", ["caller", "server"])
async def test_either_sides_end_is_the_other_ones(side: str):
    gone = asyncio.Event()

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if side == "caller":
            await reader.read(-1)
        writer.close()
        gone.set()

    async with serving(listens) as port, relaying(Fixed(port)) as relay, calling(relay) as caller:
        assert await caller.connect(relay.proxy_url("sales")) == 200
        if side == "caller":
            caller.writer.close()
        else:
            assert await caller.reader.read(-1) == b""
        await asyncio.wait_for(gone.wait(), 10)


@pytest.mark.parametrize("user", ["sales", "support", "nobody", ""])
async def test_a_wrong_nonce_is_turned_away_for_everybody_alike(user: str):
    async with relaying(Fixed()) as relay, calling(relay) as caller:
        assert await caller.connect(relay.proxy_url("sales"), user=user or "x", password="guess") == 407
        assert not relay.called("sales").is_set()


async def test_one_sessions_nonce_does_not_open_another_session():
    async with relaying(Fixed()) as relay, calling(relay) as caller:
        password = urlsplit(relay.proxy_url("support")).password or ""
        assert await caller.connect(relay.proxy_url("sales"), password=password) == 407


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"CONNECT {WEB} HTTP/1.1", 407),
        (f"CONNECT {WEB} HTTP/1.1\nProxy-Authorization: Bearer x", 407),
        (f"CONNECT {WEB} HTTP/1.1\nProxy-Authorization: Basic !!!", 407),
        ("CONNECT nowhere HTTP/1.1", 400),
        ("hello", 400),
        ("GET http://web.whatsapp.com/ HTTP/1.1", 407),
    ],
)
async def test_what_is_no_dial_of_a_session(head: str, status: int):
    async with relaying(Fixed()) as relay, calling(relay) as caller:
        assert await caller.ask(head) == status


async def test_only_whatsapp_may_be_dialled():
    route = Fixed()
    async with relaying(route) as relay, calling(relay) as caller:
        assert await caller.connect(relay.proxy_url("sales"), "example.org:443") == 403
        assert relay.failures[0][2].cause is DialFailure.NOT_ALLOWED  # type: ignore[attr-defined]
        assert not route.dialled.is_set()


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        (DialFailure.NAME_LOOKUP, 502),
        (DialFailure.REFUSED, 503),
        (DialFailure.TIMEOUT, 504),
        (DialFailure.NOT_ALLOWED, 403),
        (DialFailure.PROXY_DENIED, 503),
    ],
)
async def test_the_true_reason_is_told_and_the_library_gets_a_status(cause: DialFailure, status: int):
    async with relaying(Fixed(fails=DialError(cause, "because"))) as relay, calling(relay) as caller:
        assert await caller.connect(relay.proxy_url("sales")) == status
        [(session, host, error)] = relay.failures  # type: ignore[attr-defined]
        assert (session, host, error.cause, error.detail) == ("sales", "web.whatsapp.com", cause, "because")
        assert relay.last_dial("sales").cause is cause


async def test_a_media_host_that_fails_says_nothing_about_the_login():
    async with relaying(Fixed(fails=DialError(DialFailure.REFUSED, "no"))) as relay, calling(relay) as caller:
        assert await caller.connect(relay.proxy_url("sales"), "mmg.whatsapp.net:443") == 503
        assert relay.failures[0][1] == "mmg.whatsapp.net"  # type: ignore[attr-defined]
        assert relay.last_dial("sales").cause is None


async def test_a_dial_that_hangs_ends_by_its_deadline():
    async with relaying(Fixed(hangs=True), deadline=0.1) as relay, calling(relay) as caller:
        assert await caller.connect(relay.proxy_url("sales")) == 504
        assert relay.last_dial("sales").detail == "web.whatsapp.com did not answer in time"


async def test_a_dial_waits_for_its_clearance_after_it_was_noted():
    cleared = asyncio.Event()
    asked: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def clearance(session: str, host: str) -> None:
        asked.put_nowait((session, host))
        await cleared.wait()

    async with serving(echo) as route_port, relaying(Fixed(route_port), clearance) as relay, calling(relay) as caller:
        answer = asyncio.create_task(caller.connect(relay.proxy_url("sales")))
        assert await asked.get() == ("sales", "web.whatsapp.com")
        assert relay.called("sales").is_set()
        assert not answer.done()
        cleared.set()
        assert await answer == 200


async def test_whoever_hangs_up_while_waiting_is_let_go():
    route = Fixed(hangs=True)
    async with relaying(route) as relay:
        async with calling(relay) as caller:
            answer = asyncio.create_task(caller.connect(relay.proxy_url("sales")))
            await route.dialled.wait()
        async with asyncio.timeout(5):
            await route.let_go.wait()
        await asyncio.gather(answer, return_exceptions=True)
        assert relay.failures == []  # type: ignore[attr-defined]


async def test_a_cut_drops_one_session_and_keeps_it_down():
    async with serving(echo) as port, relaying(Fixed(port)) as relay:
        async with calling(relay) as sales, calling(relay) as support:
            await sales.connect(relay.proxy_url("sales"))
            await support.connect(relay.proxy_url("support"))
            relay.cut("sales")
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await sales.reader.readexactly(1)
            support.writer.write(b"still here")
            assert await support.reader.readexactly(10) == b"still here"
        async with calling(relay) as sales:
            assert await sales.connect(relay.proxy_url("sales")) == 403
        assert relay.failures == [], "it is meant"  # type: ignore[attr-defined]
        relay.uncut("sales")
        async with calling(relay) as sales:
            assert await sales.connect(relay.proxy_url("sales")) == 200


async def test_a_cut_during_a_dial_is_not_outrun():
    async with serving(echo) as port:
        route = Fixed(port)
        relay_box: list[Relay] = []

        async def cut_then_clear(_session: str, _host: str) -> None:
            relay_box[0].cut("sales")

        async with relaying(route, cut_then_clear) as relay, calling(relay) as caller:
            relay_box.append(relay)
            assert await caller.connect(relay.proxy_url("sales")) == 403


async def test_a_cut_between_a_dial_and_its_tunnel_is_not_outrun():
    class CutAsItIsThrough(Fixed):
        async def dial(self, session: str, host: str, port: int) -> Streams:
            streams = await super().dial(session, host, port)
            asyncio.get_running_loop().call_soon(relay.cut, "sales")  # the dial has looked for the last time by then
            return streams

    async with serving(echo) as port, relaying(CutAsItIsThrough(port)) as relay, calling(relay) as caller:
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await caller.connect(relay.proxy_url("sales"))


async def test_a_giant_head_and_a_mute_caller_do_no_harm():
    async with (
        serving(echo) as port,
        relaying(Fixed(port)) as relay,
        calling(relay) as giant,
        calling(relay) as caller,
    ):
        giant.writer.write(b"x" * 1_000_000)
        assert await caller.connect(relay.proxy_url("sales")) == 200
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await giant.reader.readexactly(1)
