"""Timeframes and their UTC grid; lengths of candles are defined only here."""

from __future__ import annotations

from typing import NamedTuple

from app.errors import BadInputError

_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


class Timeframe(NamedTuple):
    """A candle length in milliseconds and where its grid starts, counted from 1970-01-01 UTC."""

    name: str
    ms: int
    offset_ms: int = 0

    def floor(self, time_ms: int) -> int:
        """Return the last grid time at or before `time_ms`."""
        return time_ms - (time_ms - self.offset_ms) % self.ms

    def ceil(self, time_ms: int) -> int:
        """Return the first grid time at or after `time_ms`."""
        return time_ms + (self.offset_ms - time_ms) % self.ms

    def slots(self, start_ms: int, end_ms: int) -> int:
        """Count the grid times in `[start_ms, end_ms)`."""
        return max(0, -((self.ceil(start_ms) - end_ms) // self.ms))


# Weeks open on Monday (1970-01-01 was a Thursday); 3d counts from the epoch.
TIMEFRAMES: dict[str, Timeframe] = {
    timeframe.name: timeframe
    for timeframe in (
        Timeframe("1m", _MINUTE),
        Timeframe("3m", 3 * _MINUTE),
        Timeframe("5m", 5 * _MINUTE),
        Timeframe("15m", 15 * _MINUTE),
        Timeframe("30m", 30 * _MINUTE),
        Timeframe("1h", _HOUR),
        Timeframe("2h", 2 * _HOUR),
        Timeframe("4h", 4 * _HOUR),
        Timeframe("6h", 6 * _HOUR),
        Timeframe("8h", 8 * _HOUR),
        Timeframe("12h", 12 * _HOUR),
        Timeframe("1d", _DAY),
        Timeframe("3d", 3 * _DAY),
        Timeframe("1w", 7 * _DAY, 4 * _DAY),
    )
}


def timeframe(name: str) -> Timeframe:
    """Return the timeframe called `name`; raises `BadInputError` for any other word."""
    try:
        return TIMEFRAMES[name]
    except KeyError:
        raise BadInputError(f"timeframe: {name!r} is not one of {' '.join(TIMEFRAMES)}") from None
