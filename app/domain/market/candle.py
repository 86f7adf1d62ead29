"""Closed market candles, and gaps: the slots where candles are missing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple


class Candle(NamedTuple):
    """Open, high, low, close and volume of one symbol over `[open_time_ms, close_time_ms)`, UTC.

    Prices are in the quote currency, volume in the base currency; all five are exact decimals.
    `synthetic` marks a flat candle that the gap policy `fill` created for a gap.
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


class Gap(NamedTuple):
    """Grid slots `[from_ms, to_ms)` without a candle, `missing` of them."""

    symbol: str
    timeframe: str
    from_ms: int
    to_ms: int
    missing: int

    def as_json(self) -> dict[str, Any]:
        """Return the gap as JSON for the API."""
        return {
            "symbol": self.symbol,
            "timeframe": self.timeframe,
            "fromMs": self.from_ms,
            "toMs": self.to_ms,
            "missing": self.missing,
        }
