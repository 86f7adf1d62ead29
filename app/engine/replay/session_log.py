"""What the runner of one session reads and writes in the database while it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from app.db import sessions
from app.db.chunks import Chunk
from app.db.pool import Connection, Database
from app.domain.session import RUNNING, Session
from app.engine.replay.snapshots import NewSnapshot, Snapshots
from app.engine.replay.writer import SessionLostError, Writer
from app.errors import SimError, UnavailableError

RETRY_S = 0.5
"""How long to wait before the database is asked again after it was unavailable."""

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger(__name__)


class SessionLog:
    """One session's way into the log: a chunk at a time, the snapshot taken with it, and changes of status.

    Every change carries the session's epoch, so nothing is written once another runner has claimed the session.
    """

    def __init__(
        self, session: Session, *, runner: str, database: Database, writer: Writer, snapshots: Snapshots
    ) -> None:
        self._session = session
        self._runner = runner
        self._database = database
        self._writer = writer
        self._snapshots = snapshots
        self._pending: asyncio.Future[None] | None = None
        self._snapshot: NewSnapshot | None = None

    async def append(self, chunk: Chunk, snapshot: NewSnapshot | None, *, unpaced: bool) -> None:
        """Hand a chunk to the writer once the one before it is in the log; raises what `settle` raises."""
        await self.settle()
        self._pending, self._snapshot = self._writer.append(chunk, unpaced=unpaced), snapshot

    async def settle(self) -> None:
        """Wait until the chunk handed over is in the log, and store the snapshot taken with it.

        Raises `SessionLostError` when the log refused it, or `SimError` when Postgres refused its data.
        """
        pending, self._pending = self._pending, None
        snapshot, self._snapshot = self._snapshot, None
        if pending is not None:
            await pending
        if snapshot is not None:
            await self._snapshots.store(self._session, snapshot)

    def abandon(self) -> None:
        """Stop waiting for the chunk handed over; what became of it stands in the log."""
        if self._pending is not None:
            self._pending.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def read_session(self) -> Session:
        """Read the session's row; raises `SessionLostError` when the session is not this runner's any more."""
        row = await self._retry(sessions.get, self._session.id)
        if row.epoch != self._session.epoch or row.status != RUNNING:
            raise SessionLostError
        return row

    async def pause(self, reason: str) -> None:
        """Pause the session once everything handed over is in the log."""
        await self.settle()
        await self._transition("pause", reason)

    async def finish(self) -> None:
        """End the session once everything handed over is in the log."""
        await self.settle()
        await self._transition("finish", "end of range")

    async def fail(self, message: str, details: Any = None) -> None:
        """Let the session fail, whatever becomes of what was handed over."""
        try:
            await self.settle()
        except (SessionLostError, SimError):
            _log.debug("session %s: the last chunk was not written", self._session.id)
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
        """Do something in the database, however long it is unavailable."""
        while True:
            try:
                return await self._database.run(work, *args, **kwargs)
            except UnavailableError:
                await asyncio.sleep(RETRY_S)
