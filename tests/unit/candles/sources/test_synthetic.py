import itertools
from decimal import Decimal

import pytest

from app.candles.sources.synthetic import candles
from app.domain.market.timeframe import TIMEFRAMES
from app.errors import BadInputError

DAY = 86_400_000
START = 1_704_067_200_000
EXPECTED = tuple(map(Decimal, ("55583.07", "55648.70", "55538.33", "55570.56", "35.263")))


def test_the_same_seed_gives_the_same_candles_on_every_machine() -> None:
    first = next(candles("BTCUSDT", "15m", START, START + DAY))
    assert (first.open, first.high, first.low, first.close, first.volume) == EXPECTED


def test_another_seed_or_symbol_gives_other_candles() -> None:
    opens = [
        next(candles(symbol, "1h", START, START + DAY, seed)).open for symbol, seed in (("A", 0), ("A", 1), ("B", 0))
    ]
    assert len(set(opens)) == 3


def test_ranges_asked_for_in_parts_fit_together() -> None:
    whole = list(candles("BTCUSDT", "5m", START, START + 2 * DAY))
    middle = START + DAY - 300_000
    assert whole == [*candles("BTCUSDT", "5m", START, middle), *candles("BTCUSDT", "5m", middle, START + 2 * DAY)]


@pytest.mark.parametrize("name", TIMEFRAMES)
def test_every_timeframe_is_built_from_the_same_minutes(name: str) -> None:
    grid = TIMEFRAMES[name]
    start = grid.ceil(START)
    (long,) = candles("ETHUSDT", name, start, start + grid.ms)
    minutes = list(candles("ETHUSDT", "1m", start, start + grid.ms))
    assert (long.open, long.close) == (minutes[0].open, minutes[-1].close)
    assert (long.high, long.low) == (max(m.high for m in minutes), min(m.low for m in minutes))
    assert long.volume == sum((m.volume for m in minutes), Decimal(0))


def test_every_slot_has_a_sound_candle() -> None:
    generated = list(candles("SOLUSDT", "1m", START, START + 3 * DAY))
    assert [candle.open_time_ms for candle in generated] == list(range(START, START + 3 * DAY, 60_000))
    for before, candle in itertools.pairwise(generated):
        assert candle.open == before.close
        assert 0 < candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high
        assert candle.volume > 0


def test_large_moves_come_together() -> None:
    generated = list(candles("BTCUSDT", "1m", START, START + 5 * DAY))
    moves = [abs(float(candle.close / candle.open) - 1) for candle in generated]
    mean = sum(moves) / len(moves)
    spread = sum((move - mean) ** 2 for move in moves) / len(moves)
    together = sum((a - mean) * (b - mean) for a, b in itertools.pairwise(moves)) / len(moves)
    assert together / spread > 0.2


def test_times_before_1970_have_no_candles() -> None:
    with pytest.raises(BadInputError, match=r"^start:"):
        next(candles("BTCUSDT", "1h", -DAY, DAY))
