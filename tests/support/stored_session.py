"""A session's log written straight into the tables, for tests that read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import psycopg

from app.domain import candle_event
from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.trading.settings import BrokerConfig
from app.domain.trading.strategy import Strategy
from app.domain.trading.strategy_runner import StrategyRunner
from tests.support.postgres import Database
from tests.support.trading import finish


def run_strategy(strategy: Strategy, values: Iterable[Candle], on: BrokerConfig) -> list[Event]:
    """Return the log of a strategy over one symbol's candles, these included where all is recorded."""
    trader = StrategyRunner(strategy, on)
    events: list[Event] = []
    for candle in values:
        if on.record == "full":
            events.append(candle_event.encode(candle.open_time_ms, candle))
        events += trader.on_slot((candle,))
    return events + finish(trader, events[-1].ts if events else 0)


def store_session(
    database: Database, events: Sequence[Event], on: BrokerConfig, *, start_ms: int = 0, **columns: Any
) -> UUID:
    """Store a finished session with its log and return its id."""
    values = {
        "user_id": "local",
        "profile_slug": "none",
        "venue": "demo",
        "symbols": list(on.symbols),
        "timeframe": on.timeframe,
        "start_ms": start_ms,
        "lag_ms": 0,
        "replay_ms_per_candle": 0,
        "gap_policy": "skip",
        "gap_grace_ms": 0,
        "status": "finished",
        "initial_cash": on.initial_cash,
        "record": on.record,
        "rules": on.rules,
        "last_seq": len(events),
    } | columns
    names, places = ", ".join(values), ", ".join(["%s"] * len(values))
    with psycopg.connect(database.url) as conn:
        stored = conn.execute(
            f"INSERT INTO sim_sessions ({names}) VALUES ({places}) RETURNING id", list(values.values())
        ).fetchone()
        assert stored is not None
        with conn.cursor().copy("COPY sim_events (session_id, seq, ts, type, payload) FROM STDIN") as copy:
            for seq, event in enumerate(events, 1):
                copy.write_row((stored[0], seq, *event))
    return UUID(str(stored[0]))
