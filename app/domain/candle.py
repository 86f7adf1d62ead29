"""A closed market candle."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple


class Candle(NamedTuple):
    """Open, high, low, close and volume of one symbol over `[open_time_ms, close_time_ms)`, UTC.

    Prices are in the quote currency, volume in the base currency; all five are exact decimals.
    `synthetic` marks a flat candle made for a gap under the gap policy `fill`.
    """

    symbol: str
    timeframe: str
    open_time_ms: int
    close_time_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    synthetic: bool = False
