"""talipp's indicators, which keep everything they were ever given, in bounded memory."""

from __future__ import annotations

from talipp.indicators.Indicator import Indicator
from talipp.ohlcv import OHLCV

from app.domain.candle import Candle

_KEPT = 1_000


def feed(indicator: Indicator, value: float | OHLCV, period: int) -> None:
    """Give an indicator that looks back `period` values the next one, and let it forget the oldest."""
    indicator.add(value)
    kept = _KEPT + 4 * period
    if len(indicator.input_values) >= 2 * kept:
        indicator.purge_oldest(kept)


def ohlcv(candle: Candle) -> OHLCV:
    """Return a candle in talipp's form; its numbers become floats."""
    return OHLCV(*(float(value) for value in candle[4:9]))
