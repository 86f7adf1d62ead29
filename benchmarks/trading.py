"""The pure tick loop with its JSON: a strategy over candles in memory, against backtesting.py where it is installed."""

from __future__ import annotations

import csv
import gzip
import time
import warnings
from collections.abc import Callable, Sequence
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from app.candles import synthetic
from app.domain.candle import Candle
from app.domain.session import Pace, SessionSpec
from app.domain.terms import Terms
from app.domain.tick import Slot, State, conclude, draft
from app.domain.trader import Trader
from app.strategies.sma_cross import SmaCross
from benchmarks.row import Goal, Row

CANDLES = 200_000
ROUNDS = 5
MINUTE = 60_000
START_MS = 1_704_067_200_000
REAL = Path(__file__).parents[2] / "shared" / "data" / "BTCUSDT-1m.csv.gz"


def loop() -> list[Row]:
    """Measure SMA cross 20/50 with a candle and an equity event for each candle."""
    candles = (
        real() if REAL.is_file() else list(synthetic.candles("BTCUSDT", "1m", START_MS, START_MS + CANDLES * MINUTE))
    )
    note = "real" if REAL.is_file() else "made-up"
    reference = library(candles) if find_spec("backtesting") else None
    turns = [(rate(lambda: ours(candles)), rate(reference) if reference else 0.0) for _ in range(ROUNDS)]
    figure, other = (median(values) for values in zip(*turns, strict=True))
    what = f"pure tick loop with its JSON, SMA cross 20/50, {note} 1m candles"
    if reference is None:
        return [Row(what, figure, "candles/s", None, None, "backtesting.py is not installed")]
    return [Row(what, figure, "candles/s", other, Goal(0.7), "against backtesting.py in memory")]


def rate(run: Callable[[], Any]) -> float:
    """Return candles per second of processor time."""
    begun = time.process_time()
    run()
    return CANDLES / (time.process_time() - begun)


def real() -> list[Candle]:
    """Return the first candles of the shared file."""
    with gzip.open(REAL, "rt") as lines:
        rows = csv.reader(lines)
        next(rows)
        return [
            Candle("BTCUSDT", "1m", int(row[0]), int(row[0]) + MINUTE, *map(Decimal, row[1:6]))
            for row, _ in zip(rows, range(CANDLES), strict=False)
        ]


def ours(candles: Sequence[Candle]) -> int:
    """Run the session's tick without a database and return how many events came."""
    first, last = candles[0], candles[-1]
    spec = SessionSpec(
        "sma_cross", "binance", ("BTCUSDT",), "1m", first.open_time_ms, last.close_time_ms, 0, Pace(0), "fail", 0
    )
    state = State.initial(spec)
    trader = Trader(SmaCross(), Terms(symbols=spec.symbols, timeframe=spec.timeframe))
    count = 0
    for candle in candles:
        made = draft(state, Slot(candle.open_time_ms, (candle,)))
        count += len(conclude(state, made, trader.answer(made.shown)))
    return count


def library(candles: Sequence[Candle]) -> Callable[[], Any]:
    """Return the same strategy's run in backtesting.py."""
    import pandas as pd
    from backtesting import Backtest, Strategy

    warnings.simplefilter("ignore")
    index = pd.to_datetime([candle.open_time_ms for candle in candles], unit="ms")
    columns = ["Open", "High", "Low", "Close", "Volume"]
    frame = pd.DataFrame([map(float, candle[4:9]) for candle in candles], index, columns)

    def mean(values: Sequence[float], n: int) -> Any:
        return pd.Series(values).rolling(n).mean()

    class Cross(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.fast, self.slow = (self.I(mean, self.data.Close, n) for n in (20, 50))

        def next(self) -> None:
            if self.fast[-1] > self.slow[-1] and self.fast[-2] <= self.slow[-2]:
                self.buy(size=1)
            elif self.fast[-1] < self.slow[-1] and self.fast[-2] >= self.slow[-2]:
                self.position.close()

    return Backtest(frame, Cross, cash=10_000_000, commission=0.001).run


if __name__ == "__main__":
    for row in loop():
        print(*row.cells(), sep=" | ")
