"""Market sessions over HTTP: another face of the same core, log and stream, with candles and statuses only."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from app.db import sessions
from app.domain.session import CREATED, FAILED, PAUSED, STOPPED, Session
from app.engine.session_service import Action, SessionService
from app.errors import NotFoundError
from app.settings import Settings
from app.web.http.auth import Authenticator, Caller
from app.web.http.event_stream import Follow
from app.web.http.parsing import BodyReader, fingerprint, idempotency_key, parse, query
from app.web.http.responses import json_response
from app.web.market.session_schemas import (
    MarketSessionAnswer,
    MarketSessionsAnswer,
    MarketSessionsQuery,
    MarketStatusAnswer,
    MarketStreamQuery,
    NewMarketAnswer,
    NewMarketSession,
    market_status,
    present_status,
)
from app.web.sim.log import LogCalls, nothing_more
from app.web.sim.requests import EmptyRequest

_STANDING = (CREATED, PAUSED, STOPPED, FAILED)
_SHOWN = ["candle", "status"]
"""The events a market stream tells of."""


class MarketCalls:
    """The calls under `/api/market/sessions`."""

    def __init__(self, sim: SessionService, identity: Authenticator, log: LogCalls, settings: Settings) -> None:
        self._sim = sim
        self._identity = identity
        self._log = log
        self._settings = settings
        self._reader = BodyReader(settings)

    async def create_market(self, request: Request) -> Response:
        """Create a market session, or find the one that was created under the same key."""
        caller = await self._identity.caller(request)
        raw = await self._reader.json(request)
        spec = parse(NewMarketSession, raw).spec(self._settings)
        asked = fingerprint("market", raw)
        key = idempotency_key(request, {})
        session, new = await self._sim.create(caller.user_id, spec, key=key, request_hash=asked)
        return json_response(NewMarketAnswer(session_id=session.id), 201 if new else 200)

    async def market_page(self, request: Request) -> Response:
        """List the caller's market sessions, newest first."""
        caller = await self._identity.caller(request)
        wanted = parse(MarketSessionsQuery, query(request))
        found, cursor = await self._sim.database.run(
            sessions.page, caller.user_id, kind="market", limit=wanted.limit, cursor=wanted.cursor
        )
        listed = [MarketSessionAnswer.of(session) for session in found]
        return json_response(MarketSessionsAnswer(sessions=listed, next_cursor=cursor))

    async def market_get(self, request: Request) -> Response:
        """Show one market session."""
        _, session = await self._addressed(request)
        return json_response(MarketSessionAnswer.of(session))

    async def market_start(self, request: Request) -> Response:
        """Begin, or go on from the cursor."""
        caller, session = await self._addressed(request)
        parse(EmptyRequest, await self._reader.json(request))
        return _status(await self._sim.start(caller.user_id, session.id))

    async def market_stop(self, request: Request) -> Response:
        """Hold a running session where it is; no candle follows the answer."""
        caller, session = await self._addressed(request)
        parse(EmptyRequest, await self._reader.json(request))
        if session.status in _STANDING:
            return _status(session)
        return _status(await self._sim.act(caller.user_id, session.id, Action("pause")))

    async def market_stream(self, request: Request) -> ASGIApp:
        """Follow candles and statuses as server-sent events."""
        caller, session = await self._addressed(request)
        wanted = parse(MarketStreamQuery, query(request))
        after_seq = await self._log.beginning(request, session, wanted.from_seq)
        if await self._log.over(session, after_seq, _SHOWN):
            return nothing_more()
        opening = present_status(session)
        follow = Follow(session.id, after_seq, None, session.last_seq, market=True, opening=opening)
        return self._log.follow(caller, follow)

    async def _addressed(self, request: Request) -> tuple[Caller, Session]:
        caller = await self._identity.caller(request)
        session = await self._sim.get(caller.user_id, request.path_params["id"])
        if session.spec.kind != "market":
            raise NotFoundError("There is no such market session.")
        return caller, session


def _status(session: Session) -> Response:
    return json_response(MarketStatusAnswer(status=market_status(session)))
