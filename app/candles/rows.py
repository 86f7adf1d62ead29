"""Rows as a source has them, and how their times and numbers are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import NamedTuple

from app.errors import BadInputError

_FLOAT = Context(prec=15, rounding=ROUND_HALF_EVEN)

Value = str | int | Decimal
"""A time or number as its source spells it; never a binary float, which would not be exact."""

MS_FROM, MS_TO = 10**11, 10**14
"""Whole numbers in this range are milliseconds, smaller ones seconds, larger ones microseconds and so on."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DOTTED_DAY = re.compile(r"(\d{4})[./](\d\d)[./](\d\d)")


Row = tuple[int, Value, Value, Value, Value, Value, Value]
"""One candle as its source spells it: line or row number, counted from 1, then time and the five `FIELDS`."""

FIELDS = ("open", "high", "low", "close", "volume")


class RowIssue(NamedTuple):
    """Something about one row: its line or row number, and what it is, with the file where there are several.

    A reader that finds a row it may not take yields this in the row's stead.
    """

    place: int
    reason: str


class Block(NamedTuple):
    """Many rows at once, column by column, all as text: the number of the first, the times and the five `FIELDS`.

    A reader that knows its rows to be uniform yields these instead, which saves most of the work.
    """

    place: int
    times: list[str]
    numbers: list[list[str]]

    def rows(self) -> Iterator[Row]:
        """Yield the rows one by one."""
        for place, row in enumerate(zip(self.times, *self.numbers, strict=True), self.place):
            yield (place, *row)


Item = Row | RowIssue | Block
"""What readers of files yield."""


def single_rows(items: Iterable[Item]) -> Iterator[Row | RowIssue]:
    """Yield the rows of blocks one by one."""
    for item in items:
        if isinstance(item, Block):
            yield from item.rows()
        else:
            yield item


class RowError(Exception):
    """Why a row is not taken, in words for a report."""


class BrokenFileError(BadInputError):
    """The file cannot be read on from here; what came before is good."""


def time_ms(value: Value) -> int:
    """Read an open time: seconds, ms, us or ns since the epoch (told apart by size) or ISO 8601; returns ms UTC.

    Eight digits are a day (`20240115`). A time without a zone is UTC. Raises `RowError`.
    """
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return _spelled_ms(str(value).strip())
    if MS_FROM <= number < MS_TO:
        return number
    return _day_ms(number) if 19_000_101 <= number <= 22_001_231 else _scaled_ms(number)


def _scaled_ms(number: int) -> int:
    size = abs(number)
    if size < MS_FROM:
        return number * 1_000
    if size < MS_TO:
        return number
    if size < MS_TO * 1_000:
        return number // 1_000
    return number // 1_000_000


def _day_ms(number: int) -> int:
    try:
        return _datetime_ms(datetime.strptime(str(number), "%Y%m%d").replace(tzinfo=UTC))
    except ValueError:
        return _scaled_ms(number)


def _fraction_ms(text: str) -> int | None:
    """Read a number with a point or exponent, such as `1364774820.0`; None when the text is no number."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite() or number.adjusted() > 20:
        raise RowError(f"time: {text[:40]!r} is not a time")
    return int(number * 1_000) if abs(number) < MS_FROM else _scaled_ms(int(number))


def _spelled_ms(text: str) -> int:
    number = _fraction_ms(text)
    if number is not None:
        return number
    try:
        moment = datetime.fromisoformat(_DOTTED_DAY.sub(r"\1-\2-\3", text.removesuffix("UTC").strip(), count=1))
    except ValueError:
        raise RowError(f"time: {text[:40]!r} is neither a number nor an ISO 8601 time") from None
    return _datetime_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _datetime_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def float_exact(value: float | str) -> str | Decimal:
    """Take a binary float, or its text, as the number it was before: rounded to 15 significant digits."""
    try:
        return _FLOAT.create_decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        return str(value)
