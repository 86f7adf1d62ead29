"""Reads the shared market data and known results, and runs a strategy over candles without a server."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.market.timeframe import timeframe
from app.domain.trading.settings import BrokerConfig
from app.domain.trading.strategy import Strategy
from app.domain.trading.strategy_runner import StrategyRunner
from tests.support.trading import finish

DATA = Path(__file__).parents[2] / "shared" / "data"
REFERENCE = DATA / "reference"
needs_data = pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"the shared data is not at {DATA}")


def rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV, gzipped or not, whichever of the two is there."""
    if not path.exists():
        path = path.with_name(path.name + ".gz")
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        yield from csv.DictReader(lines)


@cache
def candles(file: str) -> list[Candle]:
    """Return all candles of a data file."""
    symbol, frame = Path(file).name.split(".")[0].split("-")
    length = timeframe(frame).ms
    return [
        Candle(
            symbol,
            frame,
            int(row["open_time_ms"]),
            int(row["open_time_ms"]) + length,
            *(Decimal(row[name]) for name in ("open", "high", "low", "close", "volume")),
        )
        for row in rows(DATA / file)
    ]


def between(values: Sequence[Candle], start: str, end: str) -> list[Candle]:
    """Return the candles from day `start` to day `end` (excluded); an empty text is no bound."""
    low, high = (day_ms(day) if day else None for day in (start, end))
    return [
        value
        for value in values
        if (low is None or value.open_time_ms >= low) and (high is None or value.open_time_ms < high)
    ]


def day_ms(day: str) -> int:
    """Return the start of a UTC day, or another ISO time, in ms."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


def broker_config(values: Sequence[Candle], **changes: Any) -> BrokerConfig:
    """Return the config of one symbol's candles; `fee_bps` sets both fees."""
    fee = changes.pop("fee_bps", Decimal(0))
    given = {"maker_fee_bps": fee, "taker_fee_bps": fee} | changes
    return BrokerConfig(symbols=(values[0].symbol,), timeframe=values[0].timeframe, **given)


def run(strategy: Strategy, values: Iterable[Candle], on: BrokerConfig) -> list[Event]:
    """Run a strategy over one symbol's candles and return all its events."""
    trader = StrategyRunner(strategy, on)
    events: list[Event] = []
    for candle in values:
        events += trader.on_slot((candle,))
    return events + finish(trader, events[-1].ts if events else 0)


def payloads(events: Iterable[Event], type_: str) -> list[dict[str, Any]]:
    """Return the payloads of one type, read as one text: a session has tens of thousands."""
    rows: list[dict[str, Any]] = json.loads(
        f"[{','.join([event.body for event in events if event.type == type_])}]", parse_float=Decimal
    )
    return rows
