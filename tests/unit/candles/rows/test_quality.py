import random
from collections.abc import Iterable, Iterator

import pytest

from app.candles.rows.quality import LISTED, RowValidator
from app.candles.rows.row import Block, BrokenFileError, Row, Value
from app.domain.market.timeframe import timeframe

HOUR = 3_600_000
START = 1_704_067_200_000


def check(name: str = "1h") -> RowValidator:
    return RowValidator("BTCUSDT", timeframe(name), now_ms=START + 1_000 * HOUR)


def row(time: Value, *prices: str, place: int = 1) -> Row:
    opened, high, low, close, volume = prices or ("10", "12", "9", "11", "3")
    return place, time, opened, high, low, close, volume


def opens(checked: RowValidator, rows: Iterable[Row]) -> list[int]:
    return [open_ms for piece in checked.columns(rows) for open_ms in piece.times]


@pytest.mark.parametrize(
    ("prices", "reason"),
    [
        (("10", "8", "9", "10", "1"), "high 8 is below low 9"),
        (("13", "12", "9", "11", "1"), "open 13 is outside low 9 to high 12"),
        (("10", "12", "9", "8", "1"), "close 8 is outside low 9 to high 12"),
        (("10", "12", "9", "11", "-1"), "volume: -1 is negative"),
        (("nan", "12", "9", "11", "1"), "open: nan is not a finite number below 1e18"),
        (("10", "inf", "9", "11", "1"), "high: inf is not a finite number below 1e18"),
        (("10", "12", "9", "", "1"), "close: '' is not a number"),
        (("10", "12", "0", "11", "1"), "low: 0 is not above zero"),
        (("10", "12", "9", "11", "1e400"), "volume: 1e400 is not a finite number below 1e18"),
    ],
)
def test_a_bad_row_is_refused_with_its_field_and_place(prices: tuple[str, ...], reason: str) -> None:
    checked = check()
    rows = [row(START), row(START + HOUR, *prices, place=2), row(START + 2 * HOUR, place=3)]
    assert opens(checked, rows) == [START, START + 2 * HOUR]
    assert (checked.rows, checked.refused, checked.refusals) == (3, 1, [(2, reason)])


def test_refusals_are_all_counted_and_the_first_hundred_listed() -> None:
    checked = check()
    assert opens(checked, (row("never", place=place) for place in range(1, 251))) == []
    assert checked.refused == 250
    assert [finding.line_number for finding in checked.refusals] == list(range(1, LISTED + 1))


def test_a_candle_still_open_is_refused() -> None:
    checked = check()
    assert opens(checked, [row(START + 1_000 * HOUR)]) == []
    assert checked.refusals[0].reason == "the candle is still open"


def test_repeated_and_unordered_times_are_counted_and_listed() -> None:
    checked = check()
    rows = [row(START + hour * HOUR, place=place) for place, hour in enumerate((0, 2, 1, 2, 3), 1)]
    assert len(opens(checked, rows)) == 5
    assert (checked.duplicates, checked.unordered) == (1, 1)
    assert [finding.line_number for finding in checked.repairs] == [3, 4]
    assert (checked.first_ms, checked.last_ms) == (START, START + 3 * HOUR)


def test_rows_off_the_grid_are_refused() -> None:
    checked = check()
    rows = [row(START), row(START + HOUR + 900_000, place=2), row(START + 2 * HOUR + 1, place=3)]
    assert len(opens(checked, rows)) == 1
    assert [finding.line_number for finding in checked.refusals] == [2, 3]
    assert checked.refusals[1].reason == f"time {START + 2 * HOUR + 1} is off the 1h grid"


def test_stock_hours_that_open_at_half_past_are_a_grid_of_their_own() -> None:
    checked = check()
    rows = [row(START + 1_800_000), row(START + HOUR + 1_800_000), row(START + 2 * HOUR + 900_000, place=3)]
    assert len(opens(checked, rows)) == 2
    assert checked.refusals[0].line_number == 3


def test_daylight_saving_moves_a_grid_of_its_own_by_an_hour() -> None:
    checked = check("1d")
    rows = [row("2023-10-31 13:30"), row("2023-11-06 14:30")]
    assert len(opens(checked, rows)) == 2


def test_two_rows_of_one_slot_are_not_both_taken() -> None:
    checked = check("1d")
    rows = [row("2023-10-31 13:30"), row("2023-10-31 14:30", place=2)]
    assert len(opens(checked, rows)) == 1
    assert "lies in a slot that another row opens" in checked.refusals[0].reason


def test_what_came_before_a_break_is_kept() -> None:
    def breaking() -> Iterator[Row]:
        yield row(START)
        raise BrokenFileError("line 2: torn")

    checked = check()
    assert len(opens(checked, breaking())) == 1
    assert checked.broke == "line 2: torn"


def test_blocks_and_rows_end_in_the_same_candles() -> None:
    plain = ["42000.50", "42000.5000", "42000", "7.10", "0.00000001", "100", "1e3", "1_0", "nan", "-1", " 5", ""]
    for seed in range(200):
        draw = random.Random(seed)
        words = [draw.choice(plain[: draw.choice((6, 12))]) for _ in range(10)]
        times = [str(START + hour * HOUR) for hour in range(10)]
        if draw.random() < 0.3:
            draw.shuffle(times)
        block = Block(1, times, [words, words, words, words, ["7.50"] * 10])
        first, second = check(), check()
        assert list(first.columns([block])) == list(second.columns(block.rows()))
        assert (first.refusals, first.repairs, first.rows) == (second.refusals, second.repairs, second.rows)


def test_prices_that_binary_floats_cannot_tell_apart_are_compared_exactly() -> None:
    checked = check()
    high, opened = "0.10000000000000000", "0.10000000000000001"
    assert opens(checked, [Block(1, [str(START)], [[opened], [high], ["0.05"], ["0.07"], ["1"]])]) == []
    assert checked.refusals[0].reason.startswith("open 0.1")
