"""Rows of QuantConnect Lean files: CSV in zips, whose folders say what the times and prices mean.

Minute files hold milliseconds since midnight of the day in their name, longer ones `yyyymmdd hh:mm`. Times are those
of the market's zone, days are labelled at 00:00 UTC. US equity prices are in ten-thousandths. Of quotes the bid is
taken.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from app.candles.formats.csv_file import LineReader
from app.candles.rows.row import Row, RowIssue

_MINUTE_NAME = re.compile(r"(\d{8})_.*(?:second|minute)_(?:trade|quote)\.csv")
_LONG_ROW = re.compile(rb"\d{8} \d\d:\d\d,")
_EQUITY_DECIMALS = 4
_ZONES: dict[str, Callable[[], tzinfo]] = {
    "equity": lambda: ZoneInfo("America/New_York"),
    "fxcm": lambda: timezone(timedelta(hours=-5)),
}


def belongs(member: str, stream: io.BufferedReader) -> bool:
    """Whether a member of a zip is a Lean file, by its name or its first row."""
    return bool(_MINUTE_NAME.fullmatch(member) or _LONG_ROW.match(stream.peek(32)))


def rows(stream: io.BufferedReader, member: str, folders: Sequence[str]) -> Iterator[Row | RowIssue]:
    """Yield the rows of one member; `folders` are the names of those the zip lies in."""
    zone = next((make() for name, make in _ZONES.items() if name in folders), UTC)
    decimals = _EQUITY_DECIMALS if "equity" in folders else 0
    dated = _MINUTE_NAME.fullmatch(member)
    day = datetime.strptime(dated[1], "%Y%m%d").replace(tzinfo=zone) if dated else None
    zone = UTC if "daily" in folders else zone
    for line_number, line in enumerate(LineReader(stream), 1):
        cells = line.rstrip().split(",")
        try:
            time = day + timedelta(milliseconds=int(cells[0])) if day else _long(cells[0], zone)
            opened, high, low, close = (Decimal(cell).scaleb(-decimals) for cell in cells[1:5])
        except (ValueError, InvalidOperation):
            yield RowIssue(line_number, f"not a row of a Lean file: {line[:40]!r}")
            continue
        yield line_number, time.isoformat(), opened, high, low, close, cells[5] if len(cells) > 5 else 0


def _long(text: str, zone: tzinfo) -> datetime:
    return datetime.strptime(text, "%Y%m%d %H:%M").replace(tzinfo=zone)
