"""A breakout that offers a snapshot, part of it through the helpers of `app.domain.snapshot`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from _levels import Levels

from app.domain.candle import Candle
from app.domain.snapshot import keep, put_back
from app.domain.strategy import Strategy


class Channel(Strategy):
    """Buys above the channel of the last `count` candles and sells below it."""

    count: int = 30

    def on_start(self) -> None:
        self._levels = Levels(self.count)
        self._last: Candle | None = None
        self._changes: dict[str, Decimal] = {}

    def on_candle(self, candle: Candle) -> None:
        if self._levels.full:
            self._trade(candle)
        self._levels.add(candle.high, candle.low)
        if self._last is not None:
            self._changes[f"{candle.open_time_ms // 3_600_000 % 24}h"] = candle.close - self._last.close
        self._last = candle

    def _trade(self, candle: Candle) -> None:
        highest, lowest = max(self._levels.highs), min(self._levels.lows)
        if candle.close > highest and self.position.qty <= 0:
            self.signal("LONG", "above the channel", highest=highest)
            self.cancel()
            self.close()
            self.buy(stop_loss=lowest, equity_pct=50 + 10 * self.rng.random())
        elif candle.close < lowest and self.position.qty > 0:
            self.signal("EXIT", "below the channel", lowest=lowest, change=sum(self._changes.values()))
            self.close(reason="below the channel")

    def snapshot(self) -> dict[str, Any]:
        return {"levels": keep(self._levels), "last": self._last, "changes": self._changes}

    def restore(self, kept: dict[str, Any]) -> None:
        put_back(self._levels, kept["levels"])
        self._last, self._changes = kept["last"], kept["changes"]
