"""A strategy that runs another one on paper: it uses every module the documentation names."""

from __future__ import annotations

from decimal import Decimal

from app.domain.candle import Candle
from app.domain.strategy import Strategy
from app.domain.terms import Terms
from app.domain.trader import Trader


class _Dip(Strategy):
    percent: Decimal = Decimal("0.1")

    def on_start(self) -> None:
        self._before: Decimal | None = None

    def on_candle(self, candle: Candle) -> None:
        before, self._before = self._before, candle.close
        if before and not self.position.qty and candle.close < before * (1 - self.percent / 100):
            self.buy(stop_loss=candle.close * Decimal("0.99"), take_profit=before, reason="dip")


class Rehearsal(Strategy):
    """Trades the other way round whatever a dip buyer does on paper."""

    def on_start(self) -> None:
        self._paper = Trader(_Dip(), Terms(symbols=self.symbols, timeframe=self.timeframe, fill="same_close"))

    def on_candle(self, candle: Candle) -> None:
        filled = [event for event in self._paper.on_slot([candle]) if event.type == "fill"]
        self.plot("paper", self._paper.equity)
        for _ in filled:
            if self.position.qty:
                self.close()
            else:
                self.sell(stop_loss=candle.close * Decimal("1.01"))
