"""Trading hours (exchange_calendars), so that nights, weekends and holidays are no gaps."""

from __future__ import annotations

import importlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from app.domain.candle import Gap
from app.domain.symbol import venue as spelled_venue
from app.domain.timeframe import timeframe as named_timeframe
from app.errors import BadInput


class Trading(NamedTuple):
    """A time from open to close in ms UTC, the close exclusive."""

    open_ms: int
    close_ms: int


def calendars(text: str) -> dict[str, str]:
    """Read an operator's setting such as `nasdaq=XNYS` into the name of a calendar per venue.

    Raises `BadInput` for another form, an unknown calendar, or when the library is not there.
    """
    chosen: dict[str, str] = {}
    for item in text.split():
        venue, equals, name = item.partition("=")
        if not equals or name not in _library().get_calendar_names():
            raise BadInput(f"calendars: {item!r} is not venue=calendar with a name such as XNYS")
        chosen[spelled_venue(venue)] = name
    return chosen


def trading_gaps(gaps: Sequence[Gap], name: str) -> list[Gap]:
    """Cut out of gaps the slots in which the market called `name` (XNYS, XLON ...) was closed from end to end.

    Raises `BadInput` for an unknown calendar or times it does not reach.
    """
    if not gaps:
        return []
    times = trading_times(name, min(gap.from_ms for gap in gaps), max(gap.to_ms for gap in gaps))
    return [open_gap for gap in gaps for open_gap in _open_parts(gap, times)]


def trading_times(name: str, from_ms: int, to_ms: int) -> list[Trading]:
    """List the trading times of a market that touch `[from_ms, to_ms)`, lunch breaks cut out, in order."""
    times: list[Trading] = []
    for session in _schedule(name, from_ms, to_ms).itertuples():
        opened, close = (int(moment.timestamp() * 1000) for moment in (session.open, session.close))
        pause = [
            int(moment.timestamp() * 1000) for moment in (session.break_start, session.break_end) if moment == moment
        ]
        edges = [opened, *pause, close]
        times += [Trading(edges[at], edges[at + 1]) for at in range(0, len(edges), 2)]
    return [each for each in times if each.close_ms > from_ms and each.open_ms < to_ms]


def _library() -> Any:
    try:
        return importlib.import_module("exchange_calendars")
    except ImportError:
        raise BadInput("calendars: trading hours need exchange_calendars: pip install 'zeon-sim[data]'") from None


def _schedule(name: str, from_ms: int, to_ms: int) -> Any:
    library = _library()
    start, end = (datetime.fromtimestamp(ms / 1000, UTC).date() for ms in (from_ms, to_ms))
    try:
        week = timedelta(days=7)
        return library.get_calendar(name, start=str(start - week), end=str(end + week)).schedule
    except library.errors.InvalidCalendarName:
        raise BadInput(f"calendar: {name!r} is no calendar of exchange_calendars, such as XNYS") from None
    except (library.errors.CalendarError, ValueError) as error:
        raise BadInput(f"calendar: {name} does not reach from {start} to {end}: {error}") from None


def _open_parts(gap: Gap, times: list[Trading]) -> Iterator[Gap]:
    """Yield the runs of slots of a gap that touch a trading time."""
    grid = named_timeframe(gap.timeframe)
    run: Gap | None = None
    first = max(0, bisect_right(times, gap.from_ms, key=lambda each: each.close_ms))
    for opened, close in times[first:]:
        if opened >= gap.to_ms:
            break
        start, end = max(gap.from_ms, grid.floor(opened)), min(gap.to_ms, grid.ceil(close))
        if run is not None and start <= run.to_ms:
            run = run._replace(to_ms=max(end, run.to_ms))
        else:
            yield from _counted(run, grid.ms)
            run = Gap(gap.symbol, gap.timeframe, start, end, 0)
    yield from _counted(run, grid.ms)


def _counted(run: Gap | None, step: int) -> Iterator[Gap]:
    if run is not None:
        yield run._replace(missing=(run.to_ms - run.from_ms) // step)
