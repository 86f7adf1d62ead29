"""Fingerprints of candles: an incremental one, which SQL can recompute, and an ordered hash."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from struct import Struct

from app.domain.market.candle import Candle
from app.domain.number import format_decimal

_SIZE = 1 << 64
_FIRST_BYTES = Struct(">Q").unpack_from
_NOTHING = sha256()


class Fingerprint:
    """Sum of the first 8 bytes of each candle's SHA-256, modulo 2^64, as 16 hex digits."""

    def __init__(self, text: str | None = None) -> None:
        self._sum = int(text, 16) if text else 0

    def add(self, candles: Iterable[Candle]) -> None:
        """Add candles, in any order."""
        for candle in candles:
            self._sum += _mark(candle)

    def __str__(self) -> str:
        return format_sum(self._sum)


def format_sum(total: int) -> str:
    """Return a sum of candle hashes as 16 hex digits."""
    return f"{total % _SIZE:016x}"


def _mark(candle: Candle) -> int:
    symbol, _, open_time_ms, _, open_, high, low, close, volume, _ = candle
    numbers = f"{open_!s} {high!s} {low!s} {close!s} {volume!s}"
    if "0 " in numbers or "E" in numbers or numbers[-1] == "0":  # One of them might not be canonical.
        numbers = " ".join(map(format_decimal, (open_, high, low, close, volume)))
    hashed = _NOTHING.copy()  # A copy takes half the time of a new hash.
    hashed.update(f"{symbol} {open_time_ms} {numbers}".encode())
    mark: int = _FIRST_BYTES(hashed.digest())[0]
    return mark


def ordered_hash(candles: Iterable[Candle]) -> str:
    """Return the hex SHA-256 of candles in their order; sessions store it for their warm-up candles."""
    return sha256("\n".join(map(_line, candles)).encode()).hexdigest()


def _line(candle: Candle) -> str:
    """Return a candle as a line whose text never changes, even if the class or its fields are renamed."""
    symbol, timeframe, open_ms, close_ms, open_, high, low, close, volume, synthetic = candle
    return (
        f"Candle(symbol={symbol!r}, timeframe={timeframe!r}, open_time_ms={open_ms}, close_time_ms={close_ms},"
        f" open=Decimal('{open_}'), high=Decimal('{high}'), low=Decimal('{low}'), close=Decimal('{close}'),"
        f" volume=Decimal('{volume}'), synthetic={synthetic})"
    )
