"""Fetch missing candles of sessions from the source of their venue: first the range up to now, then each new one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from uuid import UUID

from app.candles.cache.aggregate import build_missing
from app.candles.sources.fetch import fetch_candles
from app.candles.sources.follow import Follower
from app.candles.sources.source import VenueSource
from app.clock import Clock, TimedEvent
from app.db.pool import ConnectionPool, Database
from app.domain.session import Session, SessionSpec
from app.errors import SimError, UnavailableError
from app.tasks import cancel_and_wait

MAX_FETCHES = 4
"""How many series a process fetches at the same time; each takes a connection."""

Series = tuple[str, str, str]
"""Venue, symbol and timeframe."""

_log = logging.getLogger(__name__)


class FetchJob:
    """The candles one session needs from its source, and how many of them have been fetched.

    `done` is set when the range is fetched, or when `error` says why it cannot be. `on_progress` is called whenever
    there may be more candles.
    """

    def __init__(self, spec: SessionSpec, from_ms: int, to_ms: int) -> None:
        self.from_ms = from_ms
        self.to_ms = to_ms
        self.error: SimError | None = None
        self.done = TimedEvent()
        self.on_progress: Callable[[], None] = lambda: None
        self._slot_ms = spec.grid.ms
        self._fetched_to = dict.fromkeys(spec.symbols, from_ms)
        self._remaining = dict.fromkeys(spec.symbols, 0)
        self._total = dict.fromkeys(spec.symbols, 0)

    @property
    def fetched_to_ms(self) -> int:
        """The end (exclusive) of what was fetched for all symbols: a candle before it that is not cached is missing."""
        return min(self._fetched_to.values())

    @property
    def progress(self) -> tuple[int, int] | None:
        """Slots fetched and slots to fetch in total; null when the range is fetched."""
        if self.done.is_set():
            return None
        total = sum(self._total.values())
        return (total - sum(self._remaining.values())) // self._slot_ms, total // self._slot_ms

    def set_progress(self, symbol: str, fetched: int, total: int) -> None:
        """Store how many ms of a symbol's missing ranges have been fetched."""
        self._total[symbol], self._remaining[symbol] = total, total - fetched

    def set_fetched(self, symbol: str, to_ms: int) -> None:
        """Store the end of what was fetched for a symbol, and wake the session that waits for it."""
        self._remaining[symbol] = 0
        if to_ms > self._fetched_to[symbol]:
            self._fetched_to[symbol] = to_ms
            self.on_progress()

    def fail(self, error: SimError) -> None:
        """Store the error that ended the fetch, and wake the session."""
        self.error = error
        self.done.set()
        self.on_progress()


class CandleFeed:
    """All fetch jobs of one process; a series is followed once, however many sessions need it."""

    def __init__(self, database: Database, sources: Mapping[str, VenueSource], clock: Clock) -> None:
        self._database = database
        self._sources = sources
        self._clock = clock
        self._connections = ConnectionPool(database.url, size=MAX_FETCHES)
        self._jobs: dict[UUID, tuple[FetchJob, asyncio.Task[None]]] = {}
        self._followers: dict[Series, tuple[set[FetchJob], asyncio.Task[None]]] = {}

    def job_for(self, session: Session) -> FetchJob | None:
        """Return the fetch job of a session, and start it if needed; null for a venue without a source."""
        if session.spec.venue not in self._sources:
            return None
        known = self._jobs.get(session.id)
        if known is not None and known[0].error is None:
            return known[0]
        spec = session.spec
        from_ms = spec.warmup_ms if session.cursor_ms is None else session.cursor_ms + 1
        now_ms = spec.grid.floor(self._clock.now_ms())
        to_ms = now_ms if spec.end_ms is None else min(now_ms, spec.end_ms)
        job = FetchJob(spec, spec.grid.ceil(from_ms), to_ms)
        self._jobs[session.id] = job, asyncio.create_task(self._run(job, spec))
        return job

    def progress(self, session_id: UUID) -> tuple[int, int] | None:
        """Return slots fetched and slots to fetch for a session; null when nothing is being fetched for it."""
        job, _ = self._jobs.get(session_id, (None, None))
        return job.progress if job is not None else None

    def release(self, session_id: UUID) -> None:
        """Stop fetching for a session."""
        job, task = self._jobs.pop(session_id, (None, None))
        if job is None or task is None:
            return
        task.cancel()
        for series, (jobs, following) in list(self._followers.items()):
            jobs.discard(job)
            if not jobs:
                following.cancel()
                del self._followers[series]

    async def close(self) -> None:
        """Stop fetching."""
        tasks = [task for _, task in (*self._jobs.values(), *self._followers.values())]
        for session_id in list(self._jobs):
            self.release(session_id)
        await cancel_and_wait(tasks)
        await self._connections.close()

    async def _run(self, job: FetchJob, spec: SessionSpec) -> None:
        """Fetch the range of a session up to now, all symbols at once, then follow new candles."""
        try:
            await asyncio.gather(*(self._fetch(job, spec, symbol) for symbol in spec.symbols))
        except SimError as error:
            job.fail(error)
            return
        except Exception as error:
            _log.exception("fetching candles failed")
            job.fail(SimError(f"The source of candles failed: {type(error).__name__}."))
            return
        job.done.set()
        if spec.end_ms is None or spec.end_ms > job.to_ms:
            for symbol in spec.symbols:
                self._follow(job, (spec.venue, symbol, spec.timeframe))

    async def _fetch(self, job: FetchJob, spec: SessionSpec, symbol: str) -> None:
        """Build what can be built of one symbol's range and fetch the rest; retry while the database is unavailable."""
        series = (spec.venue, symbol, spec.timeframe)
        while job.from_ms < job.to_ms:
            try:
                await self._database.run(build_missing, *series, job.from_ms, job.to_ms)
                async with self._connections.lend() as conn:
                    await fetch_candles(
                        conn,
                        self._sources[spec.venue],
                        *series,
                        job.from_ms,
                        job.to_ms,
                        lambda fetched, total: job.set_progress(symbol, fetched, total),
                        clock=self._clock,
                        reached=lambda to_ms: job.set_fetched(symbol, to_ms),
                    )
                break
            except UnavailableError:
                await asyncio.sleep(1)
        job.set_fetched(symbol, job.to_ms)

    def _follow(self, job: FetchJob, series: Series) -> None:
        if series not in self._followers:
            jobs: set[FetchJob] = set()
            self._followers[series] = jobs, asyncio.create_task(self._follow_series(jobs, series))
        self._followers[series][0].add(job)

    async def _follow_series(self, jobs: set[FetchJob], series: Series) -> None:
        """Keep one series current for some sessions until cancelled."""

        def set_fetched(symbol: str, to_ms: int) -> None:
            for job in jobs:
                job.set_fetched(symbol, to_ms)

        venue, symbol, timeframe = series
        follower = Follower(
            self._connections.lend,
            self._sources[venue],
            venue,
            timeframe,
            on_problem=_warn,
            on_fetched=set_fetched,
            clock=self._clock,
        )
        with suppress(asyncio.CancelledError):
            try:
                await follower.follow([symbol])
            except SimError as error:
                for job in jobs:
                    job.fail(error)


def _warn(symbol: str, sentence: str) -> None:
    _log.warning("%s: %s", symbol, sentence)
