"""A session's log over HTTP: pages of events, and the stream."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from app.db import events
from app.domain.session import Session
from app.engine.clock import Clock
from app.engine.session_service import SessionService
from app.engine.streaming.hub import Hub
from app.errors import BadInputError
from app.settings import Settings
from app.web.http.auth import Authenticator, Caller
from app.web.http.event_stream import EventStream, Follow, Streams
from app.web.http.parsing import parse, query
from app.web.http.responses import success_text
from app.web.sim.requests import MAX_SEQ, EventsQuery, StreamQuery

PAGE = 1000


class LogCalls:
    """The calls that read events."""

    def __init__(
        self, sim: SessionService, identity: Authenticator, hub: Hub, streams: Streams, clock: Clock, settings: Settings
    ) -> None:
        self._sim = sim
        self._identity = identity
        self._hub = hub
        self._streams = streams
        self._clock = clock
        self._settings = settings

    async def events(self, request: Request) -> Response:
        """Read a page of the log; its events are rendered in Postgres and passed on as they are."""
        caller = await self._identity.caller(request)
        wanted = parse(EventsQuery, query(request))
        session = await self._sim.get(caller.user_id, request.path_params["id"])
        after_seq = await self._sim.tail_from(session, wanted.from_seq, wanted.tail, wanted.types)
        limit = wanted.limit or max(1, PAGE if wanted.tail is None else wanted.tail)
        page = await self._sim.database.run(events.page, session.id, after_seq + 1, limit, wanted.types)
        last_seq = max(session.last_seq, page.last_seq or 0)
        looked_to = page.last_seq if page.events == limit and page.last_seq is not None else last_seq
        return success_text(f'{{"events":{page.body},"lastSeq":{last_seq},"nextFromSeq":{looked_to + 1}}}')

    async def stream(self, request: Request) -> ASGIApp:
        """Follow the log as server-sent events."""
        caller = await self._identity.caller(request)
        wanted = parse(StreamQuery, query(request))
        session = await self._sim.get(caller.user_id, request.path_params["id"])
        after_seq = await self.beginning(request, session, wanted.from_seq, wanted.tail, wanted.types)
        if await self.over(session, after_seq, wanted.types):
            return nothing_more()
        return self.follow(caller, Follow(session.id, after_seq, wanted.types, session.last_seq))

    def follow(self, caller: Caller, follow: Follow) -> ASGIApp:
        """Return the response that follows a session; raises `TooManyRequestsError`."""
        self._streams.require_room()
        return EventStream(
            follow,
            partial(self._identity.still, caller),
            hub=self._hub,
            streams=self._streams,
            clock=self._clock,
            settings=self._settings,
        )

    async def beginning(
        self,
        request: Request,
        session: Session,
        from_seq: int,
        tail: int | None = None,
        types: list[str] | None = None,
    ) -> int:
        """Return the seq behind which to begin: the last one seen, where a client comes back."""
        seen = request.headers.get("last-event-id")
        if not seen:
            return await self._sim.tail_from(session, from_seq, tail, types)
        if not (seen.isascii() and seen.isdecimal() and len(seen) <= 19 and int(seen) <= MAX_SEQ):
            raise BadInputError("Last-Event-ID: must be the seq of an event")
        return await self._sim.tail_from(session, int(seen) + 1, None, types)

    async def over(self, session: Session, after_seq: int, types: list[str] | None) -> bool:
        """Whether a session has ended and shows no event behind a seq, so that a browser may stop asking."""
        if not session.ended or after_seq >= session.last_seq:
            return session.ended
        if types is None:
            return False
        page = await self._sim.database.run(events.page, session.id, after_seq + 1, 1, types)
        return page.events == 0


def nothing_more() -> Response:
    """Tell an EventSource that asks behind the end of a log to stop asking."""
    return Response(status_code=204, headers={"Cache-Control": "no-store"})
