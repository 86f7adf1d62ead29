"""Profile `donchian_breakout`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from app.domain.market.candle import Candle
from app.domain.trading.indicator import rolling_max, rolling_min
from app.domain.trading.strategy import Direction
from app.strategies.directional import Directional, Rule


class DonchianBreakout(Directional):
    """Follows a close beyond the channel of the candles before it.

    Rule: up when the close is above the highest high of the `entry` candles before this one, down when it is
    below the lowest low of the `exit` candles before; once both channels exist. Source: the reference
    results, runs `donN-M`; Richard Donchian's four-week rule, later the Turtles' 20/10 system.
    """

    entry: Annotated[int, Field(ge=1, le=100_000)] = 20
    exit: Annotated[int, Field(ge=1, le=100_000)] = 10
    _label = "DonchianBreakout"

    def rule(self) -> Rule:
        """Return a fresh rule."""
        return DonchianRule(self.entry, self.exit)


class DonchianRule:
    """The channel of one symbol."""

    def __init__(self, entry: int, exit_: int) -> None:
        self._highest = rolling_max(entry)
        self._lowest = rolling_min(exit_)
        self._channel = (Decimal(0), Decimal(0))

    def next(self, candle: Candle) -> Direction | None:
        """Return LONG above the channel of the candles before this one, SHORT below."""
        direction: Direction | None = None
        if self._highest.ready and self._lowest.ready:
            self._channel = self._highest.value, self._lowest.value
            if candle.close > self._channel[0]:
                direction = "LONG"
            elif candle.close < self._channel[1]:
                direction = "SHORT"
        self._highest.add(candle.high)
        self._lowest.add(candle.low)
        return direction

    def indicators(self) -> dict[str, Decimal | float]:
        """Return the channel that the close was compared with."""
        return {"highest": self._channel[0], "lowest": self._channel[1]}
