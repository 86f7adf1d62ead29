"""A strategy with orders always resting, to run in a test's process or by name in a server's child."""

from __future__ import annotations

from app.domain.market.candle import Candle
from app.domain.trading.strategy import Strategy


class Resting(Strategy):
    """Always has orders resting: limits on both sides, a trailing stop, brackets, some by chance."""

    def on_start(self) -> None:
        self._bar = 0

    def on_candle(self, candle: Candle) -> None:
        self._bar += 1
        if self._bar % 7 == 0:
            self.cancel(tag="grid")
            for step in (1, 2, 3):
                self.buy(qty="0.01", limit=candle.close * (1 - step * 5 / candle.close), tag="grid")
                self.sell(qty="0.01", limit=candle.close * (1 + step * 5 / candle.close), tag="grid", good_for=5)
        if self._bar % 50 == 0:
            self.buy(qty="0.05", stop_loss=candle.close - 40, take_profit=candle.close + 40, reason="bracket")
        if self.position.qty > 0 and not any(order.tag == "trail" for order in self.orders):
            self.sell(qty=self.position.qty, trail=30, tag="trail")
        if self.rng.random() < 0.05:
            self.plot("resting", len(self.orders))
