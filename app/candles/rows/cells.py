"""What a cell of a table may be: times, dates, times of day, numbers."""

from __future__ import annotations

import re
from decimal import Decimal

from app.candles.rows import times
from app.candles.rows.numbers import NotANumberError, UnknownDecimalError, read_number
from app.candles.rows.times import NotATimeError, UnknownOrderError


def is_time(cell: str) -> bool:
    """Whether a cell is a time: a date, or a number since the epoch that lies between 1971 and 2100."""
    cell = cell.strip()
    if cell.isascii() and cell.isdecimal() and len(cell) in (8, 12, 14, 17) and times.compact(cell) is not None:
        return True
    time_ms = times.epoch_ms(cell)
    if time_ms is not None:
        return 31_536_000_000 <= time_ms < 4_102_444_800_000 and len(cell) >= 9
    return is_date(cell)


def is_date(cell: str) -> bool:
    """Whether a cell is a date, with a time of day or not, whichever of its numbers the day is."""
    try:
        times.wall(cell)
    except UnknownOrderError:
        return True
    except (NotATimeError, ValueError):
        return False
    return True


def is_day(cell: str) -> bool:
    """Whether a cell is a date without a time of day."""
    cell = cell.strip()
    if cell.isdecimal():
        return len(cell) == 8
    return ":" not in cell and is_date(cell)


def is_clock(cell: str) -> bool:
    """Whether a cell is a time of day."""
    cell = cell.strip()
    if re.fullmatch(r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:\s*[AaPp][Mm])?", cell):
        return True
    match = re.fullmatch(r"([0-9]{2})([0-9]{2})(?:([0-9]{2})(?:[0-9]{3})?)?", cell)
    return match is not None and int(match[1]) < 25 and int(match[2]) < 60 and int(match[3] or 0) < 60


def is_number(cell: str) -> bool:
    """Whether a cell is a number."""
    return number_of(cell) is not None


def number_of(cell: str) -> Decimal | None:
    """Return the number in a cell, with any decimal separator; None if there is none."""
    try:
        number = read_number(cell, None)
    except (NotANumberError, UnknownDecimalError):
        return None
    return number if number.is_finite() and abs(number.adjusted()) < 50 else None
