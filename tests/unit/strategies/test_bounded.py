"""talipp's indicators in bounded memory."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from talipp.indicators import RSI, TTM, KeltnerChannels
from talipp.indicators.Indicator import Indicator

from app.strategies.bounded import feed, ohlcv
from tests.support.trading import bar


def test_forgetting_changes_no_value_and_keeps_memory_flat() -> None:
    rng = Random(1)
    walks: list[tuple[Indicator, Indicator, bool]] = [
        (RSI(14), RSI(14), False),
        (TTM(20), TTM(20), True),
        (KeltnerChannels(20, 10, 2, 2), KeltnerChannels(20, 10, 2, 2), True),
    ]
    price = Decimal(100)
    for number in range(5_000):
        price = max(Decimal(1), price + Decimal(rng.randint(-100, 100)) / 100)
        candle = ohlcv(bar(number, f"{price} {price + 1} {price - 1} {price}"))
        for bounded, whole, candles in walks:
            value = candle if candles else candle.close
            feed(bounded, value, 20)
            whole.add(value)
            assert bounded[-1] == whole[-1]
    assert all(len(bounded.input_values) < 3_000 for bounded, _, _ in walks)
