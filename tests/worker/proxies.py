"""Upstreams a test writes itself: an echo server, HTTP and SOCKS proxies, and ones that misbehave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """Serve connections on a free loopback port while the block lasts."""
    tasks: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()


async def splice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, greeting: bytes) -> None:
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(greeting)

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(4096):
            sink.write(data)
        sink.close()

    try:
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
    finally:
        far_writer.close()
        with suppress(OSError):
            await far_writer.wait_closed()


def http_proxy(target: int, asked: list[str], *, answer: bytes = b"") -> Handler:
    """A CONNECT proxy: whatever is asked for, it leads to ``target``; or it gives ``answer`` and closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head)
        if answer:
            writer.write(answer)
            await writer.drain()
            return
        await splice(reader, writer, target, b"HTTP/1.1 200 OK\r\n\r\n")

    return handle


def socks5_proxy(target: int, asked: list[str], *, reply: int = 0, password: str = "") -> Handler:
    """A SOCKS5 proxy (RFC 1928, 1929) that leads to ``target``, or answers with ``reply``."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        offered = await reader.readexactly(methods)
        method = 2 if password else 0
        if method not in offered:
            writer.write(b"\x05\xff")
            return
        writer.write(bytes([5, method]))
        if password:
            _, length = await reader.readexactly(2)
            await reader.readexactly(length)
            given = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
            writer.write(b"\x01" + (b"\x00" if given == password else b"\x01"))
            if given != password:
                await writer.drain()
                return
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = socket.inet_ntoa(await reader.readexactly(4))
        port = int.from_bytes(await reader.readexactly(2), "big")
        asked.append(f"{host}:{port}")
        greeting = bytes([5, reply, 0, 1, 0, 0, 0, 0, 0, 0])
        if reply:
            writer.write(greeting)
            await writer.drain()
            return
        await splice(reader, writer, target, greeting)

    return handle


def socks4_proxy(target: int, asked: list[str], *, granted: bool = True) -> Handler:
    """A SOCKS4a proxy that leads to ``target``, or says no."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(8)
        await reader.readuntil(b"\0")
        name = (await reader.readuntil(b"\0"))[:-1].decode()
        asked.append(f"{name}:{int.from_bytes(head[2:4], 'big')}")
        greeting = bytes([0, 90 if granted else 91]) + bytes(6)
        if not granted:
            writer.write(greeting)
            await writer.drain()
            return
        await splice(reader, writer, target, greeting)

    return handle


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del writer
    await reader.read()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.close()


def closed_port() -> int:
    """Return a loopback port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
