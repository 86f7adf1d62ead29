"""What market streams send: messages made of each candle that closes, and the state that they need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from app.db.pool import Connection, Database
from app.domain.market.candle import Candle
from app.domain.market.timeframe import TIMEFRAMES, Timeframe
from app.domain.session import Session
from app.web.exchange import candles, market
from app.web.exchange.candles import flat, merge, now_ms
from app.web.exchange.instruments import Instrument
from app.web.exchange.numbers import WIDE, text
from app.web.exchange.stream_names import Stream

Message = tuple[Stream, Any]
_HALF = Decimal("0.5")


class MarketEvents:
    """The messages of one connection. It follows the session candle by candle; `session` is at the last of them."""

    def __init__(self, session: Session, instruments: Mapping[str, Instrument], database: Database) -> None:
        self.session = session
        self._instruments = instruments
        self._database = database
        self._forming: dict[tuple[str, str], tuple[Candle, bool]] = {}
        self._book_ids: dict[str, int] = {}
        self._closes: dict[str, Decimal] = {}

    async def subscribed(self, streams: Iterable[Stream]) -> None:
        """Read what new streams begin with."""
        wanted = [stream for stream in streams if stream.kind in ("kline", "depth")]
        if wanted:
            await self._database.run(self._read, wanted)

    async def _read(self, connection: Connection, streams: Iterable[Stream]) -> None:
        for stream in streams:
            assert stream.symbol is not None
            if stream.kind == "depth":
                last = await candles.last_candle(connection, self.session, stream.symbol)
                if last is not None:
                    self._closes[stream.symbol] = last.close
                    self._book_ids[stream.symbol] = market.update_id(self.session)
            else:
                await self._read_forming(connection, stream.symbol, TIMEFRAMES[stream.interval])

    async def _read_forming(self, connection: Connection, symbol: str, grid: Timeframe) -> None:
        """Read a forming candle, and whether base candles are in it already."""
        part = await candles.forming(connection, self.session, symbol, grid)
        if part is not None:
            self._forming[symbol, grid.name] = part, part.open_time_ms < self._now

    def closed(self, candle: Candle, streams: Iterable[Stream]) -> Iterator[Message]:
        """Yield the messages of a base candle that closes."""
        spec = self.session.spec
        cursor_ms = max(candle.open_time_ms, self.session.cursor_ms or candle.open_time_ms)
        self.session = replace(self.session, cursor_ms=cursor_ms)
        instrument = self._instruments[candle.symbol]
        done: dict[str, list[tuple[Candle, bool]]] = {}
        for stream in streams:
            if stream.symbol != candle.symbol:
                continue
            if stream.kind == "kline":
                if stream.interval not in done:
                    done[stream.interval] = self._advanced(candle, TIMEFRAMES[stream.interval], spec.grid)
                for part, closed in done[stream.interval]:
                    yield stream, self._kline(part, closed=closed)
            elif stream.kind in ("trade", "aggTrade") and candle.volume > 0:
                yield stream, self._trade(instrument, candle, stream.kind)
            elif stream.kind == "depth":
                yield stream, self._difference(instrument, candle)
        self._closes[candle.symbol] = candle.close

    async def present(self, streams: Iterable[Stream]) -> list[Message]:
        """Return the messages of the session's present state: forming candles, tickers and books."""
        wanted = list(streams)
        forming = [
            (stream, self._kline(part[0], closed=False))
            for stream in wanted
            if stream.kind == "kline" and (part := self._forming.get((stream.symbol or "", stream.interval)))
        ]
        return [*forming, *await self.summaries(wanted)]

    async def summaries(self, streams: Iterable[Stream]) -> list[Message]:
        """Return tickers and books as they are now; they are sent once for several candles."""
        wanted = [stream for stream in streams if stream.kind in ("ticker", "miniTicker", "bookTicker", "book")]
        return await self._database.run(self._summaries, wanted) if wanted else []

    async def _summaries(self, connection: Connection, streams: list[Stream]) -> list[Message]:
        messages: list[Message] = []
        for stream in streams:
            if stream.symbol is None:
                known = self._instruments.values()
                messages.append((stream, [await self._ticker(connection, one, stream.kind) for one in known]))
                continue
            instrument = self._instruments[stream.symbol]
            of = self._ticker if stream.kind in ("ticker", "miniTicker") else self._book
            messages.append((stream, await of(connection, instrument, stream.kind)))
        return messages

    def _advanced(self, candle: Candle, grid: Timeframe, base: Timeframe) -> list[tuple[Candle, bool]]:
        """Return the candles of an interval after a base candle: one that closes, if one does, and the forming one."""
        key, now = (candle.symbol, grid.name), candle.open_time_ms + base.ms
        open_ms = grid.floor(candle.open_time_ms)
        before, begun = self._forming.get(key, (candle, False))
        shown: list[tuple[Candle, bool]] = []
        if begun and before.open_time_ms < open_ms:  # Candles were missing at its end.
            shown.append((before, True))
        parts = [before, candle] if begun and before.open_time_ms == open_ms else [candle]
        merged = merge(parts)._replace(timeframe=grid.name, open_time_ms=open_ms, close_time_ms=open_ms + grid.ms)
        if now >= open_ms + grid.ms:
            shown.append((merged, True))
            merged = flat(candle.symbol, grid, grid.floor(now), candle.close)
        self._forming[key] = merged, merged.open_time_ms < now
        return [*shown, (merged, False)]

    def _kline(self, candle: Candle, *, closed: bool) -> dict[str, Any]:
        worth = candles.money(candle)
        number = market.trade_id(candle)
        return {
            "e": "kline",
            "E": self._now,
            "s": candle.symbol,
            "k": {
                "t": candle.open_time_ms,
                "T": candle.close_time_ms - 1,
                "s": candle.symbol,
                "i": candle.timeframe,
                "f": number,
                "L": number,
                "o": text(candle.open),
                "c": text(candle.close),
                "h": text(candle.high),
                "l": text(candle.low),
                "v": text(candle.volume),
                "n": candles.trades_in(candle),
                "x": closed,
                "q": text(worth),
                "V": text(WIDE.multiply(candle.volume, _HALF)),
                "Q": text(WIDE.multiply(worth, _HALF)),
                "B": "0",
            },
        }

    @property
    def _now(self) -> int:
        return now_ms(self.session)

    def _trade(self, instrument: Instrument, candle: Candle, kind: str) -> dict[str, Any]:
        shown = market.agg_trade(instrument, candle)
        if kind == "trade":
            shown = {"t": shown["a"], "p": shown["p"], "q": shown["q"], "T": shown["T"], "m": shown["m"], "M": True}
        return {"e": kind, "E": self._now, "s": candle.symbol, **shown}

    def _difference(self, instrument: Instrument, candle: Candle) -> dict[str, Any]:
        """Return the change of the synthetic book: the levels at the last close go, those at the new one come."""
        symbol, number = candle.symbol, market.update_id(self.session)
        first = self._book_ids.get(symbol, number - 1) + 1
        self._book_ids[symbol] = number
        new = market.book(instrument, candle)
        close = self._closes.get(symbol)
        old = market.book(instrument, None if close is None else candle._replace(close=close))
        sides = {}
        for side, name in (("bids", "b"), ("asks", "a")):
            kept = {price for price, _ in new[side]}
            sides[name] = [[price, text(Decimal(0))] for price, _ in old[side] if price not in kept] + new[side]
        return {"e": "depthUpdate", "E": self._now, "s": symbol, "U": min(first, number), "u": number, **sides}

    async def _ticker(self, connection: Connection, instrument: Instrument, kind: str) -> dict[str, Any]:
        day = await candles.last_day(connection, self.session, instrument.symbol)
        if day is None:
            day = flat(instrument.symbol, self.session.spec.grid, self._now, Decimal(0))
        shown = market.ticker(instrument.symbol, day, *market.best_prices(instrument, day.close))
        short = {
            "e": "24hrMiniTicker",
            "E": self._now,
            "s": instrument.symbol,
            "c": shown["lastPrice"],
            "o": shown["openPrice"],
            "h": shown["highPrice"],
            "l": shown["lowPrice"],
            "v": shown["volume"],
            "q": shown["quoteVolume"],
        }
        if kind == "miniTicker":
            return short
        return short | {
            "e": "24hrTicker",
            "p": shown["priceChange"],
            "P": shown["priceChangePercent"],
            "w": shown["weightedAvgPrice"],
            "x": shown["prevClosePrice"],
            "Q": shown["lastQty"],
            "b": shown["bidPrice"],
            "B": shown["bidQty"],
            "a": shown["askPrice"],
            "A": shown["askQty"],
            "O": shown["openTime"],
            "C": shown["closeTime"],
            "F": shown["firstId"],
            "L": shown["lastId"],
            "n": shown["count"],
        }

    async def _book(self, connection: Connection, instrument: Instrument, kind: str) -> dict[str, Any]:
        last = await candles.last_candle(connection, self.session, instrument.symbol)
        sides, number = market.book(instrument, last), market.update_id(self.session)
        if kind == "book":
            return {"lastUpdateId": number, **sides}
        (bid, bid_qty), (ask, ask_qty) = (sides["bids"] or [["0", "0"]])[0], (sides["asks"] or [["0", "0"]])[0]
        return {"u": number, "s": instrument.symbol, "b": bid, "B": bid_qty, "a": ask, "A": ask_qty}
