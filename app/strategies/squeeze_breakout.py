"""Profile `squeeze_breakout`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from app.domain.market.candle import Candle
from app.domain.trading.strategy import Direction
from app.strategies.bounded import ttm_squeeze
from app.strategies.directional import Directional, Rule


class SqueezeBreakout(Directional):
    """Trades the end of low volatility, in the direction of momentum.

    A squeeze is on while the Bollinger bands (`n`, `bands` standard deviations) lie inside the Keltner
    channel (`n`, `channel` average true ranges). Momentum is the end of the regression line, over `n`
    candles, of close - (middle of the Donchian channel + SMA) / 2. Rule: on the candle that ends a squeeze up
    when momentum is above zero, down when below; out when momentum passes zero. Source: John F. Carter,
    Mastering the Trade (2005), chapter 11, the TTM squeeze; computed by talipp's `TTM`.
    """

    n: Annotated[int, Field(ge=2, le=10_000)] = 20
    bands: Annotated[float, Field(gt=0)] = 2.0
    channel: Annotated[float, Field(gt=0)] = 1.5
    _label = "SqueezeBreakout"

    def rule(self) -> Rule:
        """Return a fresh rule."""
        return SqueezeRule(self.n, self.bands, self.channel)


class SqueezeRule:
    """The squeeze of one symbol."""

    def __init__(self, n: int, bands: float, channel: float) -> None:
        self._ttm = ttm_squeeze(n, bands, channel)
        self._squeezed = False
        self._momentum: float | None = None

    def next(self, candle: Candle) -> Direction | None:
        """Return a direction when a squeeze ends, EXIT when momentum passes zero."""
        self._ttm.add_candle(candle)
        now = self._ttm.last
        if now is None or now.histogram is None:
            return None
        released = self._squeezed and not now.squeeze
        before, self._momentum, self._squeezed = self._momentum, now.histogram, now.squeeze
        if released and now.histogram:
            return "LONG" if now.histogram > 0 else "SHORT"
        return "EXIT" if before is not None and before * now.histogram <= 0 else None

    def indicators(self) -> dict[str, Decimal | float]:
        """Return momentum."""
        return {"momentum": self._momentum or 0.0}
