"""Market data as Binance spot has it, made of the session's candles. All times are the session's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from typing import Any, Final

from app.db.pool import Connection, Database
from app.domain.market.candle import Candle
from app.domain.session import Session
from app.web.exchange import candles
from app.web.exchange.call import FaceCall, face_route
from app.web.exchange.candles import Range, now_ms
from app.web.exchange.errors import ExchangeError, bad_symbol, missing
from app.web.exchange.instruments import Instrument, Instruments
from app.web.exchange.numbers import WIDE, floor_to, text
from app.web.http.route_spec import RouteGroup, RouteSpec

_BOOK_WORTH: Final = Decimal(10_000_000)
"""Worth of each side of the book in the quote currency: large, because candles say nothing of it."""
_WINDOWS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
RATE_LIMITS: Final = (
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 12_000},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 2_000},
    {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 1, "limit": 12_000},
)
_One = Callable[[Connection, Session, Instrument], Awaitable[Any]]


class MarketData(RouteGroup):
    """The calls that need no account."""

    def __init__(self, database: Database, instruments: Instruments) -> None:
        self._database = database
        self.instruments = instruments

    def routes(self) -> list[RouteSpec]:
        """Return the routes of these calls."""
        spot = {
            "ping": self.ping,
            "time": self.time,
            "exchangeInfo": self.exchange_info,
            "klines": self.klines,
            "uiKlines": self.klines,
            "ticker/price": self.ticker_price,
            "ticker/24hr": self.ticker_24hr,
            "ticker/tradingDay": self.ticker_24hr,
            "ticker/bookTicker": self.ticker_book,
            "ticker": self.ticker,
            "depth": self.depth,
            "trades": self.trades,
            "historicalTrades": self.trades,
            "aggTrades": self.agg_trades,
            "avgPrice": self.avg_price,
        }
        other = {
            "fapi/v1/exchangeInfo": self.no_symbols,
            "dapi/v1/exchangeInfo": self.no_symbols,
            "sapi/v1/capital/config/getall": self.nothing,
            "sapi/v1/margin/allPairs": self.nothing,
            "sapi/v1/margin/isolated/allPairs": self.nothing,
            "sapi/v1/asset/tradeFee": self.nothing,
        }
        paths = {**{f"api/v3/{path}": handler for path, handler in spot.items()}, **other}
        return [face_route("GET", path, handler) for path, handler in paths.items()]

    async def ping(self, call: FaceCall) -> Any:
        """Answer, so that a client knows the address is right."""
        return {}

    async def time(self, call: FaceCall) -> Any:
        """Return the session's time."""
        return {"serverTime": now_ms(call.session)}

    async def exchange_info(self, call: FaceCall) -> Any:
        """Describe the session's symbols."""
        known = await self.instruments.of(call.session)
        asked = call.params.names("symbols")
        if "symbol" in call.params:
            asked = [call.params.required("symbol")]
        if asked is not None and not set(asked) <= known.keys():
            raise bad_symbol()
        return {
            "timezone": "UTC",
            "serverTime": now_ms(call.session),
            "rateLimits": list(RATE_LIMITS),
            "exchangeFilters": [],
            "symbols": [known[symbol].describe() for symbol in (asked or known)],
        }

    async def klines(self, call: FaceCall) -> Any:
        """Return candles, the forming one last."""
        params = call.params
        instrument = await self.instruments.one(call.session, params.required("symbol"))
        grid = candles.grid_of(call.session, params.required("interval"))
        wanted = Range(params.integer("startTime"), params.integer("endTime"), params.limit(500, 1000))
        if None not in wanted and wanted.start_ms > wanted.end_ms:  # type: ignore[operator]
            raise ExchangeError(-1127, "Start time is greater than end time.")
        found = await self._database.run(candles.klines, call.session, instrument.symbol, grid, wanted)
        return list(map(candles.kline, found))

    async def ticker_price(self, call: FaceCall) -> Any:
        """Return last prices."""
        return await self._each(call, _price)

    async def ticker_24hr(self, call: FaceCall) -> Any:
        """Return what the last 24 hours brought."""
        return await self._each(call, _day)

    async def ticker_book(self, call: FaceCall) -> Any:
        """Return the best bid and ask of the synthetic book."""
        return await self._each(call, _book_ticker)

    async def ticker(self, call: FaceCall) -> Any:
        """Return what the last window brought, such as `4h`; a day without one."""
        if not {"symbol", "symbols"} & {name for name in ("symbol", "symbols") if name in call.params}:
            raise missing("symbol")
        return await self._each(call, partial(_day, span_ms=_window_ms(call.params.text("windowSize") or "1d")))

    async def depth(self, call: FaceCall) -> Any:
        """Return the synthetic book: one level of each side, one tick from the last close."""
        instrument = await self.instruments.one(call.session, call.params.required("symbol"))
        call.params.limit(100, 5000)
        last = await self._database.run(candles.last_candle, call.session, instrument.symbol)
        return {"lastUpdateId": update_id(call.session), **book(instrument, last)}

    async def trades(self, call: FaceCall) -> Any:
        """Return one trade per candle: its whole volume at its close."""
        instrument, found = await self._last(call)
        return [trade(instrument, candle) for candle in found]

    async def agg_trades(self, call: FaceCall) -> Any:
        """Return the same trades in the form of aggregates."""
        instrument, found = await self._last(call)
        low, high = call.params.integer("startTime"), call.params.integer("endTime")
        return [
            agg_trade(instrument, candle)
            for candle in found
            if (low or 0) <= candle.close_time_ms - 1 <= (high if high is not None else candle.close_time_ms)
        ]

    async def avg_price(self, call: FaceCall) -> Any:
        """Return the last close as the average of the last minutes."""
        instrument = await self.instruments.one(call.session, call.params.required("symbol"))
        last = await self._database.run(candles.last_candle, call.session, instrument.symbol)
        price = Decimal(0) if last is None else last.close
        return {"mins": 5, "price": text(price), "closeTime": now_ms(call.session) - 1}

    async def nothing(self, call: FaceCall) -> Any:
        """Return an empty list: what the face does not have, but clients ask for."""
        return []

    async def no_symbols(self, call: FaceCall) -> Any:
        """Describe a futures market without symbols, for clients that ask all markets."""
        info = {"timezone": "UTC", "serverTime": now_ms(call.session), "rateLimits": [], "exchangeFilters": []}
        return {**info, "assets": [], "symbols": []}

    async def _last(self, call: FaceCall) -> tuple[Instrument, list[Candle]]:
        instrument = await self.instruments.one(call.session, call.params.required("symbol"))
        limit = call.params.limit(500, 1000)
        found = await self._database.run(candles.last_candles, call.session, instrument.symbol, limit)
        return instrument, [candle for candle in found if candle.volume > 0]

    async def _each(self, call: FaceCall, one: _One) -> Any:
        """Answer for the symbol that is asked for, or a list for the symbols, or for all without any."""
        known = await self.instruments.of(call.session)
        if "symbol" in call.params:
            instrument = await self.instruments.one(call.session, call.params.required("symbol"))
            return await self._database.run(one, call.session, instrument)
        asked = call.params.names("symbols")
        if asked is not None and not set(asked) <= known.keys():
            raise bad_symbol()
        return [await self._database.run(one, call.session, known[symbol]) for symbol in asked or known]


def update_id(session: Session) -> int:
    """Return the number of the book's state: that of the slot, so that it grows with the session."""
    return now_ms(session) // session.spec.grid.ms


def book(instrument: Instrument, last: Candle | None) -> dict[str, list[list[str]]]:
    """Return the synthetic book at a close."""
    if last is None:
        return {"bids": [], "asks": []}
    qty = text(max(floor_to(WIDE.divide(_BOOK_WORTH, last.close), instrument.step), instrument.step))
    bid, ask = best_prices(instrument, last.close)
    return {"bids": [[text(bid), qty]], "asks": [[text(ask), qty]]}


def best_prices(instrument: Instrument, close: Decimal) -> tuple[Decimal, Decimal]:
    """Return the best bid and ask of the synthetic book."""
    return max(close - instrument.tick, instrument.tick), close + instrument.tick


def trade(instrument: Instrument, candle: Candle) -> dict[str, Any]:
    """Return the trade that stands for a candle."""
    return {
        "id": trade_id(candle),
        "price": text(candle.close),
        "qty": text(candle.volume),
        "quoteQty": text(WIDE.multiply(candle.close, candle.volume)),
        "time": candle.close_time_ms - 1,
        "isBuyerMaker": candle.close < candle.open,
        "isBestMatch": True,
    }


def agg_trade(instrument: Instrument, candle: Candle) -> dict[str, Any]:
    """Return the trade that stands for a candle, as an aggregate."""
    number = trade_id(candle)
    return {
        "a": number,
        "p": text(candle.close),
        "q": text(candle.volume),
        "f": number,
        "l": number,
        "T": candle.close_time_ms - 1,
        "m": candle.close < candle.open,
        "M": True,
    }


def trade_id(candle: Candle) -> int:
    """Return the number of the trade that stands for a candle: that of its slot."""
    return candle.open_time_ms // (candle.close_time_ms - candle.open_time_ms)


def ticker(symbol: str, day: Candle, bid: Decimal, ask: Decimal) -> dict[str, Any]:
    """Return the ticker of a window of time, given as one candle."""
    change = day.close - day.open
    share = WIDE.divide(change * 100, day.open) if day.open else Decimal(0)
    mean = WIDE.divide(candles.money(day), day.volume) if day.volume else day.close
    return {
        "symbol": symbol,
        "priceChange": text(change),
        "priceChangePercent": format(share.quantize(Decimal("0.001"), None, WIDE), "f"),
        "weightedAvgPrice": text(mean),
        "prevClosePrice": text(day.open),
        "lastPrice": text(day.close),
        "lastQty": text(Decimal(0)),
        "bidPrice": text(bid),
        "bidQty": text(Decimal(1)),
        "askPrice": text(ask),
        "askQty": text(Decimal(1)),
        "openPrice": text(day.open),
        "highPrice": text(day.high),
        "lowPrice": text(day.low),
        "volume": text(day.volume),
        "quoteVolume": text(candles.money(day)),
        "openTime": day.open_time_ms,
        "closeTime": day.close_time_ms - 1,
        "firstId": 0,
        "lastId": 0,
        "count": candles.trades_in(day),
    }


async def _price(connection: Connection, session: Session, instrument: Instrument) -> dict[str, Any]:
    last = await candles.last_candle(connection, session, instrument.symbol)
    return {"symbol": instrument.symbol, "price": text(Decimal(0) if last is None else last.close)}


async def _book_ticker(connection: Connection, session: Session, instrument: Instrument) -> dict[str, Any]:
    last = await candles.last_candle(connection, session, instrument.symbol)
    sides = book(instrument, last)
    nothing = [[text(Decimal(0))] * 2]
    (bid, bid_qty), (ask, ask_qty) = (sides["bids"] or nothing)[0], (sides["asks"] or nothing)[0]
    return {"symbol": instrument.symbol, "bidPrice": bid, "bidQty": bid_qty, "askPrice": ask, "askQty": ask_qty}


async def _day(
    connection: Connection, session: Session, instrument: Instrument, span_ms: int = candles.DAY_MS
) -> dict[str, Any]:
    day = await candles.last_day(connection, session, instrument.symbol, span_ms)
    if day is None:
        now = now_ms(session)
        day = candles.flat(instrument.symbol, session.spec.grid, now, Decimal(0))
        return ticker(instrument.symbol, day._replace(close_time_ms=now), Decimal(0), Decimal(0))
    return ticker(instrument.symbol, day, *best_prices(instrument, day.close))


def _window_ms(name: str) -> int:
    unit, number = _WINDOWS.get(name[-1:]), name[:-1]
    if unit is None or not (number.isascii() and number.isdigit() and 1 <= int(number[:4]) <= 59):
        raise ExchangeError(-1100, "Illegal characters found in parameter 'windowSize'.")
    return unit * int(number[:4])
