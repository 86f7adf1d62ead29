"""Times as people, exchanges, vendors and terminals write them."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import strategies as st

from app.candles.rows.read_options import DateOrder, ReadOptions, read_options
from app.candles.rows.reading import Reading
from app.candles.rows.row import RowError
from app.candles.rows.times import NotATimeError, UnknownOrderError, orders_of, wall
from app.candles.rows.zones import find_zone
from app.domain.market.timeframe import TIMEFRAMES
from app.errors import BadInputError

MORNING = datetime.fromisoformat("2024-03-04T10:00")


@pytest.mark.parametrize(
    "text",
    [
        *("2024-03-04 10:00", "2024-03-04T10:00:00", "2024/03/04 10:00:00", "2024.03.04 10:00", "2024-3-4 10:00"),
        *("20240304 10:00:00", "20240304  10:00:00", "20240304 100000", "20240304 1000", "20240304T100000"),
        *(
            "4 Mar 2024 10:00",
            "04-Mar-24 10:00",
            "Mar 4, 2024 10:00 AM",
            "March 4 2024, 10:00:00",
            "4. März 2024 10:00",
        ),
        *("Mon Mar 4 10:00:00 2024", "Mon, 04 Mar 2024 10:00:00", "Monday, March 4, 2024 10:00", "2024-Mar-04 10:00"),
        *(
            "2024年3月4日 10:00",
            "2024-03-04 10-AM",
            "2024-03-04 10:00:00.000",
            "2024-03-04 10:00:00,000",
            "4 mars 2024 10:00",
        ),
    ],
)
def test_every_common_form_of_a_date_is_the_same_moment(text: str) -> None:
    result = wall(text)
    assert (result.moment, result.zone) == (MORNING, None)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        *(("2024-03-04T10:00:00Z", 0), ("2024-03-04 10:00:00 UTC", 0), ("2024-03-04 10:00:00+00:00", 0)),
        *(("2024-03-04 10:00:00 +0000 UTC", 0), ("2024-03-04T10:00:00+0100", 1), ("2024-03-04 10:00 GMT+0100", 1)),
        *(("2024-03-04 10:00 GMT+0100 (CET)", 1), ("20240304 10:00:00 US/Eastern", -5), ("2024-03-04 10:00 EST", -5)),
        *(("2024-03-04T10:00:00-05:00[America/New_York]", -5), ("2024-03-04 10:00 America/New_York", -5)),
        *(("Mon, 04 Mar 2024 10:00:00 GMT", 0), ("2024-03-04T10:00:00.123456789+05:30", 5.5), ("2024-03-04 10:00z", 0)),
    ],
)
def test_every_common_form_of_a_zone_is_read(text: str, hours: float) -> None:
    expected = datetime(2024, 3, 4, 10, tzinfo=UTC) - timedelta(hours=hours)
    assert Reading().time(text) // 1_000 == expected.timestamp()


@pytest.mark.parametrize(
    "text", ["2024-03-04 23:59:60", "2024-03-04 25:00", "2024-02-30", "10:00", "x", "", "٢٠٢٤-03-04"]
)
def test_what_is_no_time_is_said_so(text: str) -> None:
    with pytest.raises(NotATimeError):
        wall(text)


@pytest.mark.parametrize("text", ["03/04/2024", "3.4.2024 10:00", "24-03-04"])
def test_a_date_that_does_not_say_which_number_is_the_day_is_not_guessed(text: str) -> None:
    with pytest.raises(UnknownOrderError):
        wall(text)
    with pytest.raises(RowError, match="--dates dmy or mdy"):
        Reading().time(text)


@pytest.mark.parametrize(("order", "day"), [("dmy", "2024-04-03"), ("mdy", "2024-03-04")])
def test_the_order_that_is_said_counts(order: DateOrder, day: str) -> None:
    assert wall("03/04/2024", order).moment == datetime.fromisoformat(day)


def test_a_number_above_twelve_proves_the_order() -> None:
    assert orders_of("13/03/2024") == ("dmy",)
    assert orders_of("03/13/2024") == ("mdy",)
    assert orders_of("05/05/2024") == ("dmy", "mdy")
    assert wall("05/05/2024").moment == datetime.fromisoformat("2024-05-05")


def test_midnight_may_be_called_24_hours() -> None:
    assert wall("2024-03-04 24:00:00").moment == datetime.fromisoformat("2024-03-05")


@pytest.mark.parametrize("name", ["Mars/Base", "CST", "IST", "", "+25:00", "../etc/passwd", "Europe"])
def test_a_name_that_is_not_one_zone_is_refused(name: str) -> None:
    with pytest.raises(BadInputError, match=r"^timeZone: "):
        find_zone(name)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("timeZone", {"time_zone": "Nowhere"}),
        ("stamp", {"stamp": "middle"}),
        ("dates", {"dates": "ydm"}),
        ("decimal", {"decimal": ";"}),
        ("columns", {"columns": "time,open,high,low"}),
        ("columns", {"columns": "time,open,high,low,close,close"}),
        ("columns", {"columns": "time,open,high,low,close,price"}),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_its_name(field: str, options: dict[str, str]) -> None:
    with pytest.raises(BadInputError, match=rf"^{field}: "):
        read_options(**options)


def test_options_are_read_as_they_are_written() -> None:
    options = read_options("EST", "close", "dmy", "time, open,high,low,close,,volume", "ACME", "comma")
    columns = ("time", "open", "high", "low", "close", "-", "volume")
    assert options == ReadOptions("EST", "close", "dmy", columns, "ACME", ",")


def test_the_hour_that_clocks_show_twice_is_kept_in_the_order_of_the_file() -> None:
    hours = ["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 02:00", "2024-10-27 03:00"]
    ascending = Reading(TIMEFRAMES["1h"], find_zone("Europe/Berlin"))
    opens = [ascending.time(hour) for hour in hours]
    assert [b - a for a, b in pairwise(opens)] == [3_600_000] * 3
    descending = Reading(TIMEFRAMES["1h"], find_zone("Europe/Berlin"), descending=True)
    assert [descending.time(hour) for hour in reversed(hours)] == opens[::-1]


def test_an_hour_that_clocks_never_showed_is_refused() -> None:
    with pytest.raises(RowError, match="never showed 2024-03-31 02:30"):
        Reading(TIMEFRAMES["1h"], find_zone("Europe/Berlin")).time("2024-03-31 02:30")


PLACES = ["Europe/London", "Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Tokyo", "America/Sao_Paulo"]


@pytest.mark.parametrize("place", PLACES)
@hypothesis.given(st.dates(date(1975, 1, 1), date(2037, 1, 1)))
def test_a_day_belongs_to_its_local_date_in_every_form(place: str, day: date) -> None:
    """Midnight of a place is the same slot whether its offset, its zone or only the option says so."""
    zone = ZoneInfo(place)
    midnight = datetime.fromisoformat(f"{day}T00:00:00")
    offset = zone.utcoffset(midnight.replace(tzinfo=zone))
    assert offset is not None
    instant = (midnight - offset).replace(tzinfo=UTC)
    slot = int(midnight.replace(tzinfo=UTC).timestamp() * 1000)
    named = Reading(TIMEFRAMES["1d"], zone)
    assert named.time(f"{midnight}") == named.time(f"{day}") == slot
    assert named.time(str(int(instant.timestamp()))) == slot or _had_no_midnight(midnight, zone)
    reading = Reading(TIMEFRAMES["1d"], local=True)
    sign, minutes = ("-" if offset < timedelta(0) else "+"), abs(int(offset.total_seconds())) // 60
    if offset.total_seconds() % 60 == 0:
        assert reading.time(f"{day} 00:00:00{sign}{minutes // 60:02}:{minutes % 60:02}") == slot


def _had_no_midnight(moment: datetime, zone: ZoneInfo) -> bool:
    """Whether clocks went from 23:59 to 01:00, as they did in Brazil."""
    before, after = (zone.utcoffset(moment.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    return before != after


@pytest.mark.parametrize(
    ("frame", "text", "open_time"),
    [
        ("1m", "2024-01-01T00:01:00Z", "2024-01-01T00:00"),
        ("1m", "1704067260", "2024-01-01T00:00"),
        ("1h", "2024-01-01 10:59:59", "2024-01-01T10:00"),
        ("1h", "1704110399999", "2024-01-01T11:00"),
        ("1h", "2024-01-01 10:30", "2024-01-01T09:30"),
        ("1d", "2024-01-02 00:00:00+01:00", "2024-01-01T00:00"),
        ("1d", "2024-01-01 16:00:00-05:00", "2024-01-01T00:00"),
        ("1d", "2024-01-02", "2024-01-01T00:00"),
        ("1w", "2024-01-05 17:00:00-05:00", "2024-01-01T00:00"),
        ("1w", "2024-01-08", "2024-01-01T00:00"),
    ],
)
def test_times_of_the_close_are_read_as_the_open(frame: str, text: str, open_time: str) -> None:
    expected = datetime.fromisoformat(f"{open_time}+00:00").timestamp() * 1000
    assert Reading(TIMEFRAMES[frame], stamp="close").time(text) == expected
