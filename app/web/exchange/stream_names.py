"""The names of market streams, such as `btcusdt@kline_1m`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from app.domain.market.timeframe import TIMEFRAMES
from app.domain.session import Session
from app.web.exchange.candles import grid_of
from app.web.exchange.errors import ExchangeError

_KINDS: Final = ("trade", "aggTrade", "miniTicker", "ticker", "bookTicker")
_BOOKS: Final = tuple(f"depth{levels}" for levels in (5, 10, 20))
_SPEEDS: Final = ("100ms", "1000ms")
_ALL: Final = {"!ticker@arr": "ticker", "!miniTicker@arr": "miniTicker"}


class Stream(NamedTuple):
    """A stream: its name as the client wrote it, its kind, the symbol (null: all), and the interval of klines."""

    name: str
    kind: str
    symbol: str | None = None
    interval: str = ""


def read_stream(name: str, session: Session, symbols: Mapping[str, str]) -> Stream | None:
    """Return the stream of a name, null if there is none such; `symbols` are by their names in lower case."""
    if name in _ALL:
        return Stream(name, _ALL[name])
    first, _, rest = name.partition("@")
    symbol = symbols.get(first.lower())
    if symbol is None:
        return None
    kind, _, speed = rest.partition("@")
    if kind in _KINDS and not speed:
        return Stream(name, kind, symbol)
    if (kind in _BOOKS or kind == "depth") and (not speed or speed in _SPEEDS):
        return Stream(name, "depth" if kind == "depth" else "book", symbol)
    interval = kind.removeprefix("kline_")
    if interval != kind and not speed and interval in TIMEFRAMES:
        return Stream(name, "kline", symbol, interval) if _is_built(session, interval) else None
    return None


def _is_built(session: Session, interval: str) -> bool:
    try:
        grid_of(session, interval)
    except ExchangeError:
        return False
    return True
