"""Group commit: write the chunks of all sessions that are ready in one call and one transaction."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

from app.db.log.chunks import AppendOutcome, Chunk, append_chunks
from app.db.pool import Database, DataError
from app.errors import Recovery, SimError, UnavailableError
from app.metrics import EngineMetrics

MAX_CHUNKS = 250
MAX_EVENTS = 1000

_DATA_ERRORS = get_args(DataError)
_BUSY_PAUSE_S = 0.02
_ADMITTED_PER_ROUND = 20
"""Paced sessions that may compute in one round of the event loop; more would block other tasks."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _BatchItem:
    """A chunk to be written, and the future of the session that waits for it."""

    chunk: Chunk
    unpaced: bool
    done: asyncio.Future[AppendOutcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def finish(self, result: AppendOutcome | Exception) -> None:
        """End the future, unless its waiter was cancelled."""
        if self.done.done():
            return
        if isinstance(result, Exception):
            self.done.set_exception(result)
        else:
            self.done.set_result(result)


_Result = tuple[_BatchItem, AppendOutcome | SimError]
"""A chunk, and the log's answer or the error of Postgres about its data."""


class SessionLostError(Exception):
    """The session is no longer this runner's: paused, stopped, deleted, or claimed by another process."""

    recovery = Recovery.REBUILD


class CommandLostError(SessionLostError):
    """The log refused a command, which the state in memory already has."""


class Writer:
    """Writes all chunks of this process; each session has at most one chunk here."""

    def __init__(self, database: Database, metrics: EngineMetrics) -> None:
        self._database = database
        self._metrics = metrics
        self._paced: deque[_BatchItem] = deque()
        self._unpaced: deque[_BatchItem] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._admission_scheduled = False
        self._has_paced = False
        self._wake = asyncio.Event()
        self.problem: str | None = None
        """Why the present batch cannot be written yet; null if it can."""

    @property
    def has_paced(self) -> bool:
        """Whether the present batch has paced chunks: unpaced sessions should then keep their next chunk short."""
        return self._has_paced

    @property
    def queued(self) -> int:
        """How many chunks wait for the next batch."""
        return len(self._paced) + len(self._unpaced)

    def append(self, chunk: Chunk, *, unpaced: bool = False) -> asyncio.Future[AppendOutcome]:
        """Queue the next chunk of a session; the future ends with the log's outcome when the chunk is in it.

        The future raises `SessionLostError` if the log refused the chunk because the session is no longer this
        runner's, or a `SimError` if Postgres refused the data. After a lost connection or a locked row it tries again.
        """
        item = _BatchItem(chunk, unpaced)
        (self._unpaced if unpaced else self._paced).append(item)
        self._wake.set()
        return item.done

    async def wait_for_turn(self) -> None:
        """Wait until a paced session may compute its next tick, so that ticks are computed as fast as written."""
        if self._waiting or len(self._paced) >= _ADMITTED_PER_ROUND:
            admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(admitted)
            self._schedule_admission()
            await admitted

    async def run(self) -> None:
        """Write until cancelled: send each batch before the sessions of the last one continue."""
        written: list[_Result] = []
        while True:
            batch = self._next_batch()
            work = asyncio.ensure_future(self._write(batch) if batch else self._wait_for_chunks())
            for item, outcome in written:
                self._report(item, outcome)
            self._schedule_admission()
            written = await work

    async def _wait_for_chunks(self) -> list[_Result]:
        await self._wake.wait()
        self._wake.clear()
        return []

    def _schedule_admission(self) -> None:
        if self._waiting and not self._admission_scheduled:
            self._admission_scheduled = True
            asyncio.get_running_loop().call_soon(self._admit)

    def _admit(self) -> None:
        """Let a few sessions compute, and a few more in each round of the loop, while the next batch has room."""
        room = MAX_CHUNKS - len(self._paced)
        for _ in range(min(_ADMITTED_PER_ROUND, room, len(self._waiting))):
            admitted = self._waiting.popleft()
            if not admitted.done():
                admitted.set_result(None)
        self._admission_scheduled = False
        if room > 0:
            self._schedule_admission()

    def _next_batch(self) -> list[_BatchItem]:
        """Take the next batch: at most `MAX_CHUNKS` and `MAX_EVENTS`; beside paced chunks unpaced ones get half."""
        batch: list[_BatchItem] = []
        events = _fill(batch, self._paced, MAX_CHUNKS, MAX_EVENTS)
        self._has_paced = bool(batch)
        share = 2 if batch else 1
        _fill(
            batch,
            self._unpaced,
            min(MAX_CHUNKS // share, MAX_CHUNKS - len(batch)),
            min(MAX_EVENTS // share, MAX_EVENTS - events),
        )
        return batch

    async def _write(self, batch: Sequence[_BatchItem]) -> list[_Result]:
        """Write a batch; if its data is refused, halve it until only the chunk at fault is left."""
        try:
            outcomes = await self._append([item.chunk for item in batch])
        except _DATA_ERRORS as error:
            if len(batch) == 1:
                reason = str(error).partition("\n")[0]
                return [(batch[0], SimError(f"Postgres refused the tick: {reason}"))]
            middle = len(batch) // 2
            return await self._write(batch[:middle]) + await self._write(batch[middle:])
        self._count(batch, outcomes)
        return list(zip(batch, outcomes, strict=True))

    def _count(self, batch: Sequence[_BatchItem], outcomes: Sequence[AppendOutcome]) -> None:
        written = [item.chunk for item, outcome in zip(batch, outcomes, strict=True) if outcome.answer == "written"]
        self._metrics.ticks.inc(sum([chunk.ticks for chunk in written]))
        self._metrics.events.inc(sum([chunk.events for chunk in written]))

    async def _append(self, chunks: Sequence[Chunk]) -> list[AppendOutcome]:
        """Send chunks until there is an answer; if a commit without an answer wrote a chunk, its outcome is `done`."""
        pause_s = 0.05
        while True:
            started_s = time.perf_counter()
            try:
                outcomes = await self._database.run(append_chunks, chunks)
                self._metrics.commit.observe(time.perf_counter() - started_s)
                self.problem = None
                return outcomes
            except UnavailableError as error:
                self.problem = error.message
                self._metrics.append_retries.inc()
                _log.warning("%s %d chunks wait to be written", error.message, len(chunks))
                await asyncio.sleep(pause_s)
                pause_s = min(1, 2 * pause_s)

    def _report(self, item: _BatchItem, outcome: AppendOutcome | SimError) -> None:
        if isinstance(outcome, SimError):
            item.finish(outcome)
        elif outcome.answer == "refused":
            item.finish(SessionLostError())
        elif outcome.answer == "busy":
            asyncio.get_running_loop().call_later(_BUSY_PAUSE_S, self._retry, item)
        else:
            item.finish(outcome)

    def _retry(self, item: _BatchItem) -> None:
        (self._unpaced if item.unpaced else self._paced).append(item)
        self._wake.set()


def _fill(batch: list[_BatchItem], queue: deque[_BatchItem], max_chunks: int, max_events: int) -> int:
    """Move items from a queue to a batch up to both limits, but at least one; returns the number of their events."""
    chunks = events = 0
    while queue:
        more = queue[0].chunk.events
        if chunks and (chunks + 1 > max_chunks or events + more > max_events):
            break
        batch.append(queue.popleft())
        chunks += 1
        events += more
    return events
