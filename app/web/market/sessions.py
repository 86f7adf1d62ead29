"""Market sessions over HTTP: the same sessions, logs and streams, shown as candles and statuses only."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import ASGIApp

from app.db import sessions
from app.domain.session import CREATED, FAILED, PAUSED, STOPPED, Session
from app.engine.session_service import Action, SessionService
from app.settings import Settings
from app.web.http.models import EmptyRequest
from app.web.http.parsing import fingerprint, idempotency_key
from app.web.http.responses import IF_NONE_MATCH, json_response, with_etag
from app.web.http.route_spec import (
    EVENT_STREAM,
    IDEMPOTENCY_KEY,
    LAST_EVENT_ID,
    Call,
    RouteGroup,
    RouteSpec,
    for_readers,
)
from app.web.market.dialect import MARKET, market_status
from app.web.market.session_schemas import (
    MarketSessionAnswer,
    MarketSessionsAnswer,
    MarketSessionsQuery,
    MarketStatusAnswer,
    MarketStreamQuery,
    NewMarketAnswer,
    NewMarketSession,
)
from app.web.sim.log import LogCalls

_SESSIONS = "/api/market/sessions"
_NEW_SESSION = {
    "symbols": ["BTCUSDT"],
    "timeframe": "1m",
    "start": "2024-01-01T00:00:00Z",
    "end": "2024-01-02T00:00:00Z",
    "speed": 100,
    "venue": "demo",
}
_NOT_RUNNING = (CREATED, PAUSED, STOPPED, FAILED)


class MarketCalls(RouteGroup):
    """The calls under `/api/market/sessions`."""

    tag = "market"

    def __init__(self, sim: SessionService, log: LogCalls, settings: Settings) -> None:
        self._sim = sim
        self._log = log
        self._settings = settings

    def routes(self) -> list[RouteSpec]:
        """Return the routes of these calls."""
        one, status, path = MarketSessionAnswer, MarketStatusAnswer, f"{_SESSIONS}/{{id:uuid}}"
        routes = [
            RouteSpec(
                "GET", _SESSIONS, self.market_page, "listMarketSessions", MarketSessionsQuery,
                answer=MarketSessionsAnswer,
            ),
            RouteSpec(
                "POST", _SESSIONS, self.create_market, "createMarketSession", body=NewMarketSession,
                answer=NewMarketAnswer, status=201, headers=(IDEMPOTENCY_KEY,), refusals=(422,), example=_NEW_SESSION,
            ),
            RouteSpec("GET", path, self.market_get, "getMarketSession", answer=one, headers=(IF_NONE_MATCH,)),
            RouteSpec(
                "POST", f"{path}/start", self.market_start, "startMarketSession", body=EmptyRequest, answer=status,
                refusals=(409, 422),
            ),
            RouteSpec(
                "POST", f"{path}/stop", self.market_stop, "stopMarketSession", body=EmptyRequest, answer=status,
                refusals=(409,),
            ),
            RouteSpec(
                "GET", f"{path}/stream", self.market_stream, "streamMarketSession", MarketStreamQuery,
                media=EVENT_STREAM, headers=(LAST_EVENT_ID,), budget="stream",
            ),
        ]  # fmt: skip
        return [route._replace(kind="market", bare=True) for route in for_readers(routes)]

    async def create_market(self, call: Call, body: NewMarketSession) -> Response:
        """Create a market session, or return the one created with the same key."""
        key = idempotency_key(call.request, {})
        session, is_new = await self._sim.create(
            call.user_id, body.spec(self._settings), key=key, request_hash=fingerprint("market", call.json)
        )
        return json_response(NewMarketAnswer(session_id=session.id), 201 if is_new else 200)

    async def market_page(self, call: Call, query: MarketSessionsQuery) -> Response:
        """List the caller's market sessions, newest first."""
        page, cursor = await self._sim.database.run(
            sessions.page, call.user_id, kind="market", limit=query.limit, cursor=query.cursor
        )
        return json_response(MarketSessionsAnswer(sessions=list(map(MarketSessionAnswer.of, page)), next_cursor=cursor))

    async def market_get(self, call: Call) -> Response:
        """Show one market session."""
        return with_etag(call.request, json_response(MarketSessionAnswer.of(call.session)))

    async def market_start(self, call: Call, body: EmptyRequest) -> Response:
        """Start or resume a session at its cursor."""
        return _status(await self._sim.act_on(call.session, Action("start")))

    async def market_stop(self, call: Call, body: EmptyRequest) -> Response:
        """Pause a running session; after the answer no candle follows."""
        if call.session.status in _NOT_RUNNING:
            return _status(call.session)
        return _status(await self._sim.pause(call.session))

    async def market_stream(self, call: Call, query: MarketStreamQuery) -> ASGIApp:
        """Follow candles and statuses as server-sent events."""
        return await self._log.follow(call, MARKET, query)


def _status(session: Session) -> Response:
    return json_response(MarketStatusAnswer(status=market_status(session)))
