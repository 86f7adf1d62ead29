"""Orders of every type, with exits and random decisions; no snapshot."""

from __future__ import annotations

from decimal import Decimal

from app.domain.candle import Candle
from app.domain.strategy import Strategy


class Brackets(Strategy):
    """Every few candles it gives an order of another type, in a random symbol and direction."""

    every: int = 4
    percent: Decimal = Decimal("0.3")

    def on_start(self) -> None:
        self._seen = 0
        self.log(f"{', '.join(self.symbols)} on {self.timeframe}")

    def on_candle(self, candle: Candle) -> None:
        if candle.timeframe != self.timeframe:
            self.plot(f"{candle.symbol} {candle.timeframe}", candle.close)
            return
        self._seen += 1
        if self.warming or self._seen % self.every:
            return
        if self.positions[candle.symbol].qty and self.rng.random() < 0.3:
            self.close(candle.symbol, reason="random exit")
            return
        self._order(candle, self._seen // self.every % 5)

    def on_stop(self) -> None:
        self.log(f"equity {self.equity}, {len(self.orders)} live orders")

    def _order(self, candle: Candle, kind: int) -> None:
        away = candle.close * self.percent / 100
        sign = 1 if self.rng.random() < 0.6 else -1
        give = self.buy if sign > 0 else self.sell
        types = (
            {"stop_loss": candle.close - sign * away, "take_profit": candle.close + 2 * sign * away},
            {"limit": candle.close - sign * away / 2, "good_for": 6, "equity_pct": 20, "tag": "limit"},
            {"stop": candle.close + sign * away / 3, "cash": 1500, "take_profit": candle.close + 3 * sign * away},
            {"trail_pct": self.percent, "qty": "0.01", "tag": "trail"},
            {"stop": candle.close + sign * away / 4, "limit": candle.close + sign * away, "equity_pct": 15},
        )
        self.signal("LONG" if sign > 0 else "SHORT", f"order {kind}", candle.symbol, close=candle.close)
        give(candle.symbol, reason=f"order {kind}", **types[kind])
        if kind == 4:
            self.cancel(tag="limit")
