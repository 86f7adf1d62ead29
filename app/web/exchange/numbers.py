"""Numbers as the exchange writes them: texts with 8 decimals."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from typing import Final

PLACES: Final = 8
WIDE: Final = Context(prec=80, rounding=ROUND_HALF_UP)
_UNIT: Final = Decimal("1E-8")


def text(value: Decimal) -> str:
    """Return a number with 8 decimals, rounded half up."""
    return format(value.quantize(_UNIT, None, WIDE), "f")


def floor_text(value: Decimal) -> str:
    """Return a balance with 8 decimals, rounded down so that it can be spent."""
    return format(value.quantize(_UNIT, ROUND_DOWN, WIDE), "f")


def places_of(value: Decimal) -> int:
    """Return how many decimals a number has."""
    exponent = value.normalize(WIDE).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def step_of(places: int) -> Decimal:
    """Return the smallest number with so many decimals."""
    return Decimal(1).scaleb(-places)


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Round a number down to a multiple of a step."""
    return WIDE.multiply(WIDE.divide_int(value, step), step)
