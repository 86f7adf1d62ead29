"""Which rows become candles: every refusal and repair has a stated rule, is counted and listed.

Refused: times and numbers that cannot be read or are not finite, prices not above zero, high below low, open or
close outside of them, negative volume, candles still open, a second candle in a slot that is not the same time
again, and times off the UTC grid. Stock hours may have a grid of their own beside it: when the first row opens off the
UTC grid on a whole quarter of an hour, rows at that time of their slot are kept, and those one hour beside it
(daylight saving).

Repaired: rows in any order are sorted; of rows with the same time the last one stays.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from app.candles.rows import Broken, Refused, Row, time_ms
from app.domain.candle import Candle
from app.domain.timeframe import Timeframe

LISTED = 100
"""How many refusals and repairs a report lists; all are counted."""

_ZERO = Decimal(0)
_SMALLEST = Decimal("1E-18")
_LARGEST = Decimal("1E18")
_HOUR = 3_600_000
_QUARTER = 900_000


class Finding(NamedTuple):
    """Something about one row: its line or row number, and what it is."""

    place: int
    reason: str


@dataclass
class Check:
    """Turns rows into candles of one symbol and timeframe and remembers what it refused and repaired."""

    symbol: str
    timeframe: Timeframe
    now_ms: int
    rows: int = 0
    refused: int = 0
    refusals: list[Finding] = field(default_factory=list)
    duplicates: int = 0
    unordered: int = 0
    repairs: list[Finding] = field(default_factory=list)
    broke: str | None = None
    first_ms: int | None = None
    last_ms: int | None = None

    def __post_init__(self) -> None:
        self._slots = _Slots(self.timeframe)

    def candles(self, rows: Iterable[Row]) -> Iterator[Candle]:
        """Yield the candles of all good rows; a source that breaks off ends the stream and is noted in `broke`."""
        try:
            for row in rows:
                self.rows += 1
                try:
                    yield self._candle(row)
                except Refused as refused:
                    self.refused += 1
                    _note(self.refusals, row.place, str(refused))
        except Broken as broken:
            self.broke = broken.message

    def _candle(self, row: Row) -> Candle:
        place, time, open_, high_, low_, close_, volume_ = row
        open_ms = time_ms(time)
        try:
            opened, high, low, close = Decimal(open_), Decimal(high_), Decimal(low_), Decimal(close_)
            volume = Decimal(volume_)
            sound = _SMALLEST < low <= opened <= high < _LARGEST and low <= close <= high and _ZERO <= volume < _LARGEST
        except (InvalidOperation, ValueError, TypeError):
            sound = False
        if not sound:
            raise Refused(_flaw(row))
        close_ms = open_ms + self.timeframe.ms
        if close_ms > self.now_ms:
            raise Refused("the candle is still open")
        self._order(place, open_ms)
        return Candle(self.symbol, self.timeframe.name, open_ms, close_ms, opened, high, low, close, volume)

    def _order(self, place: int, open_ms: int) -> None:
        if not self._slots.take(open_ms):
            self.duplicates += 1
            _note(self.repairs, place, f"time {open_ms} again; the later row stays")
        elif self.last_ms is None or self.first_ms is None:
            self.first_ms = self.last_ms = open_ms
        elif open_ms > self.last_ms:
            self.last_ms = open_ms
        else:
            self.unordered += 1
            _note(self.repairs, place, f"time {open_ms} out of order; sorted")
            self.first_ms = min(self.first_ms, open_ms)


def _note(findings: list[Finding], place: int, reason: str) -> None:
    if len(findings) < LISTED:
        findings.append(Finding(place, reason))


def _flaw(row: Row) -> str:
    """Say what is wrong with the numbers of a row, naming the field."""
    numbers = {}
    for name in ("open", "high", "low", "close", "volume"):
        value = getattr(row, name)
        try:
            numbers[name] = Decimal(value)
        except (InvalidOperation, ValueError, TypeError):
            return f"{name}: {str(value)[:40]!r} is not a number"
        if not numbers[name].is_finite() or abs(numbers[name]) >= _LARGEST:
            return f"{name}: {str(value)[:40]} is not a finite number below 1e18"
        if name != "volume" and numbers[name] <= _SMALLEST:
            return f"{name}: {str(value)[:40]} is not above zero"
    if numbers["volume"] < 0:
        return f"volume: {row.volume} is negative"
    if numbers["high"] < numbers["low"]:
        return f"high {row.high} is below low {row.low}"
    name = "close" if numbers["low"] <= numbers["open"] <= numbers["high"] else "open"
    return f"{name} {getattr(row, name)} is outside low {row.low} to high {row.high}"


class _Slots:
    """Which slots are taken and at what time inside the slot: two bytes a slot, in pages, whatever the order."""

    def __init__(self, timeframe: Timeframe) -> None:
        self.timeframe = timeframe
        self.own: frozenset[int] | None = None
        self.pages: dict[int, array[int]] = {}

    def take(self, open_ms: int) -> bool:
        """Take the slot of a time; False when the same time has it already, `Refused` when it may not have it."""
        slot, inside = divmod(open_ms - self.timeframe.offset_ms, self.timeframe.ms)
        if inside or self.own is None:
            self._settle(open_ms, inside)
        page = self.pages.get(slot >> 12)
        if page is None:
            page = self.pages[slot >> 12] = array("H", bytes(8192))
        mark, at = 1 + inside // _QUARTER, slot & 4095
        if page[at] == 0:
            page[at] = mark
            return True
        if page[at] != mark:
            raise Refused(f"time {open_ms} lies in a slot that another row opens")
        return False

    def _settle(self, open_ms: int, inside: int) -> None:
        """Let the first row say which grid the file has, and hold every other row to it."""
        if inside % _QUARTER or (inside and self.own is not None and inside not in self.own):
            raise Refused(f"time {open_ms} is off the {self.timeframe.name} grid")
        if self.own is None:
            shifts = (inside - _HOUR, inside, inside + _HOUR) if inside else ()
            self.own = frozenset(shift % self.timeframe.ms for shift in shifts)
