"""`zeon backtest` of a strategy in a file against a script that does the same in backtesting.py, imports included."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from app.candles.sources import synthetic
from app.db import candles
from benchmarks.environment import START_MS, BenchDatabase, pool
from benchmarks.row import Goal, Row, alternate

HOURS = 365 * 24
ROUNDS = 5
_OURS = """
from zeon import Strategy

class Cross(Strategy):
    def on_start(self):
        self._closes = ()

    def on_candle(self, candle):
        self._closes = (*self._closes[-49:], float(candle.close))
        if len(self._closes) < 50:
            return
        fast, slow = sum(self._closes[-20:]) / 20, sum(self._closes) / 50
        if fast > slow and not self.position.qty:
            self.buy()
        elif fast < slow and self.position.qty:
            self.close()
"""
_THEIRS = """
import pandas as pd
from backtesting import Backtest, Strategy
from backtesting.lib import crossover
from backtesting.test import SMA

class Cross(Strategy):
    def init(self):
        self.fast, self.slow = (self.I(SMA, self.data.Close, n) for n in (20, 50))

    def next(self):
        if crossover(self.fast, self.slow):
            self.buy()
        elif crossover(self.slow, self.fast):
            self.position.close()

data = pd.read_csv("candles.csv", index_col="Time", parse_dates=True)
print(Backtest(data, Cross, cash=10_000_000, commission=0.001).run())
"""


async def backtest(place: BenchDatabase) -> list[Row]:
    """Measure both as processes of their own, in turn, over a year of hours."""
    what = "zeon backtest of a file, a year of 1h candles"
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        folder.joinpath("cross.py").write_text(_OURS)
        folder.joinpath("theirs.py").write_text(_THEIRS)
        await _store(place, folder)
        end = START_MS + HOURS * 3_600_000
        asked = ("--symbol", "BTCUSDT", "--venue", "demo", "--start", str(START_MS), "--end", str(end))
        environment = {"DATABASE_URL": place.url, "ZEON_MIGRATE_URL": place.owner_url, "PYTHONPATH": str(Path.cwd())}

        async def ours() -> float:
            return await _seconds(folder, environment, "-m", "app.cli.main", "backtest", "cross.py", *asked)

        async def theirs() -> float:
            return await _seconds(folder, {}, "theirs.py")

        await ours()
        if find_spec("backtesting") is None:
            return [Row(what, await ours(), "s", note="not measured: pip install backtesting")]
        figure, other = await alternate(ours, theirs, ROUNDS)
    note = "against a script with backtesting.py, imports included, in its middle turn"
    return [Row(what, figure, "s", other, Goal(1.5, at_most=True), note)]


async def _store(place: BenchDatabase, folder: Path) -> None:
    """Store the candles in the cache, and as a file for pandas."""
    made = list(synthetic.candles("BTCUSDT", "1h", START_MS, START_MS + HOURS * 3_600_000))
    async with pool(place) as database:
        await database.run(candles.store, "demo", "BTCUSDT", "1h", made)
    lines = [
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime(candle.open_time_ms / 1000))},{','.join(map(str, candle[4:9]))}"
        for candle in made
    ]
    folder.joinpath("candles.csv").write_text("\n".join(["Time,Open,High,Low,Close,Volume", *lines]))


async def _seconds(folder: Path, environment: dict[str, str], *arguments: str) -> float:
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=folder,
        env=os.environ | environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    return time.perf_counter() - begun
