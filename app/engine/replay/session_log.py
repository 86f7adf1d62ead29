"""What the session runner reads and writes in the database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from app.db import sessions
from app.db.log.chunks import AppendOutcome, Chunk
from app.db.pool import Connection, Database
from app.domain.session import RUNNING, Session
from app.engine.replay.snapshots import NewSnapshot, Snapshots
from app.engine.replay.writer import SessionLostError, Writer
from app.errors import SimError, UnavailableError
from app.metrics import EngineMetrics

RETRY_S = 0.5
"""Seconds to wait before the next try when the database is unavailable."""

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger(__name__)


class SessionLog:
    """Writes one session's chunks, snapshots and status changes.

    Every change carries the session's epoch, so nothing is written after another runner has claimed the session.
    """

    def __init__(
        self,
        session: Session,
        *,
        runner: str,
        database: Database,
        writer: Writer,
        snapshots: Snapshots,
        metrics: EngineMetrics,
    ) -> None:
        self._session = session
        self._runner = runner
        self._database = database
        self._writer = writer
        self._snapshots = snapshots
        self._metrics = metrics
        self._pending: asyncio.Future[AppendOutcome] | None = None
        self._snapshot: NewSnapshot | None = None
        self.last_seq = session.last_seq
        """The last seq that this server has read or written."""

    async def append(self, chunk: Chunk, snapshot: NewSnapshot | None, *, unpaced: bool) -> None:
        """Pass a chunk to the writer once the one before it is in the log; raises what `settle` raises."""
        await self.settle()
        self.last_seq += chunk.events
        self._pending, self._snapshot = self._writer.append(chunk, unpaced=unpaced), snapshot

    async def settle(self) -> None:
        """Wait until the last chunk is in the log, then store its snapshot.

        Raises `SessionLostError` if the log refused the chunk, or `SimError` if Postgres refused its data.
        """
        pending, self._pending = self._pending, None
        snapshot, self._snapshot = self._snapshot, None
        if pending is not None:
            await pending
        if snapshot is not None:
            await self._snapshots.store(self._session, snapshot)

    def abandon(self) -> None:
        """Stop waiting for the last chunk; the log shows whether it was written."""
        if self._pending is not None:
            self._pending.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def read_session(self) -> Session:
        """Read the session's row; raises `SessionLostError` if the session is no longer this runner's."""
        row = await self._retry(sessions.get, self._session.id)
        if row.epoch != self._session.epoch or row.status != RUNNING:
            raise SessionLostError
        self.last_seq = row.last_seq
        return row

    async def pause(self, reason: str, **error: Any) -> None:
        """Pause the session once the last chunk is in the log, perhaps with an `error` and its `error_details`."""
        await self.settle()
        await self._transition("pause", reason, **error)

    async def finish(self) -> None:
        """Finish the session once the last chunk is in the log."""
        await self.settle()
        await self._transition("finish", "end of range")

    async def fail(self, message: str, details: Any = None) -> None:
        """Mark the session as failed, whether or not the last chunk can be written."""
        try:
            await self.settle()
        except (SessionLostError, SimError):
            _log.debug("session %s: the last chunk was not written", self._session.id)
        _log.info("session %s failed: %s", self._session.id, message)
        self._metrics.failures.inc()
        await self._transition("fail", "failed", error=message, error_details=details)

    async def _transition(self, call: str, reason: str, **error: Any) -> None:
        await self._retry(
            sessions.transition,
            self._session.id,
            call,
            reason=reason,
            by=self._runner,
            epoch=self._session.epoch,
            **error,
        )

    async def _retry(
        self, work: Callable[Concatenate[Connection, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run work in the database, and retry while it is unavailable."""
        while True:
            try:
                return await self._database.run(work, *args, **kwargs)
            except UnavailableError:
                await asyncio.sleep(RETRY_S)
