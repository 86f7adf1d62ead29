"""What came of a session over HTTP: its statistics, its equity curve and its log as a file."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from app.db import stats
from app.db.stats import FROM_THE_START, Point, Stats
from app.domain.event import render
from app.domain.number import format_decimal
from app.domain.session import Session
from app.engine.export import MEDIA, encoder, export
from app.engine.session_service import SessionService
from app.settings import Settings
from app.web.http.auth import Authenticator
from app.web.http.parsing import parse, query
from app.web.http.responses import success_text
from app.web.sim.requests import EquityQuery, ExportQuery, NoQuery

_KEPT = 1000
"""Of how many sessions the state of the last statistics is kept, so that the next ask reads only what is new."""
_STEP = 500_000
"""How many events one statement reads at most: a log of millions takes seconds, a statement has a time limit."""


class StatsCalls:
    """The calls that read what came of a session."""

    def __init__(self, sim: SessionService, identity: Authenticator, settings: Settings) -> None:
        self._sim = sim
        self._identity = identity
        self._write_timeout_s = settings.write_timeout_ms / 1000
        self._states: OrderedDict[UUID, tuple[int, str]] = OrderedDict()

    async def stats(self, request: Request) -> Response:
        """Compute the statistics of a session, while it runs too; figures without a meaning are null."""
        session = await self._session(request)
        parse(NoQuery, query(request))
        seq, state = self._states.get(session.id, (0, FROM_THE_START))
        found = await self._step(session.id, seq, state)
        while found.figures["seq"] < session.last_seq:
            found = await self._step(session.id, found.figures["seq"], found.state)
        return success_text(spelled(found))

    async def _step(self, session_id: UUID, seq: int, state: str) -> Stats:
        """Go on from a state at a seq by one step, and keep the state reached."""
        found = await self._sim.database.run(stats.stats, session_id, state, seq + _STEP)
        self._states[session_id] = (found.figures["seq"], found.state)
        self._states.move_to_end(session_id)
        if len(self._states) > _KEPT:
            self._states.popitem(last=False)
        return found

    async def equity(self, request: Request) -> Response:
        """Draw the equity curve in few points: its ends, highs and lows, or faster a sample spread evenly."""
        session = await self._session(request)
        wanted = parse(EquityQuery, query(request))
        read = stats.equity_sample if wanted.sample else stats.equity
        found = await self._sim.database.run(read, session.id, wanted.points)
        return success_text(f'{{"points":{_points(found)}}}')

    async def export(self, request: Request) -> Response:
        """Send the events, trades or equity of a session as a file."""
        session = await self._session(request)
        wanted = parse(ExportQuery, query(request))
        written = encoder(wanted.what, wanted.format)
        name = f"{session.id}-{wanted.what}.{wanted.format}"
        return Download(
            export(self._sim.database, session, wanted.what, written),
            media_type=MEDIA[wanted.format],
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            },
            write_timeout_s=self._write_timeout_s,
        )

    async def _session(self, request: Request) -> Session:
        caller = await self._identity.caller(request)
        return await self._sim.get(caller.user_id, request.path_params["id"])


class Download(StreamingResponse):
    """A file sent as it is made; a client that does not read for too long is left, and HEAD gets the headers only."""

    def __init__(self, content: Any, *, write_timeout_s: float, **options: Any) -> None:
        super().__init__(content, **options)
        self._write_timeout_s = write_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        if scope["method"] == "HEAD":
            await Response(headers=dict(self.headers))(scope, receive, send)
            return

        async def in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(self._write_timeout_s):
                    await send(message)
            except TimeoutError:
                scope["state"]["abort"]()

        await super().__call__(scope, receive, in_time)


def spelled(found: Stats) -> str:
    """Spell statistics as the API does: JSON with exact, canonical numbers."""
    return render({to_camel(name): value for name, value in found.figures.items()})


def _points(points: Sequence[Point]) -> str:
    rows = (
        f'{{"seq":{each.seq},"ts":{each.ts},"equity":{format_decimal(each.equity)},"drawdownPct":{format_decimal(each.drawdown_pct)}}}'
        for each in points
    )
    return f"[{','.join(rows)}]"
