"""Rows as sources give them, and what readers of files report about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

from app.candles.rows.read_options import Stamp
from app.errors import BadInputError

_FLOAT = Context(prec=15, rounding=ROUND_HALF_EVEN)

Value = str | int | Decimal
"""A time or number as its source writes it; never a binary float, which would not be exact."""


class Ms(int):
    """An open time that is certainly in ms since the epoch, whatever its size."""

    __slots__ = ()


Row = tuple[int, Value, Value, Value, Value, Value, Value]
"""One candle as its source writes it: line or row number, counted from 1, then time and the five `FIELDS`."""

FIELDS = ("open", "high", "low", "close", "volume")


class RowIssue(NamedTuple):
    """A problem of one row: its line or row number and the reason, with the file if there are several.

    A reader that must not accept a row yields this instead.
    """

    line_number: int
    reason: str


class Block(NamedTuple):
    """Many rows at once, column by column, all as text: the number of the first, the times and the five `FIELDS`.

    A reader whose rows are uniform yields these, which saves most of the work. An empty one only shows that the reader
    is still reading. Times that are `settled` are certainly in ms since the epoch.
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
    """What the format of a file says about its rows; a reader yields it before them.

    `stamp` is the end of a candle that its times mean, and `zone` the zone in which they were written; None if unknown;
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
    """Why a row is refused, as a sentence for the report."""


class BrokenFileError(BadInputError):
    """The file cannot be read further; the rows before this are valid."""


def float_exact(value: float | str) -> str | Decimal:
    """Return the decimal number that a binary float, or its text, stands for: rounded to 15 significant digits."""
    try:
        return _FLOAT.create_decimal(repr(value) if isinstance(value, float) else value)
    except ArithmeticError:
        return str(value)
