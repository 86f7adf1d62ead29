"""Server processes seen from outside: their clients, followers that come back, and what Postgres says of a log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import httpx2

from app.db.pool import Database as Pool
from tests.support.process import Zeon
from tests.support.servers import Database
from tests.support.web import SESSIONS, Client

QUICK = {"ZEON_RENEW_MS": 200, "ZEON_RUNNER_TTL_MS": 6000, "ZEON_POLL_MS": 200, "ZEON_BURST": 100_000}
"""Settings of a server process that is quick to notice things."""


@asynccontextmanager
async def client(server: Zeon) -> AsyncIterator[Client]:
    """Be a client of a server process until the block ends."""
    async with httpx2.AsyncClient(base_url=server.url, timeout=30, verify=False) as http:
        yield Client(http)


@asynccontextmanager
async def pool(database: Database) -> AsyncIterator[Pool]:
    """Reach the database beside its servers."""
    opened = Pool(database.url, size=1, application_name="zeon test")
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


async def follow(c: Client, session_id: str) -> list[dict[str, Any]]:
    """Follow a session to its end through every broken connection, as a browser does."""
    seen: list[dict[str, Any]] = []
    while True:
        back = {"Last_Event_ID": str(seen[-1]["seq"])} if seen else {}
        try:
            async with c.stream(session_id, **back) as stream:
                if stream.response.status_code == 204:
                    return seen
                try:
                    await stream.rest(60)
                finally:
                    seen += stream.events
        except httpx2.TransportError:
            await asyncio.sleep(0.05)


async def call(c: Client, session_id: str, name: str, body: Any = None) -> dict[str, Any]:
    """Make a call on a session and return the session after it."""
    return await c.data("POST", f"{SESSIONS}/{session_id}/{name}", body)


async def hurry(c: Client, session_id: str) -> None:
    """Let a session go on as fast as it can."""
    await c.data("PATCH", f"{SESSIONS}/{session_id}", {"replayMsPerCandle": 0})


async def until(found: Callable[[], Any], timeout_s: float = 20) -> Any:
    """Poll until something is found and return it."""
    deadline = time.monotonic() + timeout_s
    while not (value := await asyncio.to_thread(found)):
        assert time.monotonic() < deadline, "nothing came of it"
        await asyncio.sleep(0.01)
    return value


def row(database: Database, session_id: str, column: str) -> Any:
    """Return a column of a session's row."""
    return database.query(f"SELECT {column} FROM sim_sessions WHERE id = %s", session_id)[0][0]


def digest(database: Database, session_id: str) -> str:
    """Return the digest of a session's log."""
    return str(database.query("SELECT sim_log_digest(%s)", session_id)[0][0])


def log(database: Database, session_id: str) -> list[dict[str, Any]]:
    """Read a log from its table; fails when seq has a hole, ts decreases or last_seq is another."""
    rows = database.query(
        "SELECT s.last_seq, e.seq, e.ts, e.type, e.payload FROM sim_sessions s"
        " JOIN sim_events e ON e.session_id = s.id WHERE s.id = %s ORDER BY e.seq",
        session_id,
    )
    events = [dict(zip(("seq", "ts", "type", "payload"), each[1:], strict=True)) for each in rows]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert all(a["ts"] <= b["ts"] for a, b in pairwise(events))
    assert {each[0] for each in rows} <= {len(events)}
    return events


def opens(events: list[dict[str, Any]], symbol: str = "BTCUSDT", timeframe: str = "1m") -> list[int]:
    """Return the open times of a symbol's candles."""
    return [
        event["payload"]["candle"]["openTimeMs"]
        for event in events
        if event["type"] == "candle"
        and (event["payload"]["symbol"], event["payload"]["timeframe"]) == (symbol, timeframe)
    ]
