"""A fingerprint of the candles a session used, which grows with them and can be computed again in SQL."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from app.domain.candle import Candle
from app.domain.number import plain

_SIZE = 1 << 64


class Fingerprint:
    """Sum of the first 8 bytes of each candle's SHA-256, modulo 2^64; spelled as 16 hex digits."""

    def __init__(self, text: str | None = None) -> None:
        self._sum = int(text, 16) if text else 0

    def add(self, candles: Iterable[Candle]) -> None:
        """Take in candles, in any order."""
        for candle in candles:
            self._sum += _mark(candle)

    def __str__(self) -> str:
        return spelled(self._sum)


def spelled(total: int) -> str:
    """Spell a sum of marks."""
    return f"{total % _SIZE:016x}"


def _mark(candle: Candle) -> int:
    line = f"{candle.symbol} {candle.open_time_ms} {_numbers(candle)}"
    return int.from_bytes(sha256(line.encode()).digest()[:8])


def _numbers(candle: Candle) -> str:
    """Render the five numbers as they are, and once more where one of them might not be canonical."""
    _, _, _, _, open_, high, low, close, volume, _ = candle
    text = f"{open_!s} {high!s} {low!s} {close!s} {volume!s}"
    if "0 " not in text and "E" not in text and text[-1] != "0":
        return text
    return " ".join(map(plain, (open_, high, low, close, volume)))
