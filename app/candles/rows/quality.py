"""Which rows become candles: every refusal and repair has a rule, is counted and listed.

Refused: times and numbers that cannot be read or are not finite, prices not above zero, high below low, open or
close outside of them, negative volume, candles still open, a second candle in a slot that is not the same time
again, and times off the UTC grid. Stock hours may have a grid of their own beside it: when the first row opens off the
UTC grid on a whole quarter of an hour, rows at that time of their slot are kept, and those one hour beside it
(daylight saving).

Repaired: rows in any order are sorted; of rows with the same time the last one stays.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from operator import lt

from app.candles.rows.plain import LARGEST, SMALLEST, canonical, is_digits, is_plainly_sound
from app.candles.rows.reading import EmptyRowError, Reading
from app.candles.rows.row import FIELDS, Block, BrokenFileError, Item, Row, RowError, RowIssue, Value
from app.candles.rows.times import MS_FROM, MS_TO
from app.db.candle_store import NO_COLUMNS, CandleColumns, columns_of
from app.domain.market.candle import Candle, Gap
from app.domain.market.timeframe import Timeframe

__all__ = ["LISTED", "RowIssue", "RowValidator"]

LISTED = 100
"""How many refusals and repairs a report lists; all are counted."""

BREAKS = 10
"""How many broken files of a folder a report lists."""

_HOUR = 3_600_000
_QUARTER = 900_000
_CHUNK = 1_000
_PAGE_BITS = 8
_PAGE = 1 << _PAGE_BITS
"""Slots kept track of in one piece: small, so that rows strewn over centuries do not take much memory."""
_UNREADABLE = (InvalidOperation, ValueError, TypeError, OverflowError)


@dataclass
class RowValidator:
    """Turns rows into candles of one symbol and timeframe and remembers what it refused and repaired."""

    symbol: str
    timeframe: Timeframe
    now_ms: int
    rows: int = 0
    refused: int = 0
    refusals: list[RowIssue] = field(default_factory=list)
    duplicates: int = 0
    unordered: int = 0
    repairs: list[RowIssue] = field(default_factory=list)
    broke: str | None = None
    first_ms: int | None = None
    last_ms: int | None = None
    file: str = ""
    breaks: int = 0
    empty: int = 0
    reading: Reading = field(default_factory=Reading)

    def __post_init__(self) -> None:
        self._slots = _Slots(self.timeframe)

    def columns(self, items: Iterable[Item | Reading]) -> Iterator[CandleColumns]:
        """Yield the candles of all good rows; a source that breaks off ends the stream and is noted in `broke`.

        Sometimes yields no candles, so that a caller that waits for many can cancel.
        """
        for piece in _gathered(self._until_broken(items)):
            if isinstance(piece, Reading):
                self.reading = piece
                continue
            self.rows += len(piece.times) if isinstance(piece, Block) else len(piece)
            block = piece if isinstance(piece, Block) else _as_block(piece)
            columns = None if block is None else self._flawless(block)
            if columns is not None:
                yield columns
            else:
                yield from columns_of(self._sorted_out(piece.rows() if isinstance(piece, Block) else piece))
                yield NO_COLUMNS

    @property
    def shift_ms(self) -> int:
        """How far inside its slot the first candle opens; 0 on the UTC grid."""
        return self._slots.inside

    def gaps(self) -> list[Gap]:
        """List the slots between the first and the last candle that none of the rows took."""
        if self.first_ms is None or self.last_ms is None:
            return []
        return list(self._slots.gaps(self.symbol, self.first_ms, self.last_ms))

    def _until_broken(self, items: Iterable[Item | Reading]) -> Iterator[Item | Reading]:
        try:
            yield from items
        except BrokenFileError as broken:
            self.break_off(broken.message)

    def break_off(self, reason: str) -> None:
        """Note that a file could not be read further, and why; the first `BREAKS` are listed in the report."""
        self.breaks += 1
        if self.breaks <= BREAKS:
            text = f"{self.file}: {reason}" if self.file else reason
            self.broke = f"{self.broke}; {text}" if self.broke else text

    def _flawless(self, block: Block) -> CandleColumns | None:
        """Accept a block without any issue, column by column; None if a row must be checked by itself.

        Faster than row by row, and stricter: only times in ms or us, on the UTC grid, ascending from all before, and
        only plain numbers.
        """
        if not block.times or not self.reading.plain:
            return None
        try:
            read_times = list(map(int, block.times))
            times = _whole_ms(read_times)
            if not self._in_order(times) or not is_plainly_sound(block.numbers):
                return None
        except _UNREADABLE:
            return None
        self._slots.take_run(times)
        self.first_ms = times[0] if self.first_ms is None else self.first_ms
        self.last_ms = times[-1]
        texts = block.times if times is read_times and is_digits(block.times) else None
        return CandleColumns(times, [canonical(column) for column in block.numbers], texts)

    def _in_order(self, times: list[int]) -> bool:
        step, offset_ms = self.timeframe.ms, self.timeframe.offset_ms
        if (self.last_ms is not None and times[0] <= self.last_ms) or times[0] < MS_FROM:
            return False
        if times[-1] >= min(MS_TO, self.now_ms - step + 1) or (times[0] - offset_ms) % step:
            return False
        if times[-1] - times[0] == (len(times) - 1) * step and times == list(range(times[0], times[-1] + 1, step)):
            return True
        return all(map(lt, times, times[1:])) and not any((open_ms - offset_ms) % step for open_ms in times)

    def _sorted_out(self, chunk: Iterable[Row | RowIssue]) -> Iterator[Candle]:
        for row in chunk:
            try:
                if isinstance(row, RowIssue):
                    raise RowError(row.reason)
                yield self._candle(row)
            except RowError as refused:
                self.refused += 1
                self.empty += isinstance(refused, EmptyRowError)
                self._note(self.refusals, row[0], str(refused))

    def _candle(self, row: Row) -> Candle:
        line_number, time, *written = row
        open_ms = int(self.reading.time(time))
        opened, high, low, close, volume = numbers = self.reading.numbers(written)
        if flaw := _flaw(numbers, written):
            raise RowError(flaw)
        close_ms = open_ms + self.timeframe.ms
        if close_ms > self.now_ms:
            raise RowError("the candle is still open")
        self._order(line_number, open_ms)
        return Candle(self.symbol, self.timeframe.name, open_ms, close_ms, opened, high, low, close, volume)

    def _order(self, line_number: int, open_ms: int) -> None:
        if not self._slots.take(open_ms):
            self.duplicates += 1
            self._note(self.repairs, line_number, f"time {open_ms} again; the later row stays")
        elif self.last_ms is None or self.first_ms is None:
            self.first_ms = self.last_ms = open_ms
        elif open_ms > self.last_ms:
            self.last_ms = open_ms
        else:
            self.unordered += 1
            self._note(self.repairs, line_number, f"time {open_ms} out of order; sorted")
            self.first_ms = min(self.first_ms, open_ms)

    def _note(self, findings: list[RowIssue], line_number: int, reason: str) -> None:
        if len(findings) < LISTED:
            findings.append(RowIssue(line_number, f"{self.file}: {reason}" if self.file else reason))


def _gathered(items: Iterator[Item | Reading]) -> Iterator[Block | Reading | list[Row | RowIssue]]:
    """Yield blocks as they are and other rows in lists of at most `_CHUNK`, in order."""
    rows: list[Row | RowIssue] = []
    for item in items:
        if isinstance(item, Block | Reading):
            if rows:
                yield rows
            yield item
            rows = []
        else:
            rows.append(item)
            if len(rows) == _CHUNK:
                yield rows
                rows = []
    if rows:
        yield rows


def _as_block(rows: list[Row | RowIssue]) -> Block | None:
    """Turn rows into a block; None if a reader reported an issue of one."""
    if any(isinstance(row, RowIssue) for row in rows):
        return None
    line_numbers, times, *numbers = zip(*rows, strict=True)
    return Block(line_numbers[0], list(map(str, times)), [list(map(str, column)) for column in numbers])


def _whole_ms(times: list[int]) -> list[int]:
    """Take times in us as times in ms."""
    return [time // 1_000 for time in times] if MS_TO <= times[0] <= times[-1] < MS_TO * 1_000 else times


def find_flaw(row: Row, reading: Reading) -> str | None:
    """Return why a row is no candle, without looking at its slot; None if it is one, or holds no numbers."""
    try:
        reading.time(row[1])
        return _flaw(reading.numbers(row[2:]), row[2:])
    except EmptyRowError:
        return None
    except RowError as error:
        return str(error)


def _flaw(numbers: Sequence[Decimal], written: Sequence[Value]) -> str | None:
    """Return what is wrong with the numbers of a row, naming the field; None if nothing is."""
    opened, high, low, close, volume = numbers
    texts = dict(zip(FIELDS, (str(value)[:40] for value in written), strict=True))
    for name, number in zip(FIELDS, numbers, strict=True):
        if abs(number) >= LARGEST:
            return f"{name}: {texts[name]} is not a finite number below 1e18"
        if name != "volume" and number <= SMALLEST:
            return f"{name}: {texts[name]} is not above zero"
    if volume < 0:
        return f"volume: {texts['volume']} is negative"
    if high < low:
        return f"high {texts['high']} is below low {texts['low']}"
    if low <= opened <= high and low <= close <= high:
        return None
    name = "close" if low <= opened <= high else "open"
    return f"{name} {texts[name]} is outside low {texts['low']} to high {texts['high']}"


class _Slots:
    """Which slots are taken and at what time inside the slot: two bytes a slot, in pages, whatever the order."""

    def __init__(self, timeframe: Timeframe) -> None:
        self.timeframe = timeframe
        self.own: frozenset[int] | None = None
        self.inside = 0
        self.pages: dict[int, array[int]] = {}

    def take(self, open_ms: int) -> bool:
        """Take the slot of a time; False when the same time has it already, `RowError` when it may not have it."""
        slot, inside = divmod(open_ms - self.timeframe.offset_ms, self.timeframe.ms)
        if inside or self.own is None:
            self._settle(open_ms, inside)
        page = self._page(slot >> _PAGE_BITS)
        mark, at = 1 + inside // _QUARTER, slot & (_PAGE - 1)
        if page[at] == 0:
            page[at] = mark
            return True
        if page[at] != mark:
            raise RowError(f"time {open_ms} lies in a slot that another row opens")
        return False

    def gaps(self, symbol: str, first_ms: int, last_ms: int) -> Iterator[Gap]:
        """Yield the runs of slots from first to last that no row took."""
        grid = self.timeframe
        slot = (first_ms - grid.offset_ms) // grid.ms
        for taken in self._taken():
            if taken > slot:
                start, end = (index * grid.ms + grid.offset_ms for index in (slot, taken))
                yield Gap(symbol, grid.name, start, end, taken - slot)
            slot = max(slot, taken + 1)

    def _taken(self) -> Iterator[int]:
        for number in sorted(self.pages):
            start = number << _PAGE_BITS
            yield from (start + at for at, mark in enumerate(self.pages[number]) if mark)

    def take_run(self, times: list[int]) -> None:
        """Take the slots of ascending times on the UTC grid, all later than those taken before."""
        if self.own is None:
            self.own = frozenset()
        first, last = ((open_ms - self.timeframe.offset_ms) // self.timeframe.ms for open_ms in (times[0], times[-1]))
        if last - first + 1 > len(times):
            for open_ms in times:
                self.take(open_ms)
            return
        for number in range(first >> _PAGE_BITS, (last >> _PAGE_BITS) + 1):
            start, end = max(first - (number << _PAGE_BITS), 0), min(last + 1 - (number << _PAGE_BITS), _PAGE)
            self._page(number)[start:end] = array("H", [1]) * (end - start)

    def _page(self, number: int) -> array[int]:
        page = self.pages.get(number)
        if page is None:
            page = self.pages[number] = array("H", bytes(2 * _PAGE))
        return page

    def _settle(self, open_ms: int, inside: int) -> None:
        """Take the file's grid from the first row, and require it of every other row."""
        if inside % _QUARTER or (inside and self.own is not None and inside not in self.own):
            raise RowError(f"time {open_ms} is off the {self.timeframe.name} grid")
        if self.own is None:
            self.inside = inside
            shifts = (inside - _HOUR, inside, inside + _HOUR) if inside else ()
            self.own = frozenset(shift % self.timeframe.ms for shift in shifts)
