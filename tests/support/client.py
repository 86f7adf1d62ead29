"""A client of a server, whichever process that is in: its calls, its streams, followers that come back."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.support.running_engine import MINUTE, START_MS
from tests.support.server_process import ServerProcess

SESSIONS = "/api/sim/sessions"
BODY = {
    "profileSlug": "none",
    "venue": "demo",
    "symbol": "BTCUSDT",
    "timeframe": "1m",
    "startMs": START_MS,
    "endMs": START_MS + 100 * MINUTE,
    "replayMsPerCandle": 0,
}


@dataclass
class Stream:
    """What came on a stream so far."""

    response: httpx2.Response
    lines: AsyncIterator[str]
    frames: list[dict[str, Any]] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    named: dict[str, int] = field(default_factory=dict)
    """How many events of each name came; those without one are under `message`."""

    async def next(self, timeout_s: float = 10) -> dict[str, Any]:
        """Return the next message; raises `StopAsyncIteration` at the end of the response."""
        name = "message"
        async with asyncio.timeout(timeout_s):
            async for line in self.lines:
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("id: "):
                    self.ids.append(int(line[4:]))
                elif line.startswith("data: "):
                    self.frames.append(json.loads(line[6:]))
                    self.named[name] = self.named.get(name, 0) + 1
                    return self.frames[-1]
        raise StopAsyncIteration

    async def until(self, fits: Callable[[dict[str, Any]], bool], timeout_s: float = 10) -> dict[str, Any]:
        """Read up to the first message that fits."""
        while not fits(message := await self.next(timeout_s)):
            pass
        return message

    async def rest(self, timeout_s: float = 20) -> list[dict[str, Any]]:
        """Read to the end of the response and return every message of it."""
        while True:
            try:
                await self.next(timeout_s)
            except StopAsyncIteration:
                return self.frames

    @property
    def events(self) -> list[dict[str, Any]]:
        """The stored events among the messages."""
        return [frame for frame in self.frames if "seq" in frame]


@dataclass
class Client:
    """A client of a server, whichever process that is."""

    client: httpx2.AsyncClient

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> httpx2.Response:
        return await self.client.request(method, path, json=body, **more)

    async def data(self, method: str, path: str, body: Any = None, *, status: int = 200, **more: Any) -> Any:
        """Make a call that succeeds and return what is in the envelope."""
        response = await self.call(method, path, body, **more)
        assert response.status_code == status, response.text
        answer = response.json()
        assert answer["success"] is True
        return answer["data"]

    async def refused(self, status: int, method: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """Make a call that fails and return its answer."""
        response = await self.call(method, path, body, **more)
        assert response.status_code == status, response.text
        answer = response.json()
        assert isinstance(answer["error"], str)
        assert answer["error"]
        assert set(answer) <= {"error", "code", "details"}
        return answer

    async def create(self, **changes: Any) -> dict[str, Any]:
        return await self.data("POST", SESSIONS, {**BODY, **changes}, status=201)

    async def finished(self, **changes: Any) -> dict[str, Any]:
        """Create a session, run it to its end and return it."""
        path = f"{SESSIONS}/{(await self.create(**changes))['id']}"
        await self.data("POST", f"{path}/start")
        return await self.until(path, "finished")

    async def until(self, path: str, status: str, timeout_s: float = 20) -> dict[str, Any]:
        """Poll a session until it has a status."""
        deadline = time.monotonic() + timeout_s
        while (session := await self.data("GET", path))["status"] != status:
            assert time.monotonic() < deadline, session
            await asyncio.sleep(0.01)
        return session

    @asynccontextmanager
    async def stream(self, session_id: str, query: str = "", **headers: str) -> AsyncIterator[Stream]:
        path = f"{SESSIONS}/{session_id}/stream{query}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.stream("GET", path, headers=named, timeout=30) as response:
            yield Stream(response, response.aiter_lines())


@asynccontextmanager
async def connect(server: ServerProcess) -> AsyncIterator[Client]:
    """Be a client of a server process until the block ends."""
    async with httpx2.AsyncClient(base_url=server.url, timeout=30, verify=False) as http:
        yield Client(http)


async def follow(client: Client, session_id: str) -> list[dict[str, Any]]:
    """Follow a session to its end through every broken connection, as a browser does."""
    seen: list[dict[str, Any]] = []
    while True:
        back = {"Last_Event_ID": str(seen[-1]["seq"])} if seen else {}
        try:
            async with client.stream(session_id, **back) as stream:
                if stream.response.status_code == 204:
                    return seen
                try:
                    await stream.rest(60)
                finally:
                    seen += stream.events
        except httpx2.TransportError:
            await asyncio.sleep(0.05)


async def call(client: Client, session_id: str, name: str, body: Any = None) -> dict[str, Any]:
    """Make a call on a session and return the session after it."""
    return await client.data("POST", f"{SESSIONS}/{session_id}/{name}", body)


async def run_unpaced(client: Client, session_id: str) -> None:
    """Let a session go on as fast as it can."""
    await client.data("PATCH", f"{SESSIONS}/{session_id}", {"replayMsPerCandle": 0})
