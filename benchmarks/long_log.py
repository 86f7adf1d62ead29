"""Answers about a log of 2,000,000 events, of a server that has just started: none may walk the whole log."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from uuid import UUID

from app.db import candles, sessions
from app.db.log import events, stats
from app.db.pool import Connection
from app.domain.event import TYPES
from benchmarks.environment import MINUTE, START_MS, USER, BenchDatabase, pool, spec
from benchmarks.row import Goal, Row

EVENTS = 2_000_000
CANDLES = EVENTS // 2
_STEP = 100_000
_FILL = """
    INSERT INTO sim_events
    SELECT %s, n, %s + (n - 1) / 2 * 60000, CASE n %% 2 WHEN 1 THEN 'candle' ELSE 'equity' END,
      CASE n %% 2 WHEN 1 THEN jsonb_build_object('symbol', 'BTCUSDT', 'timeframe', '1m', 'candle', jsonb_build_object(
        'openTimeMs', %s + n / 2 * 60000, 'open', 42000, 'high', 42200, 'low', 41900, 'close', 42000.5, 'volume', 12.5))
      ELSE jsonb_build_object('cash', 10000, 'positionQty', n / 1000 %% 2, 'equity', 10000 + n %% 4999, 'feesPaid', 12,
        'peakEquity', 15000, 'drawdownPct', round(100 - (10000 + n %% 4999) / 150.0, 10)) END
    FROM generate_series(%s::bigint, %s::bigint) n"""


async def long_log(target: BenchDatabase) -> list[Row]:
    """Measure each answer twice: the first time on new connections, with what a server keeps of such a log."""
    async with pool(target) as database:
        long, other = [await database.run(_filled, number) for number in (EVENTS, EVENTS // 100)]
    target.owner("VACUUM ANALYZE sim_events")
    target.owner(f"UPDATE sim_events SET payload = '{{}}' WHERE session_id = '{other}' AND seq = 1001")
    rows = []
    async with pool(target) as database:
        begun = time.perf_counter()
        while await database.run(stats.keep, long) < EVENTS - 500:
            pass
        rows.append(Row(f"keep figures of {EVENTS:,} events", time.perf_counter() - begun, "s"))
    rows.append(await _keep_coverage(target))
    for what, goal_ms, work in _answers(long, other):
        async with pool(target) as database:
            for again, bound in (("", goal_ms), (", again", min(goal_ms, 20))):
                begun = time.perf_counter()
                await database.run(work)
                took_ms = (time.perf_counter() - begun) * 1000
                rows.append(Row(f"{what}{again}", took_ms, "ms", None, Goal(bound, at_most=True)))
    return rows


def _answers(long: UUID, other: UUID) -> list[tuple[str, float, Callable[[Connection], Awaitable[object]]]]:
    """Return what is asked, the goal in ms, and the question."""

    async def first_of_each_type(connection: Connection) -> None:
        for type_ in TYPES:
            await events.page(connection, long, 1, 1, [type_])

    return [
        ("diff of two logs that differ early", 50, lambda connection: events.difference(connection, long, other)),
        (f"the first event of each of {len(TYPES)} types", 20 * len(TYPES), first_of_each_type),
        ("statistics", 300, lambda connection: stats.stats(connection, long)),
        ("equity curve of 500 points", 300, lambda connection: stats.equity(connection, long, 500)),
        (f"coverage of {CANDLES:,} candles", 300, lambda connection: candles.coverage(connection)),
    ]


async def _keep_coverage(target: BenchDatabase) -> Row:
    """Store as many candles as the long log has, one in a hundred missing, and count them as an import does."""
    target.owner(
        f"INSERT INTO market_candles SELECT 'demo', 'BTCUSDT', '1m', {START_MS} + n::bigint * {MINUTE}, 1, 1, 1, 1, 1"
        f" FROM generate_series(1, {CANDLES}) n WHERE n % 100 <> 50"
    )
    target.owner("VACUUM ANALYZE market_candles")
    async with pool(target) as database:
        begun = time.perf_counter()
        await database.run(candles.keep, "demo", "BTCUSDT", "1m")
        return Row(f"count {CANDLES:,} candles and their gaps, once", (time.perf_counter() - begun) * 1000, "ms")


async def _filled(connection: Connection, count: int) -> UUID:
    """Create a session with a log of candles and equity, and return its id."""
    end_ms = START_MS + count // 2 * MINUTE
    session, _ = await sessions.create(connection, USER, spec(count // 2))
    for first in range(1, count, _STEP):
        last = min(count, first + _STEP - 1)
        await connection.execute(_FILL, (session.id, START_MS, START_MS, first, last))
    await connection.execute(
        "UPDATE sim_sessions SET last_seq = %s, cursor_ms = %s, status = 'paused' WHERE id = %s",
        (count, end_ms - MINUTE, session.id),
    )
    return session.id
