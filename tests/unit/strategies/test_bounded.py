"""talipp's indicators in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random

from talipp.indicators import RSI, TTM, KeltnerChannels
from talipp.indicators.Indicator import Indicator

from app.domain.snapshot import from_text, to_text
from app.strategies.bounded import Bounded, ohlcv
from tests.support.trading import bar

MADE: list[tuple[Callable[[], Indicator], bool]] = [
    (lambda: RSI(14), False),
    (lambda: TTM(20), True),
    (lambda: KeltnerChannels(20, 10, 2, 2), True),
]
"""Indicators, and whether they take candles."""


def test_forgetting_changes_no_value_and_keeps_memory_flat() -> None:
    rng = Random(1)
    walks = [(Bounded(make(), 20), make(), candles) for make, candles in MADE]
    price = Decimal(100)
    for number in range(5_000):
        price = max(Decimal(1), price + Decimal(rng.randint(-100, 100)) / 100)
        candle = ohlcv(bar(number, f"{price} {price + 1} {price - 1} {price}"))
        for bounded, whole, candles in walks:
            value = candle if candles else candle.close
            bounded.add(value)
            whole.add(value)
            assert bounded.last == whole[-1]
    assert all(len(bounded._indicator.input_values) < 3_000 for bounded, _, _ in walks)


def test_an_indicator_goes_on_from_a_snapshot_as_if_nothing_had_been() -> None:
    rng = Random(2)
    walks = [(Bounded(make(), 20), Bounded(make(), 20), candles) for make, candles in MADE]
    price = Decimal(100)
    for number in range(1_000):
        price = max(Decimal(1), price + Decimal(rng.randint(-100, 100)) / 100)
        candle = ohlcv(bar(number, f"{price} {price + 1} {price - 1} {price}"))
        for index, (whole, restored, candles) in enumerate(walks):
            value = candle if candles else candle.close
            whole.add(value)
            restored.add(value)
            assert whole.last == restored.last
            if number % 7 == 0:
                walks[index] = whole, Bounded(MADE[index][0](), 20), candles
                walks[index][1].restore(from_text(to_text(restored.snapshot())))
