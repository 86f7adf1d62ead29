"""Orders from outside: many a second over HTTP into many sessions, with the client on the same cores."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from uuid import UUID

from app.db import sessions
from benchmarks.environment import USER, BenchDatabase, pool, spec, store
from benchmarks.row import Goal, Row, quantile
from benchmarks.server import Server, server

SESSIONS = 100
PER_SECOND = 1000
SECONDS = 3
_ORDER = json.dumps({"side": "buy", "type": "limit", "qty": 0.01, "limitPrice": 1})


async def commands(target: BenchDatabase) -> list[Row]:
    """Place orders at a fixed rate in sessions that do not run; each answer comes after its commit."""
    async with pool(target) as database:
        await store(database, 10)
        wanted = replace(spec(10), profile_slug="manual")
        session_ids = [(await database.run(sessions.create, USER, wanted))[0].id for _ in range(SESSIONS)]
    with server(target) as served:
        await _place_orders(served, session_ids, SESSIONS)  # The first order of a session rebuilds its state.
        before_s = sum(served.cpu_s)
        took, seconds = await _place_orders(served, session_ids, PER_SECOND * SECONDS)
        used_s = sum(served.cpu_s) - before_s
    note = f"{SESSIONS} sessions, from the moment an order was due"
    return [
        Row("orders over HTTP", len(took) / seconds, "/s", goal=Goal(0.95 * PER_SECOND), note=note),
        Row("an order, p99", 1000 * quantile(took, 0.99), "ms", goal=Goal(50, at_most=True), note=note),
        Row("an order, median", 1000 * quantile(took, 0.5), "ms", note=note),
        Row("an order, processor time of the server", 1e6 * used_s / len(took), "us", note="without Postgres"),
    ]


async def _place_orders(served: Server, ids: list[UUID], count: int) -> tuple[list[float], float]:
    """Place orders at the fixed rate, each session on a connection of its own; return the times and the seconds."""
    took: list[float] = []
    begun = time.perf_counter()

    async def trade(number: int, session_id: UUID) -> None:
        reader, writer = await asyncio.open_connection(*served.address)
        head = (
            f"POST /api/sim/sessions/{session_id}/orders HTTP/1.1\r\nHost: {served.address[0]}:{served.address[1]}\r\n"
        )
        request = f"{head}Content-Type: application/json\r\nContent-Length: {len(_ORDER)}\r\n\r\n{_ORDER}".encode()
        for turn in range(number, count, len(ids)):
            due = begun + turn / PER_SECOND
            await asyncio.sleep(max(0, due - time.perf_counter()))
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 201 "), answer
            length = answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            took.append(time.perf_counter() - due)
        writer.close()

    await asyncio.gather(*[trade(number, session_id) for number, session_id in enumerate(ids)])
    return took, time.perf_counter() - begun
