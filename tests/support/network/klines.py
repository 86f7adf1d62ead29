"""A local server that speaks Binance's REST for candles whose answers can fail."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.candles.sources.synthetic import candles
from app.domain.market.candle import Candle
from app.domain.market.timeframe import timeframe

MOST_ROWS = 1_000
DAY = 86_400_000
FaultAnswer = Callable[[], Response]


class CutError(Exception):
    """The connection ends in the middle of an answer."""


class KlineServer:
    """Answers from generated candles; `holes` are open times without one, `faults` are answers to give first."""

    def __init__(self) -> None:
        self.address = ""
        self.holes: set[int] = set()
        self.faults: list[Response | None] = []
        self.requests: list[tuple[str, str, int]] = []
        self.down = False
        self.recent_only = False
        self._made: dict[tuple[str, str, int], list[Candle]] = {}
        self.now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000

    async def info(self, _: Request) -> Response:
        names = (("BTC", "USDT"), ("ETH", "USDT"))
        symbols = [
            {"symbol": base + quote, "status": "TRADING", "baseAsset": base, "quoteAsset": quote, "filters": []}
            | {"permissions": ["SPOT"], "isSpotTradingAllowed": True, "orderTypes": []}
            for base, quote in names
        ]
        return JSONResponse({"timezone": "UTC", "symbols": symbols})

    async def klines(self, request: Request) -> Response:
        query = request.query_params
        symbol, name, start = query["symbol"], query["interval"], int(query["startTime"])
        self.requests.append((symbol, name, start))
        if self.down:
            return JSONResponse({"code": -1, "msg": "down"}, 503)
        if self.faults and (fault := self.faults.pop(0)) is not None:
            return fault
        limit = min(int(query.get("limit", 500)), MOST_ROWS)
        if self.recent_only:
            start = max(start, timeframe(name).floor(self.now_ms()) - (MOST_ROWS - 1) * timeframe(name).ms)
        return JSONResponse(self._rows(symbol, name, start, limit))

    def _candles(self, symbol: str, name: str, start: int, end: int) -> Iterator[Candle]:
        """Yield candles that open in `[start, end)`; those of a day are made once, which takes a while."""
        if timeframe(name).ms > DAY:
            yield from candles(symbol, name, start, end)
            return
        for day in range(start // DAY * DAY, end, DAY):
            key = symbol, name, day
            if key not in self._made:
                self._made[key] = list(candles(symbol, name, day, day + DAY))
            yield from (candle for candle in self._made[key] if start <= candle.open_time_ms < end)

    def _rows(self, symbol: str, name: str, start: int, limit: int) -> list[list[object]]:
        """Give the first rows from `start` on, the open one last where they reach it."""
        grid, rows = timeframe(name), []
        for candle in self._candles(symbol, name, start, self.now_ms()):
            if candle.open_time_ms not in self.holes:
                numbers = [f"{value:.8f}" for value in candle[4:9]]
                rows.append([candle.open_time_ms, *numbers, candle.open_time_ms + grid.ms - 1, "0", 1, "0", "0", "0"])
            if len(rows) == limit:
                break
        return rows


class CutResponse(Response):
    """Promises more bytes than it sends."""

    async def __call__(self, scope: object, receive: object, send: Callable) -> None:  # type: ignore[type-arg]
        headers = [(b"content-length", b"1000"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"[[17", "more_body": True})
        raise CutError


@asynccontextmanager
async def kline_server() -> AsyncIterator[KlineServer]:
    """Run the server on a free port of the loopback interface."""
    klines = KlineServer()
    routes = [Route("/api/v3/exchangeInfo", klines.info), Route("/api/v3/klines", klines.klines)]
    listening = socket.create_server(("127.0.0.1", 0))
    klines.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve([listening]))
    try:
        yield klines
    finally:
        server.should_exit = True
        await serving
