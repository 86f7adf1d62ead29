"""Whole columns of plainly written numbers, checked as text: one number at a time would take several times as long.

Where the integer parts of two numbers are equally long, text in order is numbers in order, exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from operator import le
from typing import TypeVar

SMALLEST, LARGEST = Decimal("1E-18"), Decimal("1E18")
"""Prices lie between these, volumes below the second."""

_EXACT_DIGITS = 15
"""Binary floats distinguish decimals of this many digits."""
_SHAPE = bytes.maketrans(b"123456789", b"000000000")
_ZERO_AT_END = re.compile(r"\.[0-9]*0,")

Column = Sequence[str]
T = TypeVar("T", str, float)


def is_plainly_sound(numbers: Sequence[Column]) -> bool:
    """Whether all numbers (open, high, low, close, volume) are digits with at most a point, and sound.

    False only means that they must be checked one by one.
    """
    *prices, volume = numbers
    shape, volumes = _shape(map(",".join, prices)), _shape(volume)
    count = len(volume)
    if not _is_plain(shape, len(prices) * count) or not _is_plain(volumes, count) or b"0" * 18 in volumes:
        return False
    digits = len(prices[0][0].partition(".")[0])
    if digits < 18 and _is_even(shape, digits, len(prices) * count):
        return _is_inside(*prices) and Decimal(min(prices[2])) > SMALLEST
    return _is_inside_as_floats(prices)


def is_digits(column: Column) -> bool:
    """Whether all texts of a column are made of the digits 0 to 9."""
    return not "".join(column).encode().translate(None, b"0123456789")


def canonical(column: Column) -> Column:
    """Drop the trailing zeros of plain numbers."""
    if not _ZERO_AT_END.search(f"{','.join(column)},"):
        return column
    return [number.rstrip("0").rstrip(".") if number[-1] == "0" and "." in number else number for number in column]


def _shape(column: Iterable[str]) -> bytes:
    """Join numbers with all their digits made 0."""
    return f",{','.join(column)},".encode().translate(_SHAPE)


def _is_plain(shape: bytes, count: int) -> bool:
    """Whether all `count` numbers begin with a digit and have at most one point."""
    alien = shape.translate(None, b"0.,") or b",," in shape or b",." in shape
    return not alien and shape.count(b",") == count + 1 and b".." not in shape.translate(None, b"0")


def _is_even(shape: bytes, digits: int, count: int) -> bool:
    """Whether all `count` numbers have integer parts of so many digits."""
    whole = b"," + b"0" * digits
    return shape.count(whole) == count and whole + b"0" not in shape


def _is_inside(opened: Sequence[T], high: Sequence[T], low: Sequence[T], close: Sequence[T]) -> bool:
    inside = all(map(le, low, opened)) and all(map(le, opened, high))
    return inside and all(map(le, low, close)) and all(map(le, close, high))


def _is_inside_as_floats(prices: Sequence[Column]) -> bool:
    if max(max(map(len, column)) for column in prices) > _EXACT_DIGITS:
        return False
    opened, high, low, close = (list(map(float, column)) for column in prices)
    return _is_inside(opened, high, low, close) and min(low) > SMALLEST and max(high) < LARGEST
