"""Profile `sma_cross`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from app.domain.market.candle import Candle
from app.domain.trading.indicator import Sma
from app.domain.trading.strategy import Direction
from app.strategies.directional import Directional, Rule

_ZERO = Decimal(0)


class SmaCross(Directional):
    """Two simple moving averages of the close crossing.

    Rule: up when SMA(fast) > SMA(slow) now and <= one candle before, down when < now and >= one candle
    before; both averages must exist on both candles. Compared exactly, as fast sum * slow against slow sum *
    fast. Source: the reference results, runs `smaF-S`; Richard Donchian's 5/20 rule (1960s) made the crossing
    known.
    """

    fast: Annotated[int, Field(ge=1, le=100_000)] = 20
    slow: Annotated[int, Field(ge=1, le=100_000)] = 50
    lines: bool = False
    _label = "SmaCross"

    def rule(self) -> Rule:
        """Return a fresh rule."""
        return SmaCrossRule(self.fast, self.slow)

    def on_start(self) -> None:
        """Create a rule for each symbol; with `lines` its averages are plotted too."""
        super().on_start()
        self._drawn = self.lines

    def _draw(self, symbol: str, rule: Rule) -> None:
        """Plot both averages."""
        of_symbol = "" if len(self.symbols) == 1 else f"{symbol} "
        for name, value in rule.indicators().items():
            self.plot(f"{of_symbol}{name} average", value)


class SmaCrossRule:
    """The crossing of one symbol's averages."""

    def __init__(self, fast: int, slow: int) -> None:
        self._fast = Sma(fast)
        self._slow = Sma(slow)
        self._fast_weight, self._slow_weight = Decimal(slow), Decimal(fast)
        self._above: Decimal | None = None

    def next(self, candle: Candle) -> Direction | None:
        """Return the direction of a crossing."""
        fast, slow, before = self._fast, self._slow, self._above
        close = candle.close
        fast.add(close)
        slow.add(close)
        if not (fast.ready and slow.ready):
            return None
        self._above = above = fast.total * self._fast_weight - slow.total * self._slow_weight
        if before is None:
            return None
        if above > _ZERO:
            return "LONG" if before <= _ZERO else None
        return "SHORT" if above < _ZERO <= before else None

    def indicators(self) -> dict[str, Decimal | float]:
        """Return both averages, as far as they exist."""
        averages = {"fast": self._fast, "slow": self._slow}
        return {name: average.value for name, average in averages.items() if average.ready}
