"""Profile `buy_and_hold`."""

from __future__ import annotations

from typing import Any

from app.domain.market.candle import Candle
from app.domain.trading.strategy import Strategy


class BuyAndHold(Strategy):
    """Buys each symbol at its first candle in the range and holds it: a baseline for other strategies."""

    def on_start(self) -> None:
        """Start with no symbol bought."""
        self._bought: set[str] = set()

    def snapshot(self) -> Any:
        """Return the symbols bought."""
        return sorted(self._bought)

    def restore(self, stored: Any) -> None:
        """Set the symbols bought."""
        self._bought = set(stored)

    def on_candle(self, candle: Candle) -> None:
        """Buy the symbol at its first candle."""
        if not self.warming and candle.symbol not in self._bought:
            self._bought.add(candle.symbol)
            self.signal("LONG", "first candle", candle.symbol)
            self.buy(candle.symbol, reason="first candle")
