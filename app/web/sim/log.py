"""A session's log over HTTP: pages of events, and the stream."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from app.clock import Clock
from app.db.log import events
from app.domain.session import Session
from app.engine.session_service import SessionService
from app.engine.streaming.hub import Hub
from app.errors import MalformedError, SeqAheadError
from app.settings import Settings
from app.web.http.auth import Authenticator
from app.web.http.dialect import Dialect
from app.web.http.event_stream import EventStream, Streams, Subscription
from app.web.http.responses import success_text
from app.web.http.route_spec import EVENT_STREAM, LAST_EVENT_ID, SESSION, Call, RouteGroup, RouteSpec
from app.web.sim.answers import EventsAnswer
from app.web.sim.requests import MAX_SEQ, EventsQuery, FollowQuery, StreamQuery

PAGE = 1000
SIM = Dialect("sim")


class LogCalls(RouteGroup):
    """The calls that read events."""

    tag = "log"

    def __init__(
        self,
        sim: SessionService,
        authenticator: Authenticator,
        hub: Hub,
        streams: Streams,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._sim = sim
        self._authenticator = authenticator
        self._hub = hub
        self._streams = streams
        self._clock = clock
        self._settings = settings

    def routes(self) -> list[RouteSpec]:
        """Return the routes of these calls."""
        return [
            RouteSpec(
                "GET", f"{SESSION}/events", self.events, "listEvents", EventsQuery, answer=EventsAnswer, scope="share",
                example={"fromSeq": 1, "limit": 100, "types": ["candle", "trade"]},
            ),
            RouteSpec(
                "GET", f"{SESSION}/stream", self.stream, "streamEvents", StreamQuery, media=EVENT_STREAM,
                scope="share", headers=(LAST_EVENT_ID,), budget="stream",
            ),
        ]  # fmt: skip

    async def events(self, call: Call, query: EventsQuery) -> Response:
        """Read a page of the log."""
        # Postgres renders the events; they are passed on as they are.
        session = call.session
        after_seq = await self._sim.tail_from(session, query.from_seq, query.tail, query.types)
        limit = query.limit or max(1, PAGE if query.tail is None else query.tail)
        page = await self._sim.database.run(events.page, session.id, after_seq + 1, limit, query.types)
        last_seq = max(session.last_seq, page.last_seq or 0)
        read_to = page.last_seq if page.events == limit and page.last_seq is not None else last_seq
        return success_text(f'{{"events":{page.body},"lastSeq":{last_seq},"nextFromSeq":{read_to + 1}}}')

    async def stream(self, call: Call, query: StreamQuery) -> ASGIApp:
        """Follow the log as server-sent events."""
        return await self.follow(call, SIM, query)

    async def follow(self, call: Call, dialect: Dialect, query: FollowQuery) -> ASGIApp:
        """Return the response that follows the call's session in a dialect.

        Raises `SeqAheadError` or `MalformedError`.
        """
        session, types = call.session, query.types if isinstance(query, StreamQuery) else None
        after_seq = await self._beginning(call.request, session, query)
        if await self._is_over(session, after_seq, types or dialect.types):
            return _nothing_more()
        return EventStream(
            Subscription(call.caller.budget_holder, session, after_seq, dialect, types),
            partial(self._authenticator.is_still_valid, call.caller),
            hub=self._hub,
            streams=self._streams,
            clock=self._clock,
            settings=self._settings,
        )

    async def _beginning(self, request: Request, session: Session, query: FollowQuery) -> int:
        """Return the seq after which to start: for a reconnecting client the last one it saw."""
        tail, types = (query.tail, query.types) if isinstance(query, StreamQuery) else (None, None)
        seen = _last_seen(request, query.last_event_id)
        if seen is None:
            return await self._sim.tail_from(session, query.from_seq, tail, types)
        name, seq = seen
        if seq > session.last_seq:
            sentence = f"{name}: {seq} is ahead of the log, which ends at {session.last_seq}"
            raise SeqAheadError(sentence, details={"lastSeq": session.last_seq})
        return seq

    async def _is_over(self, session: Session, after_seq: int, types: Sequence[str] | None) -> bool:
        """Whether a session has ended and shows no event after a seq, so that a browser may stop reconnecting."""
        if not session.ended or after_seq >= session.last_seq:
            return session.ended
        if types is None:
            return False
        page = await self._sim.database.run(events.page, session.id, after_seq + 1, 1, types)
        return page.events == 0


def _last_seen(request: Request, in_query: str) -> tuple[str, int] | None:
    """Return the last seq that a client has seen, and the name of its field; an empty value counts as none.

    The header wins over the query.
    """
    header = request.headers.get(LAST_EVENT_ID)
    name, seen = (LAST_EVENT_ID, header) if header else ("lastEventId", in_query)
    if not seen:
        return None
    if not (seen.isascii() and seen.isdecimal() and len(seen) <= 19 and int(seen) <= MAX_SEQ):
        raise MalformedError(f"{name}: must be the seq of an event")
    return name, int(seen)


def _nothing_more() -> Response:
    """Return the answer that makes an EventSource stop reconnecting."""
    return Response(status_code=204, headers={"Cache-Control": "no-store"})
