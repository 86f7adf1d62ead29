"""Generated candles for demos and tests: seeded, the same on every machine, in whole numbers throughout.

A day's opening price comes from a walk over all days since 1970 whose volatility comes in clusters; the minutes of
the day walk from it to the opening price of the next day. Longer candles are built from the minutes, so every
timeframe and every range of one symbol fit together.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncGenerator, Iterator
from decimal import Decimal
from hashlib import shake_256
from itertools import islice, pairwise
from typing import NamedTuple

from app.candles.rows.row import Row
from app.candles.sources.source import Part
from app.domain.market.candle import Candle
from app.domain.market.timeframe import Timeframe
from app.domain.market.timeframe import timeframe as named_timeframe
from app.errors import BadInputError

VENUE = "demo"

_MINUTE = 60_000
_DAY = 86_400_000
_MINUTES = 1_440
_PART = 10_000
_UNIT = 1_000_000
"""Prices are walked in millionths of a tick (0.01) and rounded to ticks at the end."""
_KNOWN = {"BTC": 6_000_000, "ETH": 300_000, "SOL": 15_000}
_CALM = 250
"""The least volatility, in millionths of the price per minute."""


class _Minute(NamedTuple):
    """One minute in ticks, volume in thousandths."""

    open_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int


def candles(symbol: str, timeframe: str, from_ms: int, to_ms: int, seed: int = 0) -> Iterator[Candle]:
    """Yield the candles with `from_ms <= openTime < to_ms`, every slot of them; raises `BadInputError` before 1970."""
    grid = named_timeframe(timeframe)
    start_ms, end_ms = grid.ceil(from_ms), grid.ceil(to_ms)
    if start_ms < 0:
        raise BadInputError("start: generated candles begin in 1970")
    bars: list[_Minute] = []
    for minute in _minutes(f"{seed}:{symbol}", start_ms, end_ms):
        bars.append(minute)
        if minute.open_ms + _MINUTE == bars[0].open_ms + grid.ms:
            yield _candle(symbol, timeframe, grid.ms, bars)
            bars.clear()


def _candle(symbol: str, timeframe: str, length_ms: int, bars: list[_Minute]) -> Candle:
    return Candle(
        symbol,
        timeframe,
        bars[0].open_ms,
        bars[0].open_ms + length_ms,
        Decimal(bars[0].open).scaleb(-2),
        Decimal(max(bar.high for bar in bars)).scaleb(-2),
        Decimal(min(bar.low for bar in bars)).scaleb(-2),
        Decimal(bars[-1].close).scaleb(-2),
        Decimal(sum(bar.volume for bar in bars)).scaleb(-3),
    )


def _minutes(name: str, start_ms: int, end_ms: int) -> Iterator[_Minute]:
    first = start_ms // _DAY
    for day, (opened, following) in enumerate(_days(name, first, -(-end_ms // _DAY)), first):
        for minute in _day(name, day, opened, following):
            if start_ms <= minute.open_ms < end_ms:
                yield minute


def _days(name: str, first: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the opening prices of each day and of the next one, in units, for the days `[first, end)`."""
    return pairwise(price for day, price in enumerate(_walk(name, end + 1)) if day >= first)


def _walk(name: str, days: int) -> Iterator[int]:
    """Yield the opening prices of the first `days` days since 1970, pulled gently back to where they began."""
    base = _base(name) * _UNIT
    price, volatility = base, 25_000
    for noise in _noise(f"{name}:days", days):
        yield price
        price += price * volatility // 1_000_000 * noise // 1_000_000 + (base - price) // 200
        price = max(price, base // 50)
        volatility = max(10_000, (volatility * 80 + 20_000 * 4 + volatility * abs(noise) // 1_000_000 * 20) // 100)


def _base(name: str) -> int:
    """Return the price in ticks around which a symbol moves: known ones near the real thing, others by their name."""
    symbol = name.partition(":")[2]
    return _KNOWN.get(symbol[:3]) or 2_000 + int.from_bytes(shake_256(symbol.encode()).digest(2), "big")


def _day(name: str, day: int, opened: int, following: int) -> Iterator[_Minute]:
    """Walk the minutes of a day from its opening price to that of the next day."""
    path = [opened, *_path(name, day, opened)]
    drift = following - path[-1]
    prices = [(price + drift * minute // _MINUTES) // _UNIT for minute, price in enumerate(path)]
    shapes = _words(f"{name}:{day}:shape", _MINUTES * 3)
    for minute, (first, last) in enumerate(pairwise(prices)):
        up, down, size = shapes[minute * 3 : minute * 3 + 3]
        reach = abs(last - first) + first * _CALM // 1_000_000 + 1
        high = max(first, last) + reach * up // 131_072
        low = max(1, min(first, last) - reach * down // 131_072)
        volume = (1_000 + reach * 4_000_000 // first) * (16_384 + size) // 65_536
        yield _Minute(day * _DAY + minute * _MINUTE, first, high, low, last, volume)


def _path(name: str, day: int, price: int) -> Iterator[int]:
    """Yield the prices after each minute of a day; a large move makes the next ones larger."""
    volatility = _CALM * 2
    for noise in _noise(f"{name}:{day}", _MINUTES):
        price += price * volatility * noise // 1_000_000_000_000
        yield price
        volatility = (volatility * 70 + _CALM * 8 + volatility * abs(noise) * 30 // 1_000_000) // 100


def _noise(name: str, count: int) -> Iterator[int]:
    """Yield draws close to a normal distribution, in millionths of its standard deviation, within +-3.5 of it."""
    words = _words(name, count * 4)
    for at in range(0, count * 4, 4):
        yield (sum(words[at : at + 4]) - 131_070) * 1_000_000 // 37_837


def _words(name: str, count: int) -> tuple[int, ...]:
    """Draw `count` numbers below 65,536 from a name."""
    return struct.unpack(f"<{count}H", shake_256(name.encode()).digest(count * 2))


class Synthetic:
    """The generated candles as a source; the argument is the seed, 0 when absent."""

    def __init__(self, argument: str = "") -> None:
        if not argument.isdigit() and argument:
            raise BadInputError(f"sources: the seed {argument!r} is not a whole number")
        self.seed = int(argument or 0)

    async def fetch(self, symbol: str, timeframe: Timeframe, from_ms: int, to_ms: int) -> AsyncGenerator[Part]:
        """Yield the generated candles of `[from_ms, to_ms)`, every slot of them."""
        generated = candles(symbol, timeframe.name, from_ms, to_ms, self.seed)
        while part := list(islice(generated, _PART)):
            yield Part([_row(candle) for candle in part], part[-1].close_time_ms)


def _row(candle: Candle) -> Row:
    return 0, candle.open_time_ms, candle.open, candle.high, candle.low, candle.close, candle.volume
