"""Profile `trend_pullback`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from app.domain.market.candle import Candle
from app.domain.trading.indicator import Rsi, Sma
from app.domain.trading.strategy import Direction
from app.strategies.directional import Directional, Excursion, Rule


class TrendPullback(Directional):
    """Buys a short dip in a long rise, and sells a short rise in a long fall.

    Rule: up when the close is above SMA(`trend`) and RSI(`n`) below `low`, down when the close is below the
    SMA and the RSI above `high`; out of a long when the close is above SMA(`exit`), out of a short when
    below. Source: Larry Connors and Cesar Alvarez, Short Term Trading Strategies That Work (2008), chapter 9,
    the 2-period RSI with 200- and 5-day averages; Wilder's RSI. Computed in decimals.
    """

    trend: Annotated[int, Field(ge=1, le=100_000)] = 200
    n: Annotated[int, Field(ge=1, le=100_000)] = 2
    low: Annotated[Decimal, Field(ge=0, le=100)] = Decimal(10)
    high: Annotated[Decimal, Field(ge=0, le=100)] = Decimal(90)
    exit: Annotated[int, Field(ge=1, le=100_000)] = 5
    _label = "TrendPullback"

    def rule(self) -> Rule:
        """Return a fresh rule."""
        return PullbackRule(Sma(self.trend), Rsi(self.n), Sma(self.exit), self.low, self.high)


class PullbackRule:
    """The pullback of one symbol."""

    def __init__(self, trend: Sma, rsi: Rsi, exit_: Sma, low: Decimal, high: Decimal) -> None:
        self._trend, self._rsi, self._exit = trend, rsi, exit_
        self._low, self._high = low, high
        self._excursion = Excursion()

    def next(self, candle: Candle) -> Direction | None:
        """Return a direction on a pullback, EXIT when it is over."""
        close = candle.close
        for indicator in (self._trend, self._rsi, self._exit):
            indicator.add(close)
        if not (self._trend.ready and self._rsi.ready and self._exit.ready):
            return None
        rising, falling = close > self._trend.value, close < self._trend.value
        return self._excursion.answer(
            too_low=rising and self._rsi.below(self._low),
            too_high=falling and self._rsi.above(self._high),
            risen=close > self._exit.value,
            fallen=close < self._exit.value,
        )

    def indicators(self) -> dict[str, Decimal | float]:
        """Return both averages and the index."""
        return {"trend": self._trend.value, "rsi": self._rsi.value, "exit": self._exit.value}
