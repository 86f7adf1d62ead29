"""Which candles a strategy is warmed up on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from app.domain.market.candle import Candle
from app.domain.market.warmup import extra_candles, warmup_slots, without_needless
from app.domain.trading.settings import TradingSettings
from tests.support.running_engine import spec
from tests.support.trading import MINUTE, bar


def warmed(candles: Sequence[Candle], **changes: Any) -> list[tuple[int, list[tuple[str, int]]]]:
    """Return per slot its minute, and the timeframes and minutes of its candles."""
    on = spec(symbols=("BTC",), start_ms=12 * MINUTE, warmup_candles=4, **changes)
    needed = without_needless(on, candles[-on.warmup_candles - extra_candles(on) :])
    return [
        (slot[0].open_time_ms // MINUTE, [(candle.timeframe, candle.open_time_ms // MINUTE) for candle in slot])
        for slot in warmup_slots(on, needed)
    ]


MINUTES = [bar(number, "1") for number in range(12)]


def test_a_longer_candle_that_closes_in_the_warm_up_is_whole() -> None:
    assert warmed(MINUTES, extra_timeframes=("3m", "5m")) == [
        (8, [("1m", 8), ("3m", 6)]),
        (9, [("1m", 9), ("5m", 5)]),
        (10, [("1m", 10)]),
        (11, [("1m", 11), ("3m", 9)]),
    ]


def test_a_longer_candle_appears_only_with_all_of_its_own() -> None:
    lacking = [candle for candle in MINUTES if candle.open_time_ms != 6 * MINUTE]
    assert [slot for slot in warmed(lacking, extra_timeframes=("5m",)) if len(slot[1]) > 1] == []


@pytest.mark.parametrize("changes", [{}, {"extra_timeframes": ("5m",), "trading": TradingSettings(rules=1)}])
def test_without_longer_timeframes_or_in_rule_set_1_there_are_base_candles_only(changes: dict[str, Any]) -> None:
    assert warmed(MINUTES, **changes) == [(minute, [("1m", minute)]) for minute in range(8, 12)]


def test_the_candles_that_are_fetched_begin_with_the_first_longer_one() -> None:
    on = spec(start_ms=12 * MINUTE, warmup_candles=4)
    assert on.warmup_ms == 8 * MINUTE
    assert spec(start_ms=12 * MINUTE, warmup_candles=4, extra_timeframes=("3m", "5m")).warmup_ms == 5 * MINUTE
    assert spec(start_ms=12 * MINUTE, extra_timeframes=("5m",)).warmup_ms == 12 * MINUTE


def test_each_symbol_has_its_own_number_of_candles() -> None:
    on = spec(symbols=("BTC", "ETH"), start_ms=4 * MINUTE, warmup_candles=2, extra_timeframes=("3m",))
    slots = [bar(0, "1"), bar(0, "1", symbol="ETH"), bar(1, "1"), bar(1, "1", symbol="ETH"), bar(2, "1"), bar(3, "1")]
    assert [[(candle.symbol, candle.timeframe) for candle in slot] for slot in warmup_slots(on, slots)] == [
        [("ETH", "1m")],
        [("ETH", "1m")],
        [("BTC", "1m"), ("BTC", "3m")],
        [("BTC", "1m")],
    ]
