"""The symbols of a session as the exchange describes them: base, quote, precision and filters."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from app.db import candles
from app.db.pool import Connection, Database
from app.domain.market.candle import Candle
from app.domain.session import Session
from app.web.exchange.errors import ExchangeError, bad_symbol
from app.web.exchange.numbers import PLACES, WIDE, places_of, step_of, text

_SAMPLE: Final = 500
"""Candles of the range that the decimals are taken from."""
_DEFAULT_QUOTE: Final = "USD"
_MAX_PRICE: Final = Decimal(10**9)
_MAX_QTY: Final = Decimal(10**9)
_MAX_NOTIONAL: Final = Decimal(10**12)
_MIN_MONEY: Final = Decimal(5)
_MIN_COINS: Final = Decimal("0.0001")
_COINS: Final = ("BTC", "ETH", "BNB", "SOL", "XRP", "DOGE")
"""Quotes of which 5 units would be much money."""
_KEPT: Final = 1000
ORDER_TYPES: Final = (
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
)


class Instrument(NamedTuple):
    """A symbol: what is traded for what, and the steps of prices and quantities, `guessed` while it has no candles."""

    symbol: str
    base: str
    quote: str
    tick: Decimal
    step: Decimal
    guessed: bool = False

    @property
    def min_notional(self) -> Decimal:
        """The smallest worth of an order."""
        return _MIN_COINS if self.quote in _COINS else _MIN_MONEY

    def require_price(self, price: Decimal) -> None:
        """Raise `ExchangeError` for a price that the filter refuses."""
        if not self.tick <= price <= _MAX_PRICE or WIDE.remainder(price, self.tick):
            raise ExchangeError(-1013, "Filter failure: PRICE_FILTER")

    def require_quantity(self, qty: Decimal) -> None:
        """Raise `ExchangeError` for a quantity that the filter refuses."""
        if not self.step <= qty <= _MAX_QTY or WIDE.remainder(qty, self.step):
            raise ExchangeError(-1013, "Filter failure: LOT_SIZE")

    def require_notional(self, worth: Decimal) -> None:
        """Raise `ExchangeError` for an order that is worth too little or too much."""
        if not self.min_notional <= worth <= _MAX_NOTIONAL:
            raise ExchangeError(-1013, "Filter failure: NOTIONAL")

    def describe(self) -> dict[str, Any]:
        """Return the symbol as `exchangeInfo` has it."""
        return {
            "symbol": self.symbol,
            "status": "TRADING",
            "baseAsset": self.base,
            "baseAssetPrecision": PLACES,
            "quoteAsset": self.quote,
            "quotePrecision": PLACES,
            "quoteAssetPrecision": PLACES,
            "baseCommissionPrecision": PLACES,
            "quoteCommissionPrecision": PLACES,
            "orderTypes": list(ORDER_TYPES),
            "icebergAllowed": False,
            "ocoAllowed": False,
            "otoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": self._filters(),
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "NONE",
            "allowedSelfTradePreventionModes": ["NONE"],
        }

    def _filters(self) -> list[dict[str, Any]]:
        lot = {"minQty": text(self.step), "maxQty": text(_MAX_QTY), "stepSize": text(self.step)}
        notional = {
            "minNotional": text(self.min_notional),
            "applyMinToMarket": True,
            "maxNotional": text(_MAX_NOTIONAL),
            "applyMaxToMarket": True,
            "avgPriceMins": 0,
        }
        return [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": text(self.tick),
                "maxPrice": text(_MAX_PRICE),
                "tickSize": text(self.tick),
            },
            {"filterType": "LOT_SIZE", **lot},
            {"filterType": "MARKET_LOT_SIZE", **lot},
            {"filterType": "NOTIONAL", **notional},
        ]


class Instruments:
    """The instruments of sessions. They do not change during a session, so they are kept in memory."""

    def __init__(self, database: Database, quotes: Sequence[str]) -> None:
        self._database = database
        self._quotes = sorted(quotes, key=len, reverse=True)
        self._kept: OrderedDict[UUID, dict[str, Instrument]] = OrderedDict()

    async def of(self, session: Session) -> dict[str, Instrument]:
        """Return the instruments of a session by symbol; raises `ExchangeError` if they have several quotes."""
        kept = self._kept.pop(session.id, None)
        known = await self._database.run(self._read, session) if kept is None else kept
        if any(instrument.guessed for instrument in known.values()):
            return _of_one_quote(known)
        self._kept[session.id] = known
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return _of_one_quote(known)

    async def one(self, session: Session, symbol: str) -> Instrument:
        """Return one instrument; raises `ExchangeError` for a symbol that the session does not have."""
        instrument = (await self.of(session)).get(symbol)
        if instrument is None:
            raise bad_symbol()
        return instrument

    async def _read(self, connection: Connection, session: Session) -> dict[str, Instrument]:
        spec, found = session.spec, {}
        for symbol in spec.symbols:
            sample = await candles.window(
                connection, spec.venue, [symbol], spec.timeframe, spec.start_ms - 1, None, _SAMPLE
            ) or await candles.last_before(connection, spec.venue, symbol, spec.timeframe, spec.start_ms, _SAMPLE)
            found[symbol] = self._instrument(symbol, sample)
        return found

    def _instrument(self, symbol: str, sample: Sequence[Candle]) -> Instrument:
        base, quote = split_symbol(symbol, self._quotes)
        if not sample:
            return Instrument(symbol, base, quote, step_of(2), step_of(5), guessed=True)
        tick = max(places_of(price) for candle in sample for price in candle[4:8])
        step = max(places_of(candle.volume) for candle in sample)
        price = min(candle.low for candle in sample)
        while step < PLACES and WIDE.multiply(price, step_of(step)) > 1:
            step += 1
        return Instrument(symbol, base, quote, step_of(min(tick, PLACES)), step_of(min(step, PLACES)))


def _of_one_quote(known: dict[str, Instrument]) -> dict[str, Instrument]:
    if len({instrument.quote for instrument in known.values()}) > 1:
        raise ExchangeError(-1020, "The symbols of this session have several quotes; an account here has one.")
    return known


def split_symbol(symbol: str, quotes: Sequence[str]) -> tuple[str, str]:
    """Return base and quote of a symbol by the longest known quote at its end; `quotes` has the longest first."""
    for quote in quotes:
        if symbol.endswith(quote) and symbol != quote:
            return symbol.removesuffix(quote), quote
    return symbol, _DEFAULT_QUOTE
