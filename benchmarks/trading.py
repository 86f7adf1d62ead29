"""The pure tick loop with its JSON: a strategy over candles in memory, against backtesting.py where it is installed."""

from __future__ import annotations

import csv
import gzip
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.candles.sources import synthetic
from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.session import Pace, SessionSpec
from app.domain.tick import ReplayState, Slot, draft_tick, finish_tick
from app.domain.trading.settings import BrokerConfig
from app.domain.trading.strategy_runner import StrategyRunner
from app.strategies.sma_cross import SmaCross
from app.strategy_hosts.strategy_host import SLOTS_PER_ROUND
from benchmarks import rivals
from benchmarks.environment import MINUTE, START_MS, BenchDatabase
from benchmarks.row import Goal, Row, middle

CANDLES = 200_000
ROUNDS = 5
REAL = Path(__file__).parents[2] / "shared" / "data" / "BTCUSDT-1m.csv.gz"


async def loop(_: BenchDatabase) -> list[Row]:
    """Measure SMA cross 20/50 with a candle and an equity event for each candle."""
    note, candles = minutes(CANDLES)
    reference = rivals.backtesting(candles) if find_spec("backtesting") else None
    turns = [(rate(lambda: ours(candles)), rate(reference) if reference else 1.0) for _ in range(ROUNDS)]
    figure, other = middle(turns)
    what = f"pure tick loop with its JSON, SMA cross 20/50, {note} 1m candles"
    if reference is None:
        return [Row(what, figure, "candles/s", None, None, "not measured: pip install backtesting")]
    return [Row(what, figure, "candles/s", other, Goal(0.7), "against backtesting.py in memory")]


def rate(run: Callable[[], Any]) -> float:
    """Return candles per second of processor time."""
    begun = time.process_time()
    run()
    return CANDLES / (time.process_time() - begun)


def minutes(count: int) -> tuple[str, list[Candle]]:
    """Return the first candles of the shared file, made-up ones where it is missing, and which they are."""
    if not REAL.is_file():
        return "made-up", list(synthetic.candles("BTCUSDT", "1m", START_MS, START_MS + count * MINUTE))
    with gzip.open(REAL, "rt") as lines:
        rows = csv.reader(lines)
        next(rows)
        return "real", [
            Candle("BTCUSDT", "1m", int(row[0]), int(row[0]) + MINUTE, *map(Decimal, row[1:6]))
            for row, _ in zip(rows, range(count), strict=False)
        ]


def ours(candles: Sequence[Candle]) -> int:
    """Run the session's tick without a database and return how many events came."""
    first, last = candles[0], candles[-1]
    spec = SessionSpec(
        "sma_cross", "binance", ("BTCUSDT",), "1m", first.open_time_ms, last.close_time_ms, 0, Pace(0), "fail", 0
    )
    state = ReplayState.initial(spec)
    trader = StrategyRunner(SmaCross(), BrokerConfig(symbols=spec.symbols, timeframe=spec.timeframe))
    count = 0
    for start in range(0, len(candles), SLOTS_PER_ROUND):
        drafts = [
            draft_tick(state, Slot(each.open_time_ms, (each,))) for each in candles[start : start + SLOTS_PER_ROUND]
        ]
        answers: list[list[Event]] = []
        trader.answer_all([each.view for each in drafts], answers)
        count += sum(len(finish_tick(state, *each)) for each in zip(drafts, answers, strict=True))
    return count
