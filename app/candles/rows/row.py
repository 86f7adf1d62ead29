"""Rows as a source has them, and what readers of files say about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

from app.candles.rows.read_options import Stamp
from app.errors import BadInputError

_FLOAT = Context(prec=15, rounding=ROUND_HALF_EVEN)

Value = str | int | Decimal
"""A time or number as its source spells it; never a binary float, which would not be exact."""


class Ms(int):
    """An open time that is ms since the epoch for certain, whatever its size."""

    __slots__ = ()


Row = tuple[int, Value, Value, Value, Value, Value, Value]
"""One candle as its source spells it: line or row number, counted from 1, then time and the five `FIELDS`."""

FIELDS = ("open", "high", "low", "close", "volume")


class RowIssue(NamedTuple):
    """Something about one row: its line or row number, and what it is, with the file where there are several.

    A reader that finds a row it may not take yields this in the row's stead.
    """

    line_number: int
    reason: str


class Block(NamedTuple):
    """Many rows at once, column by column, all as text: the number of the first, the times and the five `FIELDS`.

    A reader that knows its rows to be uniform yields these instead, which saves most of the work. An empty one only
    says that a reader is still at work. Times that are `settled` are ms since the epoch for certain.
    """

    line_number: int
    times: list[str]
    numbers: list[list[str]]
    settled: bool = False

    def rows(self) -> Iterator[Row]:
        """Yield the rows one by one."""
        times: Iterable[Value] = map(Ms, self.times) if self.settled else self.times
        for line_number, row in enumerate(zip(times, *self.numbers, strict=True), self.line_number):
            yield (line_number, *row)


STILL_READING = Block(0, [], [[], [], [], [], []])


class Layout(NamedTuple):
    """What the form of a file says about the rows that follow; a reader yields it before them.

    `stamp` is the end of a candle its times name, and `zone` where they were written, None where nothing says so;
    prices are in units of 10 to the power of `-decimals`.
    """

    stamp: Stamp | None = None
    decimals: int = 0
    zone: str | None = None


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


def float_exact(value: float | str) -> str | Decimal:
    """Take a binary float, or its text, as the number it was before: rounded to 15 significant digits."""
    try:
        return _FLOAT.create_decimal(repr(value) if isinstance(value, float) else value)
    except ArithmeticError:
        return str(value)
