"""The readable views: what a row holds, and that a range of time is found by an index."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import psycopg
import pytest

from app.candles.sources import synthetic
from app.strategies.none import CandlesOnly
from app.strategies.sma_cross import SmaCross
from tests.support.postgres import Database
from tests.support.stored_session import run_strategy, store_session
from tests.support.trading import broker_config

START = 1_704_067_200_000
COUNT = 3_000
MINUTE = 60_000
LOG_VIEWS = ["sim_view_tail", "sim_view_candles", "sim_view_equity", "sim_view_trades", "sim_view_gaps"]


def log_of(database: Database, strategy: type = CandlesOnly) -> UUID:
    """Write a log of two days and return its session."""
    on = broker_config(symbols=("BTCUSDT",))
    values = synthetic.candles("BTCUSDT", "1m", START, START + COUNT * MINUTE)
    session_id = store_session(database, run_strategy(strategy(), values, on), on, start_ms=START)
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("ANALYZE sim_events")
    return session_id


@pytest.mark.parametrize("view", ["sim_view_tail", "sim_view_candles", "sim_view_equity"])
def test_an_hour_of_a_log_is_found_by_the_index_on_its_times(any_database: Database, view: str) -> None:
    session_id = log_of(any_database)
    hour = f"FROM {view} WHERE session_id = %s AND ts >= %s AND ts < %s"
    at = START + 1_000 * MINUTE
    plan = any_database.query(f"EXPLAIN SELECT * {hour}", session_id, at, at + 60 * MINUTE)
    lines = "\n".join(line for (line,) in plan)
    assert "sim_events_session_ts" in lines, lines
    condition = next(line for (line,) in plan if "Index Cond" in line)
    assert "ts >=" in condition
    assert "ts <" in condition
    rows = any_database.query(f"SELECT count(*), min(ts), max(ts) {hour}", session_id, at, at + 60 * MINUTE)
    assert rows == [(120 if view == "sim_view_tail" else 60, at, at + 59 * MINUTE)]


def test_times_written_with_sim_ms_read_the_same_index(any_database: Database) -> None:
    session_id = log_of(any_database)
    hour = (
        "FROM sim_view_candles WHERE session_id = %s"
        " AND ts >= sim_ms('2024-01-01 17:40+01') AND ts < sim_ms('2024-01-01 17:40+00')"
    )
    plan = "\n".join(line for (line,) in any_database.query(f"EXPLAIN SELECT * {hour}", session_id))
    assert "sim_events_session_ts" in plan
    assert any_database.query(f"SELECT count(*), min(at)::text {hour}", session_id) == [(60, "2024-01-01 16:40:00+00")]


@pytest.mark.parametrize("view", LOG_VIEWS)
def test_at_is_ts_as_a_time_in_every_view_of_a_log(any_database: Database, view: str) -> None:
    session_id = log_of(any_database, SmaCross)
    where = f"FROM {view} WHERE session_id = %s"
    differing = f"SELECT count(*) {where} AND extract(epoch FROM at) * 1000 IS DISTINCT FROM ts"
    assert any_database.query(differing, session_id) == [(0,)]
    assert (any_database.query(f"SELECT count(*) {where}", session_id)[0][0] > 0) == (view != "sim_view_gaps")


def test_a_row_of_candles_is_the_candle_of_its_event(any_database: Database) -> None:
    session_id = log_of(any_database)
    columns = "ts, symbol, timeframe, open_time_ms, open, high, low, close, volume"
    rows = any_database.query(
        f"SELECT {columns} FROM sim_view_candles WHERE session_id = %s ORDER BY seq LIMIT 5", session_id
    )
    candles = list(synthetic.candles("BTCUSDT", "1m", START, START + 5 * MINUTE))
    assert rows == [
        (c.open_time_ms, "BTCUSDT", "1m", c.open_time_ms, *map(Decimal, (c.open, c.high, c.low, c.close, c.volume)))
        for c in candles
    ]
