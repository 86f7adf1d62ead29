"""A client that sends whatever bytes it likes, and sees what comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

WAIT_S = 20


class Answer(NamedTuple):
    """A response with a JSON body."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Raw:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    @asynccontextmanager
    async def sending(self, data: bytes, size: int, pause_s: float) -> AsyncIterator[None]:
        """Send pieces of a size with pauses during the block, as long as the server takes them."""

        async def send() -> None:
            with suppress(ConnectionError):
                for start in range(0, len(data), size):
                    await self.send(data[start : start + size])
                    await asyncio.sleep(pause_s)

        task = asyncio.create_task(send())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def answer(self) -> Answer:
        """Read one response."""
        async with asyncio.timeout(WAIT_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
            body = await self.reader.readexactly(int(headers["content-length"]))
        return Answer(int(head[0].split()[1]), headers, json.loads(body) if body else None)

    async def closed(self, wait_s: float = WAIT_S) -> bytes:
        """Wait until the server closes the connection; returns what it sent before."""
        got = b""
        async with asyncio.timeout(wait_s):
            with suppress(ConnectionError):
                while data := await self.reader.read(65_536):
                    got += data
        return got

    async def refused(self) -> Answer:
        """Read the response that ends the connection."""
        answer = await self.answer()
        assert answer.headers["connection"] == "close"
        assert answer.body["error"]
        assert await self.closed() == b""
        return answer


def request(path: str = "/healthz", *lines: str, method: str = "GET", body: bytes | None = None) -> bytes:
    """Write a request."""
    length = () if body is None else (f"Content-Length: {len(body)}", "Content-Type: application/json")
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *length, *lines, "", ""])
    return head.encode() + (body or b"")


@asynccontextmanager
async def raw(url: str) -> AsyncIterator[Raw]:
    """Connect to a server."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()
