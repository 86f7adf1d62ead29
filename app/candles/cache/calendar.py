"""Trading hours from exchange_calendars, so that nights, weekends and holidays are no gaps."""

from __future__ import annotations

import importlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, cached_property
from statistics import median
from threading import Lock
from typing import Any

from app.domain.market.symbol import normalize_venue
from app.domain.market.trading_hours import TradingHours
from app.domain.session import Session
from app.errors import BadInputError

_EARLIER, _LATER = timedelta(days=366), timedelta(days=2 * 366)
"""The days to read before and after a time: the cost does not depend on their number."""

_EDGE = timedelta(days=2)
"""A market's day may start on the day before its date and end on the day after it, UTC."""


def calendars(text: str) -> dict[str, Calendar]:
    """Parse a setting such as `nasdaq=XNYS`; return venue -> calendar.

    Raises `BadInputError` for another format, an unknown calendar, or if the library is not installed.
    """
    chosen: dict[str, Calendar] = {}
    for item in text.split():
        venue, equals, name = item.partition("=")
        if not equals or name not in _library().get_calendar_names():
            raise BadInputError(f"calendars: {item!r} is not venue=calendar with a name such as XNYS")
        chosen[normalize_venue(venue)] = Calendar(name)
    return chosen


def add_trading_hours(session: Session, calendar: Calendar | None) -> Session:
    """Return a session with the trading hours of its venue, if it has any."""
    return session if calendar is None else replace(session, spec=replace(session.spec, hours=calendar))


class Calendar:
    """The trading hours of one market (XNYS, XLON ...), read as needed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = Lock()
        self._times: list[TradingHours] = []
        self._dates: list[TradingHours] = []
        self._days: tuple[date, date] | None = None
        self._known = range(0)

    def following(self, time_ms: int) -> TradingHours | None:
        """Return the first trading period that ends after `time_ms`, without lunch breaks; null after the last known.

        Raises `BadInputError` for a time outside the calendar.
        """
        self._make_known(time_ms)
        return _first_after(self._times, time_ms)

    def following_day(self, time_ms: int) -> TradingHours | None:
        """Return the same for whole trading days: from midnight to midnight UTC of the market's local date.

        In Sydney Monday starts on Sunday, UTC; its daily candle is still Monday's.
        """
        self._make_known(time_ms)
        return _first_after(self._dates, time_ms)

    def _make_known(self, time_ms: int) -> None:
        if time_ms not in self._known:
            with self._lock:
                self._read(_day(time_ms))

    @cached_property
    def days_per_year(self) -> int:
        """The trading days per year, 252 for stocks in New York: the median of the years that the library knows."""
        counts = Counter(day.year for day in _library().get_calendar(self.name).sessions)
        return round(median(list(counts.values())[1:-1]))

    def read(self, from_ms: int, to_ms: int) -> None:
        """Read a whole range in advance, because that takes a second. Raises `BadInputError`."""
        self.following(to_ms)
        self.following(from_ms)

    def _read(self, day: date) -> None:
        """Read the days around one, and those between it and the days already read."""
        library = _library()
        try:
            first, last = _bounds(self.name)
            start, end = self._days or (day, day)
            start = max(min(start, day - _EARLIER), first or date.min)
            end = min(max(end, day + _LATER), last or date.max)
            if not start <= day <= end:
                raise BadInputError(
                    f"calendar: {self.name} has no record of {day}; a newer version of exchange_calendars may have it"
                )
            days = library.get_calendar(self.name, start=str(start), end=str(end)).schedule
        except (library.errors.CalendarError, ValueError, OverflowError) as error:
            raise BadInputError(f"calendar: {self.name} does not reach to {day}: {error}") from None
        self._times = [hours for row in days.itertuples() for hours in _times(row)]
        self._dates = [_whole(row.Index.date()) for row in days.itertuples()]
        from_ms = _midnight_ms(start if start == first else start + _EDGE)
        to_ms = (
            _midnight_ms(end + timedelta(1)) if end == last else min(self._times[-1].close_ms, self._dates[-1].close_ms)
        )
        self._days, self._known = (start, end), range(from_ms, to_ms)


def _library() -> Any:
    try:
        return importlib.import_module("exchange_calendars")
    except ImportError:
        raise BadInputError("calendars: trading hours need exchange_calendars: pip install 'zeon-sim[data]'") from None


@cache
def _bounds(name: str) -> tuple[date | None, date | None]:
    """Return the first and last day of a calendar, null if it has only rules and no limit."""
    calendar = _library().get_calendar(name)
    first, last = calendar.bound_min(), calendar.bound_max()
    return first and first.date(), last and last.date()


def _times(row: Any) -> Iterator[TradingHours]:
    """Yield the trading periods of one day: two if it has a break."""
    moments = (row.open, row.break_start, row.break_end, row.close)
    edges = [int(moment.timestamp() * 1000) for moment in moments if moment == moment]
    for at in range(0, len(edges), 2):
        yield TradingHours(edges[at], edges[at + 1])


def _whole(day: date) -> TradingHours:
    return TradingHours(_midnight_ms(day), _midnight_ms(day + timedelta(1)))


def _first_after(times: list[TradingHours], time_ms: int) -> TradingHours | None:
    at = bisect_right(times, time_ms, key=lambda hours: hours.close_ms)
    return times[at] if at < len(times) else None


def _day(time_ms: int) -> date:
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).date()
    except (ValueError, OverflowError, OSError):
        raise BadInputError(f"calendar: {time_ms} is outside the calendar's range") from None


def _midnight_ms(day: date) -> int:
    return int(datetime.combine(day, time.min, UTC).timestamp() * 1000)
