"""The charts of a report: the library that draws them, as a script within the page, and their numbers."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

from app.db.log.stats import Point
from app.domain.market.candle import Candle
from app.domain.trading.account import Trade

BARS: Final = 3000
"""Bars of all price charts together, at most."""
ARROWS: Final = 2000
"""The newest trades shown on the charts."""
CREDIT: Final = "Charts by TradingView Lightweight Charts™, Copyright © 2026 TradingView, Inc., Apache License 2.0."
_LIBRARY: Final = Path(__file__).parents[2] / "web" / "static" / "vendor" / "lightweight-charts.js"
_EXPORTS: Final = re.compile(r"export\{([^}]*)\};?\s*$")
_DIGITS: Final = 7
"""Significant digits of the numbers drawn."""


@cache
def script() -> str:
    """Return the library and what draws with it as one script."""
    library = _LIBRARY.read_text("utf-8")
    exports = _EXPORTS.search(library)
    assert exports is not None, "the library's exports are its last statement"
    names = [pair.split(" as ") for pair in exports[1].split(",")]
    public = ",".join(f"{outer}:{inner}" for inner, outer in names)
    own = Path(__file__).with_name("charts.js").read_text("utf-8")
    return f"(()=>{{const charts=(()=>{{{library[: exports.start()]}return{{{public}}}}})();\n{own}}})();"


def series(
    bars: Mapping[str, Sequence[Candle]], points: Sequence[Point], trades: Sequence[Trade], step_ms: int
) -> dict[str, Any]:
    """Return what the script draws: per symbol its bars and the trades on them; equity and drawdown at the bars.

    `step_ms` is the length of a bar. Times are in seconds.
    """
    times = sorted({candle.open_time_ms for candles in bars.values() for candle in candles})
    shown = trades[-ARROWS:]
    closes = [candle.close for candles in bars.values() for candle in candles]
    equity, drawdown = _curves(points, times, step_ms)
    return {
        "digits": _decimals(closes),
        "equity": equity,
        "drawdown": drawdown,
        "symbols": {
            symbol: {"bars": list(map(_bar, candles)), "trades": list(_arrows(symbol, shown, candles))}
            for symbol, candles in bars.items()
        },
    }


def _bar(candle: Candle) -> list[float]:
    return [candle.open_time_ms // 1000, *map(_number, candle[4:8])]


def _curves(points: Sequence[Point], times: Sequence[int], step_ms: int) -> tuple[list[list[float]], list[list[float]]]:
    """Return the last equity and the largest drawdown in each bar; at their own times where there are no bars."""
    equity: dict[int, float] = {}
    fall: dict[int, float] = {}
    for point in points:
        index = bisect_right(times, point.ts - 1) - 1
        time = times[index] if index >= 0 and point.ts - times[index] <= step_ms else point.ts
        equity[time // 1000] = _number(point.equity)
        fall[time // 1000] = min(fall.get(time // 1000, 0.0), -_number(point.drawdown_pct))
    return [list(pair) for pair in sorted(equity.items())], [list(pair) for pair in sorted(fall.items())]


def _arrows(symbol: str, trades: Sequence[Trade], candles: Sequence[Candle]) -> Iterator[list[float]]:
    """Yield the bars of entry and exit of each trade, whether it was long, and its profit."""
    times = [candle.open_time_ms for candle in candles]
    for trade in trades:
        if trade.symbol == symbol and times and trade.entry_ts >= times[0]:
            entry, exit_ = (times[bisect_right(times, ts) - 1] // 1000 for ts in (trade.entry_ts, trade.exit_ts))
            yield [entry, exit_, int(trade.side == "LONG"), _number(trade.net_pnl)]


def _number(value: Decimal) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _decimals(closes: Sequence[Decimal]) -> int:
    """Return how many decimals the prices need: 2, or enough for 5 significant digits of small ones."""
    largest = max(closes, default=Decimal(1))
    return 2 if largest >= 100 else min(8, 4 - largest.adjusted()) if largest else 2
