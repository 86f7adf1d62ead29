"""Candles of another timeframe than asked for are not stored as what they are not."""

import random

import pytest

from app.candles.rows.steps import check_steps, timeframe_of
from app.domain.market.timeframe import TIMEFRAMES
from app.errors import BadInputError

START = 1_704_067_200_000
DAY = 86_400_000


def times(step_ms: int, count: int = 20) -> list[int]:
    return [START + n * step_ms for n in range(count)]


@pytest.mark.parametrize("asked", TIMEFRAMES)
@pytest.mark.parametrize("real", TIMEFRAMES)
def test_steps_of_another_timeframe_are_refused_and_named(real: str, asked: str) -> None:
    opens = times(TIMEFRAMES[real].ms)
    for order in (opens, opens[::-1], opens[:3]):
        assert timeframe_of(order) == real
        if real == asked:
            check_steps(order, TIMEFRAMES[asked])
            continue
        with pytest.raises(BadInputError, match=f"every step is {real}; did you mean --timeframe {real}"):
            check_steps(order, TIMEFRAMES[asked])


def test_holes_nights_and_weekends_are_no_other_timeframe() -> None:
    draw = random.Random(1)
    thin = sorted(draw.sample(times(60_000, 2_000), 300))
    check_steps(thin, TIMEFRAMES["1m"])
    weekdays = [START + n * DAY for n in range(40) if n % 7 < 5]
    check_steps(weekdays, TIMEFRAMES["1d"])
    hours = [START + n * DAY + hour * 3_600_000 for n in range(5) for hour in range(14, 21)]
    check_steps(hours, TIMEFRAMES["1h"])
    check_steps([START, START + 3 * DAY], TIMEFRAMES["1d"])
    check_steps([START, START + DAY - 3_600_000], TIMEFRAMES["1d"])


def test_one_shorter_step_is_enough() -> None:
    with pytest.raises(BadInputError, match="did you mean --timeframe 5m"):
        check_steps([START, START + 300_000], TIMEFRAMES["1h"])


@pytest.mark.parametrize(
    ("steps", "told"), [([31, 29, 31, 30], "every step is a month"), ([2, 2, 2], "every step is 2d"), ([14, 14], "2w")]
)
def test_steps_that_no_timeframe_has_are_named(steps: list[int], told: str) -> None:
    opens = [START + sum(steps[:n]) * DAY for n in range(len(steps) + 1)]
    with pytest.raises(BadInputError, match=rf"{told}.*there is no such timeframe"):
        check_steps(opens, TIMEFRAMES["1d"])
