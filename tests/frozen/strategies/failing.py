"""A strategy that raises."""

from __future__ import annotations

from app.domain.candle import Candle
from app.domain.strategy import Strategy


class Failing(Strategy):
    """Buys at the first candle and raises at number `at`."""

    at: int = 30

    def on_start(self) -> None:
        self._seen = 0

    def on_candle(self, candle: Candle) -> None:
        self._seen += 1
        if self._seen == 1:
            self.buy()
        if self._seen == self.at:
            raise ValueError(f"candle {self.at} at {candle.close}")
