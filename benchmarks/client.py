"""Many clients of server-sent events on raw sockets: they count what comes, and some note when each event came."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Sequence
from typing import cast
from uuid import UUID

from benchmarks.server import Server

_ID = re.compile(rb"\nid: (\d+)\n")
_MARK = b"\nid: "


class Client(asyncio.Protocol):
    """One connection; `arrivals` holds seq and wall clock of each event where the client notes them."""

    def __init__(self, request: bytes, *, noting: bool) -> None:
        self.events = 0
        self.size = 0
        self.arrivals: list[tuple[int, float]] = []
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._noting = noting
        self._rest = b""
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.size += len(data)
        if not self.begun.done() and data.startswith(b"HTTP/1.1 200 "):
            self.begun.set_result(None)
        text = self._rest + data
        if self._noting:
            self._note(text)
        else:
            self.events += text.count(_MARK)
            self._rest = text[-len(_MARK) + 1 :]

    def connection_lost(self, error: Exception | None) -> None:
        for waiter in (self.begun, self.ended):
            if not waiter.done():
                waiter.set_result(None)

    def close(self) -> None:
        """Go away."""
        if self._transport is not None:
            self._transport.close()

    def _note(self, text: bytes) -> None:
        now = time.time()
        at = 0
        for match in _ID.finditer(text):
            self.arrivals.append((int(match[1]), now))
            at = match.end()
        self.events = len(self.arrivals)
        self._rest = text[max(at, len(text) - 32) :]


async def connect(server: Server, session_ids: Iterable[UUID], *, noting_every: int = 1) -> list[Client]:
    """Open a stream per session named; every so-many-th client notes arrivals (0: none)."""
    host, port = server.address
    clients = []
    for number, session_id in enumerate(session_ids):
        path = f"/api/sim/sessions/{session_id}/stream"
        request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
        client = Client(request, noting=noting_every > 0 and number % noting_every == 0)
        await asyncio.get_running_loop().create_connection(lambda client=client: client, host, port)
        await client.begun
        clients.append(client)
    return clients


async def ended(clients: Sequence[Client], timeout_s: float) -> None:
    """Wait until the server has ended every stream."""
    async with asyncio.timeout(timeout_s):
        await asyncio.gather(*[client.ended for client in clients])
