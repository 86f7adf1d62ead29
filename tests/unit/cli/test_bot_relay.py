"""The relay of `zeon run`: it passes HTTP on, whichever way a message ends, also if the server closes connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.cli.bots.relay import Relay
from app.cli.bots.traffic import Traffic

ANSWERS = {
    "/length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "/chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nhe\r\n3\r\nllo\r\n0\r\nT: 1\r\n\r\n",
    "/nothing": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/to-the-end": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "/stream": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n",
}


@asynccontextmanager
async def relay(traffic: Traffic, *, closes: bool) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Run a relay before a server with fixed answers, which may close each connection; yield its port and the heads."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                heads.append(head)
                await reader.readexactly(3 if head.startswith(b"POST") else 0)
                target = head.split()[1].decode()
                answer = ANSWERS[target]
                writer.write(answer.split(b"\r\n\r\n")[0] + b"\r\n\r\n" if head.startswith(b"HEAD") else answer)
                if closes or target == "/to-the-end":
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    under_test = Relay(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", traffic)
    await under_test.open()
    try:
        yield under_test.port, heads
    finally:
        await under_test.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("closes", [False, True])
async def test_many_requests_pass_over_one_connection(closes: bool) -> None:
    traffic = Traffic(0)
    async with relay(traffic, closes=closes) as (port, heads):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for method, target in (
            ("GET", "/length"), ("HEAD", "/length"), ("GET", "/nothing"), ("POST", "/length"), ("GET", "/chunks"),
            ("GET", "/to-the-end"),
        ):  # fmt: skip
            body = "abc" if method == "POST" else ""
            writer.write(
                f"{method} {target} HTTP/1.1\r\nHost: bot\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            expected = ANSWERS[target].partition(b"hello")[0] if method == "HEAD" else ANSWERS[target]
            assert await asyncio.wait_for(reader.readexactly(len(expected)), 5) == expected
            await asyncio.sleep(0.01)  # A server that closes has closed now.
            assert traffic.under_way == 0
        assert await reader.read() == b""
        writer.close()
    assert all(b"Host: 127.0.0.1:" in head and b"bot" not in head for head in heads)


async def test_a_stream_ends_at_the_server_when_the_bot_leaves() -> None:
    traffic = Traffic(0)
    async with relay(traffic, closes=False) as (port, heads):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /stream HTTP/1.1\r\nHost: bot\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
        assert await reader.readexactly(len(ANSWERS["/stream"])) == ANSWERS["/stream"]
        assert (traffic.under_way, traffic.streams) == (0, 1)
        writer.close()
        deadline = time.monotonic() + 5
        while traffic.streams and time.monotonic() < deadline:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
        assert traffic.streams == 0
    assert b"deflate" not in heads[0]
