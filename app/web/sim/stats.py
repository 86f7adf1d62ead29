"""Results of a session over HTTP: statistics, equity curve, and the log as a file."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from pydantic.alias_generators import to_camel
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.db import audit
from app.db.log import stats
from app.db.log.stats import FROM_THE_START, Point, Stats
from app.domain.event import render
from app.domain.number import format_decimal
from app.engine.export import MEDIA, encoder, export
from app.engine.kept_figures import FEW_EVENTS, is_kept, keep_figures
from app.engine.session_service import SessionService
from app.errors import NotFoundError
from app.settings import Settings
from app.web.http.auth import Authenticator
from app.web.http.models import NoQuery
from app.web.http.request_id import audit_origin
from app.web.http.responses import success_text
from app.web.http.route_spec import SESSION, Call, RouteGroup, RouteSpec
from app.web.http.validity import WhileValid
from app.web.sim.answers import EquityAnswer, StatsAnswer
from app.web.sim.requests import EquityQuery, ExportQuery

_REMEMBERED = 1000
"""Number of sessions whose last statistics are remembered, so that the next call reads only new events."""


class StatsCalls(RouteGroup):
    """The calls that read a session's results."""

    tag = "log"

    def __init__(self, sim: SessionService, authenticator: Authenticator, settings: Settings) -> None:
        self._sim = sim
        self._authenticator = authenticator
        self._heartbeat_s = settings.heartbeat_ms / 1000
        self._write_timeout_s = settings.write_timeout_ms / 1000
        self._states: OrderedDict[UUID, tuple[int, str]] = OrderedDict()

    def routes(self) -> list[RouteSpec]:
        """Return the routes of these calls."""
        return [
            RouteSpec(
                "GET", f"{SESSION}/stats", self.stats, "getStats", NoQuery, answer=StatsAnswer, scope="share",
                budget="heavy", is_kept=self.has_stats,
            ),
            RouteSpec(
                "GET", f"{SESSION}/equity", self.equity, "getEquity", EquityQuery, answer=EquityAnswer, scope="share",
                budget="heavy", is_kept=self.has_curve,
            ),
            RouteSpec(
                "GET", f"{SESSION}/export", self.export, "exportLog", ExportQuery, media=", ".join(MEDIA.values()),
                scope="read", budget="heavy", example={"what": "trades", "format": "csv"},
            ),
        ]  # fmt: skip

    async def stats(self, call: Call, query: NoQuery) -> Response:
        """Compute the statistics of a session, also while it runs; undefined figures are null."""
        session = call.session
        seq, state = self._states.get(session.id, (0, FROM_THE_START))
        if session.last_seq - seq > FEW_EVENTS:
            await keep_figures(self._sim.database, session.id, session.last_seq)
            state = FROM_THE_START  # Postgres continues from what is kept.
        result = await self._sim.database.run(stats.stats, session.id, state)
        self._states[session.id] = (result.figures["seq"], result.state)
        self._states.move_to_end(session.id)
        if len(self._states) > _REMEMBERED:
            self._states.popitem(last=False)
        return success_text(stats_json(result))

    async def has_stats(self, call: Call, query: NoQuery) -> bool:
        """Whether few events came after those whose statistics are remembered or kept."""
        seq, _ = self._states.get(call.session.id, (0, FROM_THE_START))
        return call.session.last_seq - seq <= FEW_EVENTS or await self._is_kept(call)

    async def equity(self, call: Call, query: EquityQuery) -> Response:
        """Return the equity curve in few points: its ends, highs and lows; or, faster, an evenly spread sample."""
        read = stats.equity_sample if query.sample else stats.equity
        if not query.sample:
            await keep_figures(self._sim.database, call.session.id, call.session.last_seq)
        points = await self._sim.database.run(read, call.session.id, query.points)
        return success_text(f'{{"points":{_points_json(points)}}}')

    async def has_curve(self, call: Call, query: EquityQuery) -> bool:
        """Whether the curve is a sample, or few events came after those whose curve is kept."""
        return query.sample or await self._is_kept(call)

    async def _is_kept(self, call: Call) -> bool:
        return await is_kept(self._sim.database, call.session.id, call.session.last_seq)

    async def export(self, call: Call, query: ExportQuery) -> ASGIApp:
        """Send the events, trades or equity of a session as a file."""
        session = call.session
        encode = encoder(query.what, query.format)
        if call.request.method == "GET":
            await self._sim.database.run(
                audit.record, audit_origin(call.request), call.user_id, "session.export", session.id, query.model_dump()
            )
        name = f"{session.id}-{query.what}.{query.format}"
        download = Download(
            export(self._sim.database, session, query.what, encode),
            media_type=MEDIA[query.format],
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            },
            write_timeout_s=self._write_timeout_s,
        )
        return WhileValid(download, partial(self._may_export, call), self._heartbeat_s)

    async def _may_export(self, call: Call) -> bool:
        """Whether the caller is still valid and the session still exists."""
        if not await self._authenticator.is_still_valid(call.caller):
            return False
        try:
            await self._sim.get(call.user_id, call.session.id)
        except NotFoundError:
            return False
        return True


class Download(StreamingResponse):
    """A file that is sent while it is generated. A client that stops reading is disconnected; HEAD has no body."""

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


def stats_json(result: Stats) -> str:
    """Return statistics as the API's JSON text, with exact, canonical numbers."""
    return render({to_camel(name): value for name, value in result.figures.items()})


def _points_json(points: Sequence[Point]) -> str:
    return f"[{','.join(map(_point_json, points))}]"


def _point_json(point: Point) -> str:
    equity, drawdown_pct = format_decimal(point.equity), format_decimal(point.drawdown_pct)
    return f'{{"seq":{point.seq},"ts":{point.ts},"equity":{equity},"drawdownPct":{drawdown_pct}}}'
