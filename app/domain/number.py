"""Exact decimals and their canonical text in the log."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, setcontext
from functools import partial
from numbers import Real

EXACT = Context(prec=400, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
"""Arithmetic with money: a result that would lose a digit raises `decimal.Inexact`."""

_QUOTIENT = Decimal("1E-10")
_INDICATOR = Context(prec=10, rounding=ROUND_HALF_EVEN)
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
use_exact_arithmetic = partial(setcontext, EXACT)
"""Make `EXACT` the current decimal context."""
_READ_AS_IS = (Decimal, str, int)


def format_decimal(value: Decimal) -> str:
    """Return a finite decimal as text without exponent, trailing zeros or minus zero."""
    text = str(value)
    if "E" in text:
        text = format(value, "f")
    if text[-1] != "0":
        return text
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


class DecimalFloat(float):
    """A float that also has the text it was read from, which may have more digits than a float can hold."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> DecimalFloat:
        """Parse a number; raises `ValueError` for other text."""
        self = super().__new__(cls, text)
        self.text = text
        return self


def parse_decimal(value: Decimal | float | str) -> Decimal:
    """Return a number as an exact decimal; raises `ValueError` unless it is finite.

    A float counts as its text or its shortest form. NumPy scalars, which TA-Lib and pandas return, are numbers too.
    """
    try:
        number = Decimal(value if isinstance(value, _READ_AS_IS) else number_text(value))
    except (InvalidOperation, TypeError):
        raise ValueError(f"{_quoted(value)} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{_quoted(value)} is not a finite number")
    return number


def is_nan(value: object) -> bool:
    """Whether a value is NaN, which NumPy and TA-Lib return where an indicator has no value yet."""
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, Real) and not isinstance(value, int) and math.isnan(value)


def _quoted(value: object) -> str:
    return value.text if isinstance(value, DecimalFloat) else repr(value)


def number_text(value: object) -> str:
    """Return the text of a float or of another library's real number: as it was read, else the shortest exact form.

    Raises `TypeError` for anything else.
    """
    if isinstance(value, DecimalFloat):
        return value.text
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, Real):
        return str(value)
    raise TypeError


def round_quotient(value: Decimal) -> Decimal:
    """Round the result of a division to 10 decimals, half to even."""
    return value.quantize(_QUOTIENT, None, _WIDE)


def ratio(dividend: Decimal, divisor: Decimal) -> Decimal:
    """Divide and round to 10 decimals, half to even, in any context."""
    return _WIDE.divide(dividend, divisor).quantize(_QUOTIENT, None, _WIDE)


def round_significant(value: Decimal) -> Decimal:
    """Round an indicator value to 10 significant digits, half to even."""
    return _INDICATOR.plus(value)
