"""The indicators of the built-in rules: talipp's, in bounded memory, as without this they store every value."""

from __future__ import annotations

from typing import Any

from talipp.indicators import TTM, KeltnerChannels
from talipp.indicators.Indicator import Indicator
from talipp.ohlcv import OHLCV

from app.domain.market.candle import Candle

_MIN_VALUES = 1_000


class Bounded:
    """An indicator over `period` values that drops older ones."""

    def __init__(self, indicator: Indicator, period: int) -> None:
        self._indicator = indicator
        self._period = period

    def add(self, value: float | OHLCV) -> None:
        """Take the next value."""
        self._indicator.add(value)
        count = _MIN_VALUES + 4 * self._period
        if len(self._indicator.input_values) >= 2 * count:
            self._indicator.purge_oldest(count)

    def add_candle(self, candle: Candle) -> None:
        """Take the next candle."""
        self.add(ohlcv(candle))

    @property
    def last(self) -> Any:
        """The newest output; null before there is one."""
        return self._indicator[-1]

    def snapshot(self) -> Any:
        """Return the values the indicator still needs."""
        return _last_values(self._indicator, 4 * self._period)

    def restore(self, stored: Any) -> None:
        """Set the values that `snapshot` returned."""
        _restore(self._indicator, stored)


def keltner_channels(ema: int, atr: int, width: float) -> Bounded:
    """Return Keltner channels around an EMA; `width` is in average true ranges. An output has `lb`, `cb` and `ub`."""
    return Bounded(KeltnerChannels(ema, atr, width, width), max(ema, atr))


def ttm_squeeze(period: int, bands: float, channel: float) -> Bounded:
    """Return the TTM squeeze; an output has `squeeze` and `histogram`, the momentum."""
    return Bounded(TTM(period, bands, channel), period)


def ohlcv(candle: Candle) -> OHLCV:
    """Return a candle in talipp's form; its numbers become floats."""
    return OHLCV(*(float(value) for value in candle[4:9]))


def _last_values(indicator: Indicator, count: int) -> list[Any]:
    """Return the last inputs, outputs and inner values of an indicator and of its sub-indicators."""
    lists = (indicator.input_values, indicator.output_values, *indicator.managed_sequences)
    values = [[_to_list(value) for value in sequence[-count:]] for sequence in lists]
    return [values, [_last_values(inside, count) for inside in indicator.sub_indicators]]


def _restore(indicator: Indicator, stored: list[Any]) -> None:
    (ins, outs, *between), parts = stored
    indicator.input_values = [OHLCV(*value) if isinstance(value, list) else value for value in ins]
    output_type = indicator.output_value_type
    indicator.output_values = [output_type(*value) if isinstance(value, list) else value for value in outs]
    for sequence, values in zip(indicator.managed_sequences, between, strict=True):
        sequence[:] = values
    for inside, part in zip(indicator.sub_indicators, parts, strict=True):
        _restore(inside, part)


def _to_list(value: Any) -> Any:
    """Return a number as it is, an object of numbers as a list."""
    return value if value is None or isinstance(value, float | int) else list(vars(value).values())
