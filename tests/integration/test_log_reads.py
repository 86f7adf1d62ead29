"""Reads of a log follow its primary key, however wrong Postgres is about how long the log is.

The planner's settings stand on the functions that read, so that a connection without any gets the same plans.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import psycopg
import pytest

from app.db import sessions
from app.db.log import events, simulated_events, snapshots, stats
from app.db.log.events import StreamPosition
from app.db.pool import Connection, connect_options
from app.domain.session import Session
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, USER, spec

SHORT, LONG = 300, 20_000
MOST = 1_100
"""Rows a read may touch here: those it returns, at most 1,000, and a few on the way."""

Read = Callable[[Connection, Session, int], Awaitable[object]]


async def keep(connection: Connection, session: Session, last: int) -> None:
    row = await sessions.get(connection, session.id)
    assert await snapshots.put(connection, session.id, row.epoch, row.cursor_ms or 0, "{}", str(last))


READS: dict[str, Read] = {
    "frames": lambda c, s, last: events.frames(c, s.id, last - 100),
    "frames of a type": lambda c, s, last: events.frames(c, s.id, last // 2, ["candle"]),
    "pages": lambda c, s, last: events.pages(c, [StreamPosition(s.id, last - 100), StreamPosition(s.id, last // 2)]),
    "page at the start": lambda c, s, _: events.page(c, s.id, 1, 100),
    "page in the middle": lambda c, s, last: events.page(c, s.id, last // 2, 100),
    "page of a type": lambda c, s, last: events.page(c, s.id, last // 2, 100, ["candle"]),
    "slice": lambda c, s, last: events.rows_between(c, s.id, last // 2, last, None),
    "tail of a type": lambda c, s, _: events.seq_of_tail(c, s.id, 100, ["equity"]),
    "last candles": lambda c, s, _: events.last_candles(c, s.id, ["BTCUSDT"], "1m"),
    "candles since": lambda c, s, last: events.candles_since(c, s.id, last // 2 * MINUTE - 10 * MINUTE),
    "chunk to compare": lambda c, s, last: simulated_events.read_page(c, s.id, last // 2, 100, last),
    "seq at a time": lambda c, s, last: events.seq_from(c, s.id, last // 2 * MINUTE - 10 * MINUTE),
    "tick end": lambda c, s, last: sessions.tick_end(c, s.id, last // 2),
    "seq of a simulated event": lambda c, s, last: simulated_events.seq_of(c, s.id, 100, last // 2),
    "cursor": lambda c, s, last: events.cursor_at(c, s, last // 2),
    "equity sample": lambda c, s, _: stats.equity_sample(c, s.id, 20),
    "snapshot": keep,
    "newest snapshot": lambda c, s, _: snapshots.newest(c, s.id, 2**40),
}


@pytest.fixture(params=["as servers have it", "with no settings"])
async def reader(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Connection]:
    """A connection as servers have it, or one without any setting, as psql has it."""
    options = connect_options(database.url, "zeon test")
    if request.param == "with no settings":
        del options["options"]
    async with await psycopg.AsyncConnection.connect(database.url, **options) as connection:
        yield connection


@pytest.mark.parametrize("known", ["nothing", "an empty table", "another session"])
async def test_a_read_of_a_log_touches_what_it_returns(database: Database, reader: Connection, known: str) -> None:
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("ALTER TABLE sim_events SET (autovacuum_enabled = off)")
        if known == "another session":
            other, _ = await sessions.create(reader, USER, spec())
            fill(owner, other.id, 1, SHORT)
        if known != "nothing":
            owner.execute("VACUUM ANALYZE sim_events")
        session, _ = await sessions.create(reader, USER, spec())
        fill(owner, session.id, 1, SHORT)
        for _ in range(10):  # Often enough for a plan to be kept.
            for read in READS.values():
                await read(reader, session, SHORT)
        fill(owner, session.id, SHORT + 1, LONG)
    touched = {name: await rows_touched(reader, read, session) for name, read in READS.items()}
    assert {name: rows for name, rows in touched.items() if not 0 < rows <= MOST} == {}


async def rows_touched(reader: Connection, read: Read, session: Session) -> int:
    """Return how many rows of the log Postgres reads for one call."""
    async with reader.transaction():
        before = await count(reader)
        await read(reader, session, LONG)
        return await count(reader) - before


async def count(reader: Connection) -> int:
    """Return how many rows of the log this connection has read and not yet reported to the shared statistics."""
    cursor = await reader.execute(
        """
        SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::bigint AS rows
        FROM pg_stat_xact_user_tables WHERE relname = 'sim_events'
        """
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["rows"])


def fill(owner: psycopg.Connection, session_id: UUID, from_seq: int, to_seq: int) -> None:
    """Write a candle and its equity for each minute."""
    candle = '{"candle":{"low":1,"high":2,"open":1,"close":2,"volume":3,"openTimeMs":0,"closeTimeMs":1},'
    owner.execute(
        """
        INSERT INTO sim_events SELECT %s, n, n / 2 * 60000, CASE n %% 2 WHEN 0 THEN 'candle' ELSE 'equity' END,
          CASE n %% 2 WHEN 0 THEN %s::jsonb ELSE '{"equity": 1, "drawdownPct": 0}' END
        FROM generate_series(%s::bigint, %s::bigint) n
        """,
        (session_id, candle + '"symbol":"BTCUSDT","timeframe":"1m"}', from_seq, to_seq),
    )
    owner.execute(
        "UPDATE sim_sessions SET last_seq = %s, cursor_ms = %s WHERE id = %s",
        (to_seq, to_seq // 2 * 60_000, session_id),
    )
