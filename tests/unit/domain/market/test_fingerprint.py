"""The fingerprint of candles, which is the same for every text form of a number."""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256

import pytest

from app.domain.market.candle import Candle
from app.domain.market.fingerprint import Fingerprint

PLAIN = ("10", "100.5", "0.05", "42000", "0")
ODD = ("1", "100.5", "0.05", "42", "7.5")


@pytest.mark.parametrize(
    ("plain", "other_form"),
    [
        (PLAIN, PLAIN),
        (PLAIN, ("10.0", "100.50", "0.050", "4.2E+4", "0.00")),
        (PLAIN, ("1E+1", "1.005E+2", "5E-2", "42000.000", "-0")),
        (ODD, ODD),
        (ODD, ("1", "100.5", "0.05", "42", "7.50")),
        (ODD, ("1", "100.50", "0.05", "42", "7.5")),
        (("1", "100.5", "0.00000005", "42", "7.5"), ("1", "100.5", "5E-8", "42", "7.5")),
    ],
)
def test_the_same_numbers_have_the_same_fingerprint_however_they_are_spelled(
    plain: tuple[str, ...], other_form: tuple[str, ...]
) -> None:
    used = Fingerprint()
    used.add([Candle("BTCUSDT", "1m", 60, 120, *map(Decimal, other_form))])
    line = f"BTCUSDT 60 {' '.join(plain)}"
    assert str(used) == sha256(line.encode()).hexdigest()[:16]


@pytest.mark.parametrize("place", range(5))
def test_each_number_counts(place: int) -> None:
    other = [*PLAIN]
    other[place] += "1"
    marks = set()
    for numbers in (PLAIN, other):
        used = Fingerprint()
        used.add([Candle("BTCUSDT", "1m", 60, 120, *map(Decimal, numbers))])
        marks.add(str(used))
    assert len(marks) == 2
