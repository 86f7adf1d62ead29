"""Exact decimals and their one canonical spelling in the log."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

_QUOTIENT = Decimal("1E-10")
_INDICATOR = Context(prec=10, rounding=ROUND_HALF_EVEN)
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)


def plain(value: Decimal) -> str:
    """Spell a finite decimal plainly: no exponent, no trailing zeros, no minus zero."""
    text = str(value)
    if "E" in text:
        text = format(value, "f")
    if text[-1] == "0" and "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def quotient(value: Decimal) -> Decimal:
    """Round the result of a division to 10 decimals, half to even."""
    return value.quantize(_QUOTIENT, context=_WIDE)


def significant(value: Decimal) -> Decimal:
    """Round an indicator value to 10 significant digits, half to even."""
    return _INDICATOR.plus(value)
