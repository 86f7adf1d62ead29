"""Profile `ema_state`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from app.domain.market.candle import Candle
from app.domain.trading.indicator import Ema, exceeds
from app.domain.trading.strategy import Direction
from app.strategies.directional import Directional, Rule


class EmaState(Directional):
    """Which of two exponential moving averages of the close is above, at every candle (a state, not a
    crossing).

    Rule: from the slow-th candle on, up whenever EMA(fast) > EMA(slow), down whenever below; factor
    2 / (n + 1), starting with the first close. Source: the reference results, runs `emaF-S`.
    """

    fast: Annotated[int, Field(ge=1, le=100_000)] = 12
    slow: Annotated[int, Field(ge=1, le=100_000)] = 26
    _label = "EmaState"

    def rule(self) -> Rule:
        """Return a fresh rule."""
        return EmaStateRule(self.fast, self.slow)


class EmaStateRule:
    """The state of one symbol's averages."""

    def __init__(self, fast: int, slow: int) -> None:
        self._fast = Ema(fast)
        self._slow = Ema(slow)

    def next(self, candle: Candle) -> Direction | None:
        """Return the direction of the average that is above, None when they are equal."""
        self._fast.add(candle.close)
        self._slow.add(candle.close)
        if not self._slow.ready:
            return None
        fast, slow = self._fast.value, self._slow.value
        if exceeds(fast, slow):
            return "LONG"
        return "SHORT" if exceeds(slow, fast) else None

    def indicators(self) -> dict[str, Decimal | float]:
        """Return both averages."""
        return {"fast": self._fast.value, "slow": self._slow.value}
