"""Candles from the REST API of any exchange that ccxt supports; ccxt is imported on first use."""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from typing import Any

from app.candles.rows.row import Row, RowIssue
from app.candles.sources.source import Part, RetryLaterError
from app.domain.market.symbol import normalize_symbol
from app.domain.market.timeframe import Timeframe
from app.errors import BadInputError

PAGE = 1_000
"""Candles per request; an exchange may return fewer."""

SETTLED_MS = 2_000
"""A candle that closed less than this ago counts as closed only if the answer has a later one: clocks differ."""

_TIMEOUT_MS = 10_000


class Exchange:
    """One exchange; the argument is its ccxt name, as in `bybit`, `bybit/linear` or `binance@http://host:port`.

    The part after the slash is the kind of market, by default spot; requests go to the address instead of the exchange.
    """

    def __init__(self, argument: str) -> None:
        name, _, self.address = argument.partition("@")
        self.name, _, kind = name.partition("/")
        self.kind = kind or "spot"
        self.markets: dict[str, Any] = {}
        if not re.fullmatch(r"[a-z0-9]+", self.name):
            raise BadInputError(f"sources: {self.name!r} is not the name of an exchange")

    async def fetch(self, symbol: str, timeframe: Timeframe, from_ms: int, to_ms: int) -> AsyncGenerator[Part]:
        """Yield page after page; if an answer is empty, the page's slots have no candles."""
        ccxt = _ccxt()
        client = self._client(ccxt)
        try:
            name = await self._market(client, symbol)
            while from_ms < to_ms:
                part = await _page(client, name, timeframe, from_ms, to_ms, _most_rows(client, self.kind))
                if part.to_ms <= from_ms:
                    return
                yield part
                from_ms = part.to_ms
        except ccxt.BaseError as error:
            # An answer that ccxt has no name for is a plain ExchangeError: its text may describe an outage.
            if isinstance(error, ccxt.OperationFailed) or type(error) is ccxt.ExchangeError:
                raise RetryLaterError(f"{self.name}: {_error_text(error)}", _retry_after(client)) from error
            raise BadInputError(f"{self.name}: {_error_text(error)}") from error
        finally:
            await client.close()

    def _client(self, ccxt: Any) -> Any:
        if not hasattr(ccxt, self.name):
            raise BadInputError(f"sources: ccxt knows no exchange called {self.name!r}")
        client = getattr(ccxt, self.name)({"timeout": _TIMEOUT_MS, "enableRateLimit": True})
        client.number = str
        client.has["fetchCurrencies"] = False
        option = client.options.get("fetchMarkets")
        if isinstance(option, dict) and self.kind in option.get("types", ()):
            option["types"] = [self.kind]
        if self.address:
            client.urls["api"] = _moved(client.urls["api"], self.address)
        return client

    async def _market(self, client: Any, symbol: str) -> str:
        """Return the exchange's own name of a symbol, of the kind asked for where there are several."""
        if symbol not in self.markets:
            self.markets[symbol] = self.best_market(symbol, (await client.load_markets()).values())
        client.set_markets([self.markets[symbol]])
        name: str = self.markets[symbol]["symbol"]
        return name

    def best_market(self, symbol: str, markets: Iterable[Any]) -> Any:
        """Return the market of a symbol, of the kind asked for where there is one; raises `BadInputError`."""
        matching = [market for market in markets if symbol in _spellings(market)]
        if not matching:
            raise BadInputError(f"symbol: {self.name} has no {symbol}")

        def rank(market: Any) -> tuple[bool, bool, bool]:
            return not market.get(self.kind), _stored(market["symbol"]) != symbol, _stored(market["id"]) != symbol

        best = min(matching, key=rank)
        same = [market for market in matching if rank(market) == rank(best)]
        other = next(
            (market for market in same if (market["base"], market["quote"]) != (best["base"], best["quote"])), None
        )
        if other is not None:
            raise BadInputError(
                f"symbol: {self.name} has {best['symbol']} and {other['symbol']}, which are both {symbol} here"
            )
        return best


def _ccxt() -> Any:
    try:
        return importlib.import_module("ccxt.async_support")
    except ImportError:
        raise BadInputError("sources: exchanges need ccxt: pip install 'zeon-sim[data]'") from None


def _moved(urls: Any, address: str) -> Any:
    """Replace scheme and host of all addresses of a client."""
    if isinstance(urls, dict):
        return {key: _moved(value, address) for key, value in urls.items()}
    return re.sub(r"^https?://[^/]+", address, urls) if isinstance(urls, str) else urls


def _spellings(market: Any) -> set[str | None]:
    """Return the stored forms of all names of a market: id, base and quote, the unified symbol in full and short."""
    unified = str(market["symbol"])
    names = (market["id"], f"{market['base']}{market['quote']}", unified, unified.partition(":")[0])
    return {_stored(name) for name in names}


def _stored(name: object) -> str | None:
    """Return the stored form of an exchange's name; None if it is not a valid symbol."""
    try:
        return normalize_symbol(str(name))
    except BadInputError:
        return None


def _most_rows(client: Any, kind: str) -> int:
    """Return how many candles the exchange returns per request."""
    features = (client.features.get(kind) or {}) if isinstance(client.features, dict) else {}
    return min(PAGE, int((features.get("fetchOHLCV") or {}).get("limit") or PAGE))


async def _page(client: Any, name: str, timeframe: Timeframe, from_ms: int, to_ms: int, most: int) -> Part:
    """Request one page.

    An exchange with only recent candles (Kraken) answers any request with `most` candles that start late and reach up
    to now. Such an answer says nothing about the time before it.
    """
    answer = await client.fetch_ohlcv(name, timeframe.name, from_ms, PAGE)
    answer = [row for row in answer if int(row[0]) >= from_ms]
    if not answer:
        return Part([], min(from_ms + PAGE * timeframe.ms, to_ms))
    last_ms = int(answer[-1][0])
    if last_ms + timeframe.ms > int(time.time() * 1000) - SETTLED_MS:
        to_ms = min(to_ms, last_ms)
    rows: list[Row | RowIssue] = [
        (line_number, *row[:6]) for line_number, row in enumerate(answer, 1) if int(row[0]) < to_ms
    ]
    first_ms = int(answer[0][0])
    recent = first_ms > from_ms and len(answer) >= most and last_ms + 2 * timeframe.ms > time.time() * 1000
    return Part(rows, min(last_ms + timeframe.ms, to_ms), first_ms if recent and first_ms < to_ms else None)


def _error_text(error: Exception) -> str:
    return f"{type(error).__name__} {str(error)[:200]}"


def _retry_after(client: Any) -> float:
    headers = {key.lower(): value for key, value in (client.last_response_headers or {}).items()}
    with suppress(ValueError):
        return float(headers.get("retry-after", 0))
    return 0
