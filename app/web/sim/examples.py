"""Examples of calls for the OpenAPI document; tests make each of them."""

from __future__ import annotations

from typing import Any, Final

_DAY_MS: Final = 86_400_000
_START_MS: Final = 1_704_067_200_000
"""2024-01-01, UTC."""

Example = dict[str, Any]

NEW_SESSION: Final[Example] = {
    "profileSlug": "sma_cross",
    "config": {"fast": 10, "slow": 30},
    "venue": "demo",
    "symbol": "BTCUSDT",
    "timeframe": "1m",
    "startMs": _START_MS,
    "endMs": _START_MS + _DAY_MS,
    "replayMsPerCandle": 100,
}
CHANGES: Final[Example] = {"name": "Crossing averages", "tags": ["example"], "speed": 60}
CONTROL: Final[Example] = {"action": "step", "candles": 10}
FORK: Final[Example] = {"atSeq": 0, "config": {"fast": 5, "slow": 20}}
EVENTS: Final[Example] = {"fromSeq": 1, "limit": 100, "types": ["candle", "trade"]}
EXPORT: Final[Example] = {"what": "trades", "format": "csv"}
NEW_MARKET_SESSION: Final[Example] = {
    "symbols": ["BTCUSDT"],
    "timeframe": "1m",
    "start": "2024-01-01T00:00:00Z",
    "end": "2024-01-02T00:00:00Z",
    "speed": 100,
    "venue": "demo",
}
CANDLES: Final[Example] = {"symbol": "BTCUSDT", "timeframe": "1m", "venue": "demo", "limit": 10}
