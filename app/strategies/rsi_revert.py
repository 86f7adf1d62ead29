"""Profile `rsi_revert`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from app.domain.market.candle import Candle
from app.domain.trading.indicator import Rsi
from app.domain.trading.strategy import Direction
from app.strategies.directional import Directional, Rule


class RsiRevert(Directional):
    """Buys weakness and sells strength by Wilder's relative strength index of the close.

    Rule: up when RSI(n) goes below `low` (was >= low), down when it goes above `high` (was <= high).
    Source: the reference results, runs `rsiN-LO-HI`; J. Welles Wilder, New Concepts in Technical Trading
    Systems, 1978 (14, 30, 70).
    """

    n: Annotated[int, Field(ge=1, le=100_000)] = 14
    low: Annotated[Decimal, Field(ge=0, le=100)] = Decimal(30)
    high: Annotated[Decimal, Field(ge=0, le=100)] = Decimal(70)
    _label = "RsiRevert"

    def rule(self) -> Rule:
        """Return a fresh rule."""
        return RsiRevertRule(self.n, self.low, self.high)


class RsiRevertRule:
    """The index of one symbol."""

    def __init__(self, n: int, low: Decimal, high: Decimal) -> None:
        self._rsi = Rsi(n)
        self._low = low
        self._high = high
        self._was: tuple[bool, bool] | None = None

    def next(self, candle: Candle) -> Direction | None:
        """Return LONG when the index falls below low, SHORT when it rises above high."""
        self._rsi.add(candle.close)
        if not self._rsi.ready:
            return None
        now = self._rsi.below(self._low), self._rsi.above(self._high)
        was, self._was = self._was, now
        if was is None:
            return None
        if now[0] and not was[0]:
            return "LONG"
        return "SHORT" if now[1] and not was[1] else None

    def indicators(self) -> dict[str, Decimal | float]:
        """Return the index."""
        return {"rsi": self._rsi.value}
