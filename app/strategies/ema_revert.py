"""Profile `ema_revert`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from app.domain.market.candle import Candle
from app.domain.trading.indicator import Ema
from app.domain.trading.settings import PERCENT
from app.domain.trading.strategy import Direction
from app.strategies.directional import Directional, Excursion, Rule


class EmaRevert(Directional):
    """Bets on the return to an exponential moving average from a given distance.

    Rule: up when the close is more than `percent` below EMA(`n`), down when more than that above, out when it
    is back at the EMA; from the n-th candle on, factor 2 / (n + 1), starting with the first close. Source:
    moving average envelopes, John J. Murphy, Technical Analysis of the Financial Markets (1999), chapter 9,
    traded in the opposite direction. Computed in decimals.
    """

    n: Annotated[int, Field(ge=1, le=100_000)] = 50
    percent: Annotated[Decimal, Field(gt=0, lt=100)] = Decimal(2)
    _label = "EmaRevert"

    def rule(self) -> Rule:
        """Return a fresh rule."""
        return EmaRevertRule(self.n, self.percent)


class EmaRevertRule:
    """The distance of one symbol."""

    def __init__(self, n: int, percent: Decimal) -> None:
        self._ema = Ema(n)
        self._below = 1 - percent * PERCENT
        self._above = 1 + percent * PERCENT
        self._excursion = Excursion()

    def next(self, candle: Candle) -> Direction | None:
        """Return a direction outside the envelope, EXIT at the average."""
        self._ema.add(candle.close)
        if not self._ema.ready:
            return None
        close, ema = candle.close, self._ema.value
        return self._excursion.answer(
            too_low=close < ema * self._below,
            too_high=close > ema * self._above,
            risen=close >= ema,
            fallen=close <= ema,
        )

    def indicators(self) -> dict[str, Decimal | float]:
        """Return the average."""
        return {"ema": self._ema.value}
