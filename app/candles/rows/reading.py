"""How the rows of a file are read: what their times and numbers mean, the same for every kind of file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from decimal import Decimal

from app.candles.rows import times
from app.candles.rows.numbers import LARGEST_DIGITS, NotANumberError, UnknownDecimalError, is_nothing, read_number
from app.candles.rows.read_options import DateOrder, Stamp
from app.candles.rows.row import FIELDS, Block, Ms, Row, RowError, RowIssue, Value
from app.candles.rows.times import NotATimeError, UnknownOrderError, Wall
from app.domain.market.timeframe import Timeframe

DAY_MS = 86_400_000
_SECOND_MS, _MINUTE_MS = 1_000, 60_000
_ALMOST = timedelta(microseconds=1)
_DAYS_FROM, _DAYS_TO = 19_000_101, 22_001_231
_LARGEST_EXPONENT = 40


class EmptyRowError(RowError):
    """A row without any number."""


@dataclass
class Reading:
    """How to read rows; the one without arguments is that of sources, whose times are UTC.

    `zone` is where times without a zone were written. Of a grid of days and longer, times that name another offset
    than UTC (`local`: in any row) belong to their own date. `compact` digits are dates. Repeated hours of the end of
    summer time are ordered as in the file; `descending` files have the later one first. With `small_ms`,
    numbers that could be seconds are ms of the years around 1970. With `whole_weeks`, a week that opens after a holiday
    is that of its Monday.
    """

    grid: Timeframe | None = None
    zone: tzinfo | None = None
    order: DateOrder | None = None
    stamp: Stamp = "open"
    compact: bool = False
    local: bool = False
    descending: bool = False
    decimal: str | None = "."
    decimals: int = 0
    small_ms: bool = False
    whole_weeks: bool = False
    epoch: bool = True
    plain: bool = True
    _repeated: set[datetime] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.is_dated = self.grid is not None and self.grid.ms >= DAY_MS

    def time(self, value: Value) -> Ms:
        """Return the open time of a row; raises `RowError`."""
        if isinstance(value, Ms):
            return value
        text = str(value).strip(" \t\ufeff")
        try:
            moment = self._moment(text)
            open_ms = self._absolute(moment) if isinstance(moment, int) else self._on_the_wall(moment)
        except UnknownOrderError:
            raise RowError(
                f"time: {text[:40]!r} does not say which number is the day; --dates dmy or mdy does"
            ) from None
        except (NotATimeError, OverflowError, ValueError):
            raise RowError(f"time: {text[:40]!r} is neither a number nor a date and time") from None
        if self.whole_weeks and self.grid is not None:
            open_ms = self.grid.floor(open_ms)
        if not times.EARLIEST_MS <= open_ms < times.LATEST_MS:
            raise RowError(f"time: {text[:40]!r} is not between the years 1800 and 2200")
        return Ms(open_ms)

    def numbers(self, values: Sequence[Value]) -> list[Decimal]:
        """Return the five numbers of a row; raises `RowError` naming the field."""
        if all(map(is_nothing, values[:4])):
            raise EmptyRowError("the row holds no numbers")
        numbers = [self._number(name, value) for name, value in zip(FIELDS, values, strict=True)]
        if self.decimals:
            numbers[:4] = [number.scaleb(-self.decimals) for number in numbers[:4]]
        return numbers

    def convert(self, item: Row | RowIssue | Block) -> Iterator[Row | RowIssue | Block]:
        """Yield rows with known open times; those in plain numbers since the epoch stay as they are."""
        if self.epoch or isinstance(item, RowIssue):
            yield item
        elif isinstance(item, Block):
            yield from self._converted(item)
        else:
            yield self._settled(item)

    def _converted(self, block: Block) -> Iterator[Row | RowIssue | Block]:
        """Convert the times of a block; a block with an invalid time is converted row by row."""
        repeated = set(self._repeated)
        try:
            opens = [str(int(self.time(value))) for value in block.times]
        except RowError:
            self._repeated = repeated
            yield from map(self._settled, block.rows())
            return
        if opens and int(min(opens, key=int)) >= times.MS_FROM:
            yield block._replace(times=opens, settled=True)
            return
        for line_number, (open_ms, *values) in enumerate(zip(opens, *block.numbers, strict=True), block.line_number):
            yield (line_number, Ms(open_ms), *values)

    def _settled(self, row: Row) -> Row | RowIssue:
        try:
            return (row[0], self.time(row[1]), *row[2:])
        except RowError as refused:
            return RowIssue(row[0], str(refused))

    def _number(self, name: str, value: Value) -> Decimal:
        text = str(value)[:40]
        try:
            number = Decimal(0) if name == "volume" and is_nothing(value) else read_number(value, self.decimal)
        except UnknownDecimalError:
            raise RowError(
                f"{name}: the comma of {text} parts decimals or thousands; --decimal . or , says which"
            ) from None
        except NotANumberError:
            if text.strip("+- ").lower() in ("nan", "inf", "infinity"):
                raise RowError(f"{name}: {text} is not a finite number below 1e18") from None
            raise RowError(f"{name}: {text!r} is not a number") from None
        if not number.is_finite() or number.adjusted() > _LARGEST_EXPONENT:
            raise RowError(f"{name}: {text} is not a finite number below 1e18")
        if number and -int(number.as_tuple().exponent) > LARGEST_DIGITS:
            raise RowError(f"{name}: {text} has more than {LARGEST_DIGITS} decimals")
        return number

    def _moment(self, text: str) -> int | Wall:
        """Read a time as ms since the epoch, or as a local time."""
        if text.isascii() and text.isdecimal() and (digits := self._digits(text)):
            return digits
        number = times.epoch_ms(text, small_ms=self.small_ms)
        return times.wall(text, self.order) if number is None else number

    def _digits(self, text: str) -> Wall | None:
        """Read digits as a date if nothing else is likely, or if the file proves it."""
        certain = len(text) == 14 or (len(text) == 8 and _DAYS_FROM <= int(text) <= _DAYS_TO)
        return times.compact(text) if certain or self.compact else None

    def _absolute(self, time_ms: int) -> int:
        if self.is_dated and self.zone is not None:
            return self._day(times.local(time_ms, self.zone))
        if self.stamp == "open" or self.grid is None:
            return time_ms
        if self.is_dated:
            return self.grid.floor(time_ms - 1)
        return _full_minute(time_ms) - self.grid.ms

    def _on_the_wall(self, wall: Wall) -> int:
        if not self.is_dated:
            return self._absolute(self._utc(wall))
        if wall.zone is None:
            by_date = self.zone is not None or not wall.clock
        elif self.zone is not None:
            return self._absolute(self._utc(wall))
        else:
            by_date = self.local or wall.zone is not UTC
        return self._day(wall.moment) if by_date else self._absolute(self._utc(wall))

    def _utc(self, wall: Wall) -> int:
        zone = wall.zone or self.zone
        if zone is None or zone is UTC:
            return times.utc_ms(wall.moment)
        first, second = (zone.utcoffset(wall.moment.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
        if first is None or second is None or first == second:
            return times.utc_ms(wall.moment - (first or timedelta(0)))
        if first < second:
            raise RowError(f"time: clocks in {zone} never showed {wall.moment}")
        return times.utc_ms(wall.moment - (second if self._is_second(wall.moment) else first))

    def _is_second(self, moment: datetime) -> bool:
        """Whether an hour that clocks showed twice is the second one."""
        again = moment in self._repeated
        self._repeated.add(moment)
        return again != self.descending

    def _day(self, moment: datetime) -> int:
        """Return the day of a local time, as its midnight UTC."""
        if self.stamp == "close":
            moment -= _ALMOST
        open_ms = times.utc_ms(datetime.combine(moment.date(), time()))
        return self.grid.floor(open_ms) if self.stamp == "close" and self.grid is not None else open_ms


def _full_minute(time_ms: int) -> int:
    """Take 10:59:59 and 10:59:59.999 as 11:00."""
    left = -time_ms % _MINUTE_MS
    return time_ms + left if left <= _SECOND_MS else time_ms


OF_SOURCES = Reading()
"""How rows of sources are read."""


def time_ms(value: Value) -> int:
    """Read an open time: seconds, ms, us or ns since the epoch (distinguished by size) or a date and time.

    Eight digits are a day (`20240115`). A time without a zone is UTC. Raises `RowError`.
    """
    return int(OF_SOURCES.time(value))
