"""A relay between a bot and the server: it passes every byte on, and notes what the bot has been given."""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

from app.cli.bots.socket_queues import Address, SocketQueues
from app.cli.bots.traffic import Traffic
from app.tasks import cancel_and_wait

_HEAD_BYTES = 256 * 1024
_CHUNK_BYTES = 64 * 1024
_BODILESS = (204, 304)


class _Head(NamedTuple):
    """The first line of a message and its headers, names in lower case."""

    first: list[str]
    headers: dict[str, str]
    lines: list[str]

    @property
    def chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    @property
    def length(self) -> int | None:
        """How long the body is; null if the headers do not say."""
        length = self.headers.get("content-length")
        return None if length is None else int(length)


class _Connection(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Relay:
    """Listens on a port of this machine and passes HTTP/1.1 and WebSockets on to the server."""

    def __init__(self, server: str, traffic: Traffic) -> None:
        self._address = urlsplit(server)
        self._traffic = traffic
        self._listener: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._bots: dict[asyncio.StreamWriter, tuple[Address, Address]] = {}
        self._queues = SocketQueues()
        self.port = 0

    async def open(self) -> None:
        """Listen on a free port."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_HEAD_BYTES)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Close the port and all connections."""
        if self._listener is not None:
            self._listener.close()
        self._queues.close()
        for writer in list(self._open):
            writer.close()
        await asyncio.sleep(0)

    @property
    def bytes_wait(self) -> bool:
        """Whether bytes wait in a connection with the bot, at either end."""
        waiting = self._queues.waiting
        return any(waiting(bot, relay) or waiting(relay, bot) for bot, relay in self._bots.values())

    async def _serve(self, from_bot: asyncio.StreamReader, to_bot: asyncio.StreamWriter) -> None:
        """Serve one connection of the bot until either end closes it."""
        bot = _Connection(from_bot, to_bot)
        self._open.add(to_bot)
        self._bots[to_bot] = (to_bot.get_extra_info("peername"), to_bot.get_extra_info("sockname"))
        server: _Connection | None = None
        try:
            while True:
                request = await _read_head(from_bot)
                self._traffic.under_way += 1
                try:
                    # A server closes connections that were idle for some seconds.
                    if server is None or server.reader.at_eof():
                        server = await self._connect(server)
                    goes_on, is_stream = await self._exchange(request, bot, server)
                finally:
                    self._traffic.under_way -= 1
                if is_stream:
                    await self._pass_stream(bot, server)
                if not goes_on:
                    return
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, OSError):
            pass  # One end has closed the connection, or sends no HTTP: the other end sees it closed.
        finally:
            del self._bots[to_bot]
            for writer in (to_bot, *(() if server is None else (server.writer,))):
                self._open.discard(writer)
                writer.close()

    async def _connect(self, old: _Connection | None) -> _Connection:
        """Connect to the server, in place of a connection that has ended."""
        if old is not None:
            self._open.discard(old.writer)
            old.writer.close()
        secure = ssl.create_default_context() if self._address.scheme == "https" else None
        port = self._address.port or (443 if secure else 80)
        new = await asyncio.open_connection(self._address.hostname, port, ssl=secure, limit=_HEAD_BYTES)
        self._open.add(new[1])
        return _Connection(*new)

    async def _exchange(self, request: _Head, bot: _Connection, server: _Connection) -> tuple[bool, bool]:
        """Pass a request and its answer on; return whether another one can follow, and whether a stream does."""
        server.writer.write(self._for_server(request))
        await _pass_body(request, bot.reader, server.writer, request.length or 0)
        answer = await _read_head(server.reader)
        while answer.first[1] == "100":
            bot.writer.write(_to_bytes(answer.lines))
            answer = await _read_head(server.reader)
        bot.writer.write(_to_bytes(answer.lines))
        status = int(answer.first[1])
        if status == 101 or "text/event-stream" in answer.headers.get("content-type", ""):
            self._traffic.answered(request.first[0], request.first[1], status, stream=True)
            return False, True
        length = 0 if request.first[0] == "HEAD" or status in _BODILESS else answer.length
        await _pass_body(answer, server.reader, bot.writer, length)
        self._traffic.answered(request.first[0], request.first[1], status)
        has_end = length is not None or answer.chunked
        return has_end and answer.headers.get("connection", "").lower() != "close", False

    def _for_server(self, request: _Head) -> bytes:
        """Return the head of a request as the server gets it: its own host, and no compression of streams."""
        left_out = ("host:", "sec-websocket-extensions:")
        lines = [line for line in request.lines if not line.lower().startswith(left_out)]
        return _to_bytes([lines[0], f"Host: {self._address.netloc}", *lines[1:]])

    async def _pass_stream(self, bot: _Connection, server: _Connection) -> None:
        """Pass the bytes of a stream on, both ways, until either end closes it."""
        self._traffic.streams += 1
        sending = asyncio.ensure_future(_pass_all(bot.reader, server.writer))
        sending.add_done_callback(lambda _: server.writer.close())
        kept = b""
        try:
            while data := await server.reader.read(_CHUNK_BYTES):
                await self._traffic.passing.wait()
                bot.writer.write(data)
                await bot.writer.drain()
                kept = self._traffic.streamed(kept, data)
        finally:
            self._traffic.streams -= 1
            await cancel_and_wait([sending])


async def _read_head(reader: asyncio.StreamReader) -> _Head:
    """Read the head of a message; raises `IncompleteReadError` at the end of the connection, `ValueError`."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    first = lines[0].split(" ", 2)
    if len(first) < 2:
        raise ValueError(lines[0])
    pairs = (line.partition(":") for line in lines[1:])
    return _Head(first, {name.strip().lower(): value.strip() for name, _, value in pairs}, lines)


async def _pass_body(
    head: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int | None
) -> None:
    """Pass the body of a message on; with neither a length nor chunks it ends with the connection."""
    if length != 0 and head.chunked:
        await _pass_chunks(reader, writer)
    elif length is None:
        await _pass_all(reader, writer)
    else:
        while length > 0:
            data = await reader.read(min(length, _CHUNK_BYTES))
            if not data:
                raise asyncio.IncompleteReadError(b"", length)
            length -= len(data)
            writer.write(data)
            await writer.drain()
    await writer.drain()


async def _pass_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass a chunked body on, with its trailers."""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        writer.write(line)
        if size == 0:
            break
        writer.write(await reader.readexactly(size + 2))
        await writer.drain()
    while line != b"\r\n":
        line = await reader.readuntil(b"\r\n")
        writer.write(line)


async def _pass_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass everything on up to the end of the connection."""
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()


def _to_bytes(lines: list[str]) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
