from datetime import UTC, datetime

import pytest

from app.candles.cache.calendar import Calendar
from app.domain.market.candle import Gap
from app.domain.market.trading_hours import open_gaps
from app.errors import BadInputError

pytest.importorskip("exchange_calendars")
# exchange_calendars 4.13 uses what pandas 3.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def gap(timeframe: str, start: str, end: str) -> Gap:
    return Gap("SPY", timeframe, ms(start), ms(end), 0)


def test_nights_weekends_and_holidays_are_no_gaps() -> None:
    closed = [
        gap("1d", "2018-12-01", "2018-12-03"),
        gap("1d", "2018-12-05", "2018-12-06"),
        gap("1m", "2020-12-15T21:00", "2020-12-16T14:30"),
        gap("1h", "2020-12-15T21:00", "2020-12-16T14:00"),
    ]
    assert open_gaps(Calendar("XNYS"), closed) == []
    assert open_gaps(Calendar("XNYS"), []) == []


def test_what_is_missing_while_the_market_was_open_is_left_day_by_day() -> None:
    result = open_gaps(Calendar("XNYS"), [gap("1h", "2020-12-15T12:00", "2020-12-17T00:00")])
    assert result == [
        Gap("SPY", "1h", ms("2020-12-15T14:00"), ms("2020-12-15T21:00"), 7),
        Gap("SPY", "1h", ms("2020-12-16T14:00"), ms("2020-12-16T21:00"), 7),
    ]


def test_a_lunch_break_is_closed() -> None:
    results = open_gaps(Calendar("XHKG"), [gap("30m", "2024-01-04T00:00", "2024-01-05T00:00")])
    assert [result.missing for result in results] == [5, 6]


def test_daylight_saving_moves_the_hours() -> None:
    (part,) = open_gaps(Calendar("XNYS"), [gap("30m", "2024-07-01", "2024-07-02")])
    assert (part.from_ms, part.to_ms) == (ms("2024-07-01T13:30"), ms("2024-07-01T20:00"))


@pytest.mark.parametrize(
    ("name", "holiday"),
    [
        ("XASX", "2024-04-25"),
        ("XTKS", "2024-04-29"),
        ("XETR", "2024-05-01"),
        ("XLON", "2024-05-06"),
        ("XNYS", "2024-05-27"),
    ],
)
def test_days_are_those_of_the_place_wherever_it_is(name: str, holiday: str) -> None:
    """In Sydney, Monday begins on Sunday, UTC, as long as it is summer there."""
    gaps = [
        gap("1d", "2024-01-15", "2024-01-22"),
        gap("1d", "2024-07-01", "2024-07-08"),
        gap("1d", holiday, f"{holiday}T23"),
    ]
    week, other, closed = (open_gaps(Calendar(name), [closed_gap]) for closed_gap in gaps)
    start = "2024-01-16" if name == "XNYS" else "2024-01-15"  # A holiday in New York.
    assert [(part.from_ms, part.to_ms) for part in week] == [(ms(start), ms("2024-01-20"))]
    assert closed == []
    assert sum(part.missing for part in other) == (4 if name == "XNYS" else 5)


@pytest.mark.parametrize("name", ["NOWHERE", ""])
def test_an_unknown_calendar_is_refused(name: str) -> None:
    with pytest.raises(BadInputError, match=r"^calendar: "):
        Calendar(name).following(ms("2018-12-01"))
