"""Profile `keltner_revert`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from app.domain.market.candle import Candle
from app.domain.trading.strategy import Direction
from app.strategies.bounded import keltner_channels
from app.strategies.directional import Directional, Excursion, Rule


class KeltnerRevert(Directional):
    """Bets on the return from outside the Keltner channel to its middle.

    Rule: up when the close is below EMA(`n`) - `width` * ATR(`atr`), down when above EMA + width * ATR, out
    when the close is back at the EMA. Source: Chester Keltner, How to Make Money in Commodities (1960), in
    Linda Raschke's form with EMA and average true range; traded in the opposite direction. Computed by talipp's
    `KeltnerChannels` (the EMA starts with a simple mean, Wilder's ATR).
    """

    n: Annotated[int, Field(ge=1, le=10_000)] = 20
    atr: Annotated[int, Field(ge=1, le=10_000)] = 10
    width: Annotated[float, Field(gt=0)] = 2.0
    _label = "KeltnerRevert"

    def rule(self) -> Rule:
        """Return a fresh rule."""
        return KeltnerRule(self.n, self.atr, self.width)


class KeltnerRule:
    """The channel of one symbol."""

    def __init__(self, n: int, atr: int, width: float) -> None:
        self._channel = keltner_channels(n, atr, width)
        self._excursion = Excursion()

    def next(self, candle: Candle) -> Direction | None:
        """Return a direction outside the channel, EXIT at its middle."""
        self._channel.add_candle(candle)
        band = self._channel.last
        if band is None:
            return None
        close = float(candle.close)
        return self._excursion.answer(
            too_low=close < band.lb, too_high=close > band.ub, risen=close >= band.cb, fallen=close <= band.cb
        )

    def indicators(self) -> dict[str, Decimal | float]:
        """Return the channel."""
        band = self._channel.last
        return {"lower": band.lb, "middle": band.cb, "upper": band.ub}
