"""The slots a strategy is shown before the range of its session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from app.domain.market.candle import Candle
from app.domain.market.resample import Resamplers
from app.domain.market.timeframe import TIMEFRAMES
from app.domain.session import SessionSpec


def extra_candles(spec: SessionSpec) -> int:
    """Return how many base candles before the warm-up are needed at most, so that its first longer candle is whole."""
    if not spec.warms_longer_candles:
        return 0
    return TIMEFRAMES[spec.extra_timeframes[-1]].ms // spec.grid.ms


def without_needless(spec: SessionSpec, candles: Sequence[Candle]) -> Sequence[Candle]:
    """Return one symbol's candles from the start of the first longer candle that closes in the warm-up on.

    `candles` are the warm-up candles with those of `extra_candles` before them.
    """
    first_ms = candles[-spec.warmup_candles].open_time_ms
    longer = spec.extra_timeframes if spec.warms_longer_candles else ()
    from_ms = min([first_ms, *(TIMEFRAMES[name].floor(first_ms) for name in longer)])
    return [candle for candle in candles if candle.open_time_ms >= from_ms]


def warmup_slots(spec: SessionSpec, candles: Sequence[Candle]) -> list[list[Candle]]:
    """Return the last `warmupCandles` of each symbol by slot, and behind them the longer candles that close there.

    `candles` are those of all symbols, by time and then in the order of the symbols. Only whole longer candles appear.
    """
    slots = [list(slot) for _, slot in groupby(candles, key=lambda candle: candle.open_time_ms)]
    if not spec.warms_longer_candles or not slots:
        return slots
    resamplers = Resamplers(replace(spec, start_ms=candles[0].open_time_ms))
    left = Counter(candle.symbol for candle in candles)
    shown = []
    for slot in slots:
        warm = {candle.symbol for candle in slot if left[candle.symbol] <= spec.warmup_candles}
        left.subtract(candle.symbol for candle in slot)
        longer = [candle for _, candle in resamplers.add(slot)]
        shown.append([candle for candle in (*slot, *longer) if candle.symbol in warm])
    return [slot for slot in shown if slot]
