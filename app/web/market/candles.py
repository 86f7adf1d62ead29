"""Cached candles over HTTP, read only: the candles, and the missing ones with the reason."""

from __future__ import annotations

from starlette.responses import Response

from app.candles.cache.load import coverage, find_gaps, is_quick
from app.candles.cache.reasons import gap_reasons
from app.db import candles as cache
from app.db.pool import Connection
from app.domain.market.candle import Candle
from app.domain.number import format_decimal
from app.engine.session_service import SessionService
from app.settings import Settings
from app.web.http.responses import json_response, json_text_response
from app.web.http.route_spec import Call, RouteGroup, RouteSpec, for_readers
from app.web.market.candle_schemas import (
    CandlesAnswer,
    CandlesQuery,
    CoverageAnswer,
    CoverageQuery,
    GapAnswer,
    SeriesAnswer,
)

_MAX_GAPS = 100
_END_OF_TIME = 2**62


class CandleCalls(RouteGroup):
    """The calls `/api/market/candles` and `/api/market/coverage`."""

    tag = "candles"

    def __init__(self, sim: SessionService, settings: Settings) -> None:
        self._sim = sim
        self._settings = settings

    def routes(self) -> list[RouteSpec]:
        """Return the routes of these calls."""
        routes = [
            RouteSpec(
                "GET", "/api/market/candles", self.candles, "listCandles", CandlesQuery, answer=CandlesAnswer,
                example={"symbol": "BTCUSDT", "timeframe": "1m", "venue": "demo", "limit": 10},
            ),
            RouteSpec(
                "GET", "/api/market/coverage", self.coverage, "listCoverage", CoverageQuery, answer=CoverageAnswer,
                budget="heavy", is_kept=self.has_coverage,
            ),
        ]  # fmt: skip
        return [route._replace(bare=True) for route in for_readers(routes)]

    async def candles(self, call: Call, query: CandlesQuery) -> Response:
        """List cached candles, oldest first, with the gaps between them."""
        return await self._sim.database.run(self._page, query)

    async def coverage(self, call: Call, query: CoverageQuery) -> Response:
        """List the cached series."""
        series = await self._sim.database.run(coverage, self._sim.calendars, query.venue, query.symbol, query.timeframe)
        return json_response(CoverageAnswer(coverage=[SeriesAnswer.of(row) for row in series]))

    async def has_coverage(self, call: Call, query: CoverageQuery) -> bool:
        """Whether few candles have to be counted."""
        asked = query.venue, query.symbol, query.timeframe
        return await self._sim.database.run(is_quick, self._sim.calendars, *asked)

    async def _page(self, connection: Connection, query: CandlesQuery) -> Response:
        venue, symbol, timeframe = query.venue or self._settings.venue, query.symbol, query.timeframe
        end_ms = _END_OF_TIME if query.end_ms is None else query.end_ms
        rows = await cache.window(connection, venue, [symbol], timeframe, query.start_ms - 1, end_ms, query.limit + 1)
        page, more = rows[: query.limit], rows[query.limit :]
        next_ms = more[0].open_time_ms if more else None
        from_ms = query.start_ms or (page[0].open_time_ms if page else query.start_ms)
        to_ms = next_ms or query.end_ms or (page[-1].close_time_ms if page else from_ms)
        gaps = await self._gaps(connection, venue, symbol, timeframe, from_ms, to_ms)
        candles_json = ",".join(map(_candle_json, page))
        gaps_json = ",".join(gap.model_dump_json(by_alias=True) for gap in gaps)
        next_json = "null" if next_ms is None else next_ms
        return json_text_response(f'{{"candles":[{candles_json}],"nextStartMs":{next_json},"gaps":[{gaps_json}]}}')

    async def _gaps(
        self, connection: Connection, venue: str, symbol: str, timeframe: str, from_ms: int, to_ms: int
    ) -> list[GapAnswer]:
        calendar = self._sim.calendars.get(venue)
        gaps, _ = await find_gaps(connection, venue, [symbol], timeframe, from_ms, to_ms, _MAX_GAPS, calendar)
        covered = await cache.fetched_ranges(connection, venue, symbol, timeframe) if gaps else []
        return [
            GapAnswer(from_ms=part.from_ms, to_ms=part.to_ms, missing=part.missing, reason=reason)
            for reason, part in gap_reasons(gaps, covered)
        ]


def _candle_json(candle: Candle) -> str:
    """Return a candle as JSON text, its numbers exact."""
    names = ("open", "high", "low", "close", "volume")
    numbers = ",".join(f'"{name}":{format_decimal(value)}' for name, value in zip(names, candle[4:9], strict=True))
    return f'{{"openTimeMs":{candle.open_time_ms},"closeTimeMs":{candle.close_time_ms},{numbers}}}'
