"""Strategies of a user's own, good and bad, as files in a folder of the test's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.paths import ROOT

EXAMPLE = ROOT / "examples" / "strategies" / "breakout_with_stop.py"
ONE_CHILD: dict[str, Any] = {"children": 1, "candle_timeout_ms": 10_000}
"""Sessions share one strategy process, and no candle is too slow only because the machine stood still."""
IMPATIENT: dict[str, Any] = ONE_CHILD | {"candle_timeout_ms": 1000}
"""For strategies that never come to an end: more than a candle takes anywhere, and not long to wait for."""
HEAD = "from app.domain.trading.strategy import Strategy\n"


def write(folder: Path, name: str, text: str) -> Path:
    """Write a file of the folder, with the import every strategy needs."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(HEAD + text)
    return path


def misbehaving(action: str, *, at: int = 20, head: str = "") -> str:
    """Return a strategy `Bad` that does something at its candle number `at`, counted from 0."""
    return f"""
import os, sys, time
{head}

class Bad(Strategy):
    def on_start(self):
        self._seen = -1

    def on_candle(self, candle):
        self._seen += 1
        self.plot("close", candle.close)
        if self._seen == {at}:
            {action}
"""


GOOD = """
class Good(Strategy):
    fast: int = 3
    slow: int = 8

    def on_start(self):
        self._closes = []

    def on_candle(self, candle):
        self._closes = [*self._closes[1 - self.slow:], candle.close]
        fast = sum(self._closes[-self.fast:]) / self.fast
        slow = sum(self._closes) / self.slow
        self.plot("fast", fast)
        if len(self._closes) == self.slow and fast > slow and not self.position.qty:
            self.buy(stop_loss=candle.close * 99 / 100, reason="up")
        elif fast < slow and self.position.qty:
            self.close(reason="down")
"""

SETS = """
class Sets(Strategy):
    def on_start(self):
        self._seen = set()

    def on_candle(self, candle):
        self._seen.add(f"{candle.close}")
        self.plot("chance", self.rng.random())
        if len(self._seen) % 7 == 0:
            self.buy(cash=100, stop_loss=candle.close * 99 / 100, tag="a") if self.rng.random() > 0.5 else self.close()
"""
