"""A user strategy: buys a breakout, with a stop-loss and a take-profit on every order."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from zeon import Candle, Strategy


class BreakoutWithStop(Strategy):
    """Buys a close above the highest high of the last `entry` candles.

    The stop-loss lies `stop_pct` percent below that close, the take-profit `reward` times as far above it.
    """

    entry: Annotated[int, Field(ge=1)] = 20
    stop_pct: Decimal = Decimal(1)
    reward: Decimal = Decimal(2)

    def on_start(self) -> None:
        self._highs: deque[Decimal] = deque(maxlen=self.entry)

    def on_candle(self, candle: Candle) -> None:
        if len(self._highs) == self.entry:
            self._look(candle, max(self._highs))
        self._highs.append(candle.high)

    def _look(self, candle: Candle, highest: Decimal) -> None:
        self.plot("highest", highest)
        if candle.close <= highest or self.position.qty or self.orders:
            return
        risk = candle.close * self.stop_pct / 100
        self.signal("LONG", "breakout", highest=highest, close=candle.close)
        self.buy(stop_loss=candle.close - risk, take_profit=candle.close + self.reward * risk, reason="breakout")
