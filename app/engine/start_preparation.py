"""Before a session first runs: fetch and build missing candles, and report those that are still missing."""

from __future__ import annotations

from collections.abc import Mapping

from app.candles.cache.aggregate import build_missing
from app.candles.cache.calendar import Calendar
from app.candles.cache.load import require_candles
from app.candles.sources.source import SourceUnavailableError, VenueSource
from app.clock import Clock
from app.db import candles, sessions
from app.db.pool import Connection, Database
from app.domain.session import Session
from app.engine.supervisor import Supervisor
from app.errors import BadInputError, MissingCandlesError, SimError

FETCH_S = 10.0
"""Seconds that a start waits for missing candles to be fetched."""


class StartPreparation:
    """Fetches and builds the candles of sessions before they run."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        sources: Mapping[str, VenueSource],
        calendars: Mapping[str, Calendar],
        supervisor: Supervisor | None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._sources = sources
        self._calendars = calendars
        self._supervisor = supervisor

    async def prepare(self, session: Session) -> None:
        """Fetch and build the missing candles of a session; the session fails if it cannot run.

        Raises `MissingCandlesError`, `SourceUnavailableError` or `BadInputError`.
        """
        try:
            await self._require_candles(session)
        except (MissingCandlesError, SourceUnavailableError, BadInputError) as error:
            await self._fail(session, error)
            raise

    async def _require_candles(self, session: Session) -> None:
        """Fetch and build missing candles; raises `MissingCandlesError` if gaps remain and the gap policy is `fail`.

        A fetch that takes longer than `FETCH_S` continues after the start; the session then handles gaps as it runs.
        """
        if self._supervisor is None and session.spec.venue in self._sources:
            return
        job = self._supervisor.candle_feed.job_for(session) if self._supervisor else None
        if job is not None and not await job.done.wait(FETCH_S):
            return
        if job is not None and job.error is not None:
            raise job.error
        await self._database.run(self._build, session)
        if session.spec.gap_policy == "fail":
            await self._database.run(self._require_no_gaps, session)

    async def _fail(self, session: Session, error: SimError) -> None:
        if self._supervisor is not None:
            self._supervisor.candle_feed.release(session.id)
        await self._database.run(
            sessions.transition,
            session.id,
            "fail",
            reason=error.code or "failed",
            by=session.user_id,
            epoch=session.epoch,
            error=error.message,
            error_details=error.details,
        )

    async def _build(self, connection: Connection, session: Session) -> None:
        """Build missing candles of the warm-up and of the rest of the range from stored finer ones."""
        spec = session.spec
        from_ms = spec.warmup_ms if session.cursor_ms is None else session.cursor_ms + 1
        to_ms = spec.grid.floor(self._clock.now_ms())
        to_ms = to_ms if spec.end_ms is None else min(to_ms, spec.end_ms)
        for symbol in spec.symbols if from_ms < to_ms else ():
            await build_missing(connection, spec.venue, symbol, spec.timeframe, from_ms, to_ms)

    async def _require_no_gaps(self, connection: Connection, session: Session) -> None:
        """Raise `MissingCandlesError` for gaps in the rest of the range, up to slots that closed `gap_grace_ms` ago.

        An endless session waits for candles after the last one of a symbol, so only gaps before it count.
        """
        spec = session.spec
        from_ms = spec.start_ms if session.cursor_ms is None else session.cursor_ms + 1
        to_ms = spec.grid.floor(self._clock.now_ms() - spec.gap_grace_ms)
        calendar = self._calendars.get(spec.venue)
        if spec.end_ms is not None:
            to_ms = max(from_ms, min(to_ms, spec.end_ms))
            await require_candles(connection, spec.venue, spec.symbols, spec.timeframe, from_ms, to_ms, calendar)
            return
        for symbol in spec.symbols:
            last = await candles.last_before(connection, spec.venue, symbol, spec.timeframe, to_ms)
            if last:
                last_ms = max(from_ms, last[0].open_time_ms)
                await require_candles(connection, spec.venue, [symbol], spec.timeframe, from_ms, last_ms, calendar)
