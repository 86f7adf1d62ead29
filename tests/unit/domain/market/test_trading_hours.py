import itertools
import random

import pytest

from app.domain.market.candle import Gap
from app.domain.market.timeframe import TIMEFRAMES
from app.domain.market.trading_hours import TradingHours, is_open, next_open, open_gaps

MINUTE = 60_000


class Fixed:
    """Trading times as they are given, in order."""

    def __init__(self, *times: tuple[int, int]) -> None:
        self.times = [TradingHours(*time) for time in times]

    def following(self, time_ms: int) -> TradingHours | None:
        return next((time for time in self.times if time.close_ms > time_ms), None)

    def following_day(self, time_ms: int) -> TradingHours | None:
        day = TIMEFRAMES["1d"]
        whole = [TradingHours(day.floor(time.open_ms), day.ceil(time.close_ms)) for time in self.times]
        return next((day for day in whole if day.close_ms > time_ms), None)


def test_without_hours_every_slot_is_open_and_every_gap_stays() -> None:
    grid, gap = TIMEFRAMES["1m"], Gap("SPY", "1m", 0, 10 * MINUTE, 10)
    assert is_open(None, grid, 0)
    assert next_open(None, grid, 5) == 5
    assert open_gaps(None, [gap]) == [gap]


def test_a_slot_is_open_when_any_of_it_is() -> None:
    hours, grid = Fixed((30 * MINUTE, 61 * MINUTE)), TIMEFRAMES["1h"]
    assert [is_open(hours, grid, slot * grid.ms) for slot in range(3)] == [True, True, False]
    assert next_open(hours, grid, -5 * grid.ms) == 0
    assert open_gaps(hours, [Gap("SPY", "1h", -grid.ms, 3 * grid.ms, 4)]) == [Gap("SPY", "1h", 0, 2 * grid.ms, 2)]


def test_behind_the_last_hours_known_nothing_is_open() -> None:
    hours, grid = Fixed((0, MINUTE)), TIMEFRAMES["1m"]
    assert not is_open(hours, grid, MINUTE)
    assert next_open(hours, grid, MINUTE) == MINUTE
    assert open_gaps(hours, [Gap("SPY", "1m", MINUTE, 9 * MINUTE, 8)]) == []


@pytest.mark.parametrize("name", ["1m", "15m", "1h", "1d", "1w"])
def test_what_is_left_of_gaps_are_the_slots_with_trading(name: str) -> None:
    grid = TIMEFRAMES[name]
    for seed in range(60):
        draw = random.Random(f"{name}{seed}")
        edges = sorted(draw.sample(range(60 * grid.ms // MINUTE), 2 * draw.randrange(8)))
        hours = Fixed(*((edges[at] * MINUTE, edges[at + 1] * MINUTE) for at in range(0, len(edges), 2)))
        first = grid.ceil(draw.randrange(20 * grid.ms))
        gap = Gap("SPY", name, first, first + draw.randrange(1, 30) * grid.ms, 0)
        left = open_gaps(hours, [gap])
        traded = [
            slot
            for slot in range(gap.from_ms, gap.to_ms, grid.ms)
            if any(time.open_ms < slot + grid.ms and time.close_ms > slot for time in hours.times)
        ]
        assert [slot for part in left for slot in range(part.from_ms, part.to_ms, grid.ms)] == traded
        assert sum(part.missing for part in left) == len(traded)
        assert all(before.to_ms < after.from_ms for before, after in itertools.pairwise(left))
        assert traded == [slot for slot in range(gap.from_ms, gap.to_ms, grid.ms) if is_open(hours, grid, slot)]
        for slot in range(gap.from_ms, gap.to_ms, grid.ms):
            following = next((open_ms for open_ms in traded if open_ms >= slot), None)
            assert following is None or next_open(hours, grid, slot) == following
