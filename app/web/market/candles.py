"""Cached candles over HTTP: what there is, what is missing and why, read only."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.candles.load import coverage, find_gaps
from app.candles.reasons import gap_reasons
from app.db import candles as cache
from app.db.pool import Connection
from app.domain.market.candle import Candle
from app.domain.number import format_decimal as spelled
from app.engine.session_service import SessionService
from app.settings import Settings
from app.web.http.auth import Authenticator
from app.web.http.parsing import parse, query
from app.web.http.responses import json_response, plain_text
from app.web.market.candle_schemas import CandlesQuery, CoverageAnswer, CoverageQuery, GapAnswer, SeriesAnswer

_LISTED = 100
_END_OF_TIME = 2**62


class CandleCalls:
    """The calls `/api/market/candles` and `/api/market/coverage`."""

    def __init__(self, sim: SessionService, identity: Authenticator, settings: Settings) -> None:
        self._sim = sim
        self._identity = identity
        self._settings = settings

    async def candles(self, request: Request) -> Response:
        """List cached candles, oldest first, with the gaps between them."""
        await self._identity.caller(request)
        wanted = parse(CandlesQuery, query(request))
        return await self._sim.database.run(self._page, wanted)

    async def coverage(self, request: Request) -> Response:
        """List what is cached."""
        await self._identity.caller(request)
        wanted = parse(CoverageQuery, query(request))
        key = wanted.venue, wanted.symbol, wanted.timeframe
        found = await self._sim.database.run(coverage, self._sim.calendars, *key)
        return json_response(CoverageAnswer(coverage=[SeriesAnswer.of(each) for each in found]))

    async def _page(self, connection: Connection, wanted: CandlesQuery) -> Response:
        venue, symbol, timeframe = wanted.venue or self._settings.venue, wanted.symbol, wanted.timeframe
        end_ms = _END_OF_TIME if wanted.end_ms is None else wanted.end_ms
        found = await cache.window(
            connection, venue, [symbol], timeframe, wanted.start_ms - 1, end_ms, wanted.limit + 1
        )
        page, more = found[: wanted.limit], found[wanted.limit :]
        next_ms = more[0].open_time_ms if more else None
        from_ms = wanted.start_ms or (page[0].open_time_ms if page else wanted.start_ms)
        to_ms = next_ms or wanted.end_ms or (page[-1].close_time_ms if page else from_ms)
        gaps = await self._gaps(connection, venue, symbol, timeframe, from_ms, to_ms)
        listed = ",".join(map(_candle, page))
        told = ",".join(gap.model_dump_json(by_alias=True) for gap in gaps)
        following = "null" if next_ms is None else next_ms
        return plain_text(f'{{"candles":[{listed}],"nextStartMs":{following},"gaps":[{told}]}}')

    async def _gaps(
        self, connection: Connection, venue: str, symbol: str, timeframe: str, from_ms: int, to_ms: int
    ) -> list[GapAnswer]:
        calendar = self._sim.calendars.get(venue)
        found, _ = await find_gaps(connection, venue, [symbol], timeframe, from_ms, to_ms, _LISTED, calendar)
        asked = await cache.asked_ranges(connection, venue, symbol, timeframe) if found else []
        return [
            GapAnswer(from_ms=part.from_ms, to_ms=part.to_ms, missing=part.missing, reason=reason)
            for reason, part in gap_reasons(found, asked)
        ]


def _candle(candle: Candle) -> str:
    """Spell a candle as JSON; its numbers stay exact."""
    names = ("open", "high", "low", "close", "volume")
    numbers = ",".join(f'"{name}":{spelled(value)}' for name, value in zip(names, candle[4:9], strict=True))
    return f'{{"openTimeMs":{candle.open_time_ms},"closeTimeMs":{candle.close_time_ms},{numbers}}}'
