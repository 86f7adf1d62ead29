"""What is not written with every candle is found without reading the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from app.candles.sources import synthetic
from app.db.log import events, stats
from app.db.pool import Connection
from app.strategies.none import CandlesOnly
from tests.support.postgres import Database
from tests.support.stored_session import run_strategy, store_session
from tests.support.trading import broker_config

START = 1_704_067_200_000
COUNT = 3_000
FILLS = ["fill", "trade"]


def fetched(database: Database) -> int:
    """Return how many rows of the log were fetched so far."""
    with psycopg.connect(database.url, autocommit=True) as conn:
        row = conn.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'sim_events'"
        ).fetchone()
    assert row is not None
    return int(row[0])


async def tail(connection: Connection, session_id: UUID) -> None:
    assert await events.seq_of_tail(connection, session_id, 1000, FILLS) == 1


async def page(connection: Connection, session_id: UUID) -> None:
    assert (await events.page(connection, session_id, 1, 5000, FILLS)).events == 0


async def trades(connection: Connection, session_id: UUID) -> None:
    cursor = await connection.execute("SELECT FROM sim_view_trades WHERE session_id = %s", (session_id,))
    assert not await cursor.fetchall()


async def last_trades(connection: Connection, session_id: UUID) -> None:
    assert not await stats.last_trades(connection, session_id, 1000)


async def statistics(connection: Connection, session_id: UUID) -> None:
    cursor = await connection.execute("SELECT sim_trade_fold(%s, '{}', 0, %s) AS figures", (session_id, 2 * COUNT))
    row = await cursor.fetchone()
    assert row is not None
    assert row["figures"]["trades"] == 0


async def absent(connection: Connection, session_id: UUID) -> None:
    """Plots are not in the index of types, but what is kept says that there are none."""
    assert await events.seq_of_tail(connection, session_id, 1, ["plot"]) == 1
    for types in (["plot"], ["plot", "fill"]):
        assert (await events.page(connection, session_id, 1, 1, types)).events == 0


@pytest.mark.parametrize("look", [tail, page, trades, last_trades, statistics, absent])
async def test_a_log_without_fills_is_not_read_to_find_none(
    any_database: Database, look: Callable[[Connection, UUID], Awaitable[None]]
) -> None:
    on = broker_config(symbols=("BTCUSDT",))
    values = synthetic.candles("BTCUSDT", "1m", START, START + COUNT * 60_000)
    session_id = store_session(any_database, run_strategy(CandlesOnly(), values, on), on, start_ms=START)
    with psycopg.connect(any_database.owner_url, autocommit=True) as owner:
        owner.execute("ANALYZE sim_events")
        owner.execute("SELECT sim_keep(%s)", (session_id,))
        owner.execute("SELECT pg_stat_force_next_flush()")
    before = fetched(any_database)
    async with await psycopg.AsyncConnection.connect(
        any_database.url, autocommit=True, row_factory=dict_row
    ) as connection:
        for _ in range(20):  # By then the statement is prepared, and its plan may no longer know the types.
            await look(connection, session_id)
        await connection.execute("SELECT pg_stat_force_next_flush()")
    assert fetched(any_database) - before < 100
