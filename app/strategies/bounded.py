"""talipp's indicators, which keep everything they were ever given, in bounded memory."""

from __future__ import annotations

from typing import Any

from talipp.indicators.Indicator import Indicator
from talipp.ohlcv import OHLCV

from app.domain.market.candle import Candle

_KEPT = 1_000


class Bounded:
    """An indicator that looks back `period` values and forgets the oldest."""

    def __init__(self, indicator: Indicator, period: int) -> None:
        self._indicator = indicator
        self._period = period

    def add(self, value: float | OHLCV) -> None:
        """Give it the next value."""
        self._indicator.add(value)
        kept = _KEPT + 4 * self._period
        if len(self._indicator.input_values) >= 2 * kept:
            self._indicator.purge_oldest(kept)

    @property
    def last(self) -> Any:
        """What came of the last value; null before there is anything."""
        return self._indicator[-1]

    def snapshot(self) -> Any:
        """Return what it looks back on, and no more."""
        return _kept(self._indicator, 4 * self._period)

    def restore(self, kept: Any) -> None:
        """Look back on what `snapshot` returned."""
        _put_back(self._indicator, kept)


def ohlcv(candle: Candle) -> OHLCV:
    """Return a candle in talipp's form; its numbers become floats."""
    return OHLCV(*(float(value) for value in candle[4:9]))


def _kept(indicator: Indicator, count: int) -> list[Any]:
    """Return the last values that went in, came out and are remembered between, and the same of what is inside."""
    lists = (indicator.input_values, indicator.output_values, *indicator.managed_sequences)
    values = [[_plain(value) for value in each[-count:]] for each in lists]
    return [values, [_kept(inside, count) for inside in indicator.sub_indicators]]


def _put_back(indicator: Indicator, kept: list[Any]) -> None:
    (ins, outs, *between), parts = kept
    indicator.input_values = [OHLCV(*value) if isinstance(value, list) else value for value in ins]
    made = indicator.output_value_type
    indicator.output_values = [made(*value) if isinstance(value, list) else value for value in outs]
    for sequence, values in zip(indicator.managed_sequences, between, strict=True):
        sequence[:] = values
    for inside, part in zip(indicator.sub_indicators, parts, strict=True):
        _put_back(inside, part)


def _plain(value: Any) -> Any:
    """Return a number as it is, a record of some as their list."""
    return value if value is None or isinstance(value, float | int) else list(vars(value).values())
