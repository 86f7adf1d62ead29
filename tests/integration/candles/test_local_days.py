"""Daily candles of places with summer time: one slot for each local date, however and in whatever parts they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest

from app.candles.cache.calendar import Calendar
from app.candles.cache.load import coverage
from app.candles.imports.importer import import_file
from app.candles.rows.read_options import read_options
from app.candles.rows.report import Report
from app.db import candles as stored
from app.errors import BadInputError
from tests.support.postgres import Database
from tests.support.running_engine import running_engine

pytest.importorskip("exchange_calendars")
# exchange_calendars 4.13 uses what pandas 3.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Connection = psycopg.AsyncConnection
DAY = 86_400_000
HEADER = "time,open,high,low,close,volume"
PLACES = {
    "Europe/London": ("XLON", date(2024, 3, 31)),
    "Europe/Berlin": ("XETR", date(2024, 10, 27)),
    "America/New_York": ("XNYS", date(2024, 3, 10)),
    "Australia/Sydney": ("XASX", date(2024, 4, 7)),
    "Asia/Tokyo": ("XTKS", date(2024, 4, 7)),
}
"""Calendar of each place, and a day on which its clocks change (in Tokyo they never do)."""


def midnight(day: date, zone: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))


FORMS: dict[str, tuple[Callable[[date, str], str], bool]] = {
    "offset": (lambda day, zone: midnight(day, zone).isoformat(" "), False),
    "named zone": (lambda day, zone: f"{day} 00:00:00 {zone}", False),
    "open of trading": (lambda day, zone: (midnight(day, zone) + timedelta(hours=10)).isoformat(), False),
    "date": (lambda day, zone: str(day), False),
    "seconds": (lambda day, zone: str(int(midnight(day, zone).timestamp())), True),
    "utc": (lambda day, zone: midnight(day, zone).astimezone(UTC).isoformat(), True),
    "no zone": (lambda day, zone: f"{day} 00:00:00", True),
}
"""How a form writes a day, and whether only --time-zone says where the day begins."""


def slot(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000


@cache
def calendar_of(name: str) -> Calendar:
    return Calendar(name)


def trading_days(zone: str) -> list[date]:
    """List the trading days of three weeks around the change of clocks."""
    name, change = PLACES[zone]
    calendar, days = calendar_of(name), [change + timedelta(days=number) for number in range(-10, 11)]
    return [day for day in days if (hours := calendar.following_day(slot(day))) and hours.open_ms == slot(day)]


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[Connection]:
    async with await Connection.connect(database.url, autocommit=True) as connection:
        yield connection


async def bring_in(conn: Connection, folder: Path, zone: str, form: str, days: list[date], symbol: str) -> Report:
    time_text, unsaid = FORMS[form]
    name, _ = PLACES[zone]
    path = folder / f"{symbol}-{days[0]}.csv"
    path.write_text("\n".join([HEADER, *(f"{time_text(day, zone)},10,12,9,11,{day.day}" for day in days)]))
    options = read_options(time_zone=zone if unsaid else None)
    return await import_file(conn, path, name.lower(), symbol, "1d", None, calendar_of(name), options)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", FORMS)
async def test_days_are_one_series_in_one_file_or_in_parts(
    conn: Connection, tmp_path: Path, place: str, form: str
) -> None:
    days, (name, change) = trading_days(place), PLACES[place]
    before, after = [day for day in days if day <= change], [day for day in days if day > change]
    for symbol, parts in {"WHOLE": [days], "WS": [before, after], "SW": [after, before], "BACK": [days[::-1]]}.items():
        for part in parts:
            report = await bring_in(conn, tmp_path, place, form, part, symbol)
            assert (report.new, report.refused, report.missing) == (len(part), 0, 0)
        candles = await stored.last_before(conn, name.lower(), symbol, "1d", 2**60, 100)
        # Of London's winter alone, +00:00 may as well be UTC: there a candle keeps its time of day.
        assert [candle.open_time_ms // DAY * DAY for candle in candles] == [slot(day) for day in days]
    listed = await coverage(conn, {name.lower(): calendar_of(name)})
    assert {(series.symbol, series.gaps, series.missing) for series in listed} == {
        (s, 0, 0) for s in ("WHOLE", "WS", "SW", "BACK")
    }


@pytest.mark.parametrize("place", PLACES)
async def test_a_session_that_may_not_miss_a_day_runs_over_the_change(
    conn: Connection, database: Database, tmp_path: Path, place: str
) -> None:
    days, (name, _) = trading_days(place), PLACES[place]
    await bring_in(conn, tmp_path, place, "offset", days, "INDEX")
    range_ms = {"start_ms": slot(days[0]), "end_ms": slot(days[-1]) + DAY}
    async with running_engine(database, calendars=f"{name.lower()}={name}") as engine:
        started = await engine.start(venue=name.lower(), symbols=("INDEX",), timeframe="1d", **range_ms)
        session = await engine.finished(started.id)
        log = await engine.log(session.id)
    assert (session.status, session.error) == ("finished", None)
    opens = [event["payload"]["candle"]["openTimeMs"] for event in log if event["type"] == "candle"]
    assert opens == [slot(day) for day in days]


async def test_a_missing_day_is_a_gap_of_that_date(conn: Connection, tmp_path: Path) -> None:
    days = trading_days("Australia/Sydney")
    lacking = days.pop(4)
    report = await bring_in(conn, tmp_path, "Australia/Sydney", "offset", days, "INDEX")
    assert [(gap.from_ms, gap.missing) for gap in report.gaps] == [(slot(lacking), 1)]


@pytest.mark.parametrize("form", ["seconds", "utc"])
async def test_days_whose_place_is_not_known_are_asked_for(conn: Connection, tmp_path: Path, form: str) -> None:
    """Midnight in Sydney is the afternoon of the day before, UTC."""
    time_text, _ = FORMS[form]
    path = tmp_path / "days.csv"
    days = trading_days("Australia/Sydney")
    path.write_text("\n".join([HEADER, *(f"{time_text(day, 'Australia/Sydney')},1,1,1,1,1" for day in days)]))
    with pytest.raises(BadInputError, match=r"^timeZone: .* --time-zone"):
        await import_file(conn, path, "xasx", "INDEX", "1d")


async def test_weeks_belong_to_the_monday_of_their_place(conn: Connection, tmp_path: Path) -> None:
    zone = "Europe/Berlin"
    mondays = [date(2024, 3, 18) + timedelta(weeks=number) for number in range(4)]
    path = tmp_path / "weeks.csv"
    path.write_text("\n".join([HEADER, *(f"{midnight(day, zone).isoformat()},1,1,1,1,1" for day in mondays)]))
    report = await import_file(conn, path, "xetr", "INDEX", "1w")
    assert (report.new, report.missing, report.first_ms) == (4, 0, slot(mondays[0]))
