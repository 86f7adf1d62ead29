"""Commands for sessions that are created or paused: this process takes the session's epoch as a lease to apply them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from app.candles.cache.calendar import Calendar, add_trading_hours
from app.db import sessions
from app.db.commands import StoredCommand
from app.db.pool import Database
from app.domain.session import Session
from app.engine.replay.code_check import CodeChecks
from app.engine.replay.command_writer import CommandQueue, CommandWriter
from app.engine.replay.snapshots import Snapshots
from app.engine.replay.writer import SessionLostError
from app.errors import CodeChangedError, NotFoundError, SimError, StrategyProcessLostError, UnavailableError
from app.tasks import cancel_and_wait

_MAX_HELD = 10_000
_RETRY_S = 0.5
_MAX_FAILURES = 3
_log = logging.getLogger(__name__)


class Leases:
    """The leases of this process. A lease stands until somebody starts or stops the session, or this process ends."""

    def __init__(
        self,
        database: Database,
        snapshots: Snapshots,
        writer: CommandWriter,
        calendars: Mapping[str, Calendar],
        code_checks: CodeChecks,
        owner: Callable[[], tuple[str, int]],
    ) -> None:
        self._database = database
        self._snapshots = snapshots
        self._writer = writer
        self._calendars = calendars
        self._code_checks = code_checks
        self._owner = owner
        self._held: dict[UUID, Session] = {}
        self._queues: dict[UUID, CommandQueue] = {}
        self._tasks: dict[UUID, asyncio.Task[None]] = {}

    def holds(self, session_id: UUID) -> bool:
        """Whether this process has taken the lease of a session; it may have lost it since."""
        return session_id in self._held or session_id in self._tasks

    def put(self, session_id: UUID, new: Sequence[StoredCommand]) -> None:
        """Apply commands, and those in the table if none are given; other processes keep the sessions they have."""
        queue = self._queues.setdefault(session_id, CommandQueue())
        queue.put(new)
        queue.unread = queue.unread or not new
        if session_id not in self._tasks:
            self._tasks[session_id] = asyncio.ensure_future(self._apply(session_id, queue))

    async def close(self) -> None:
        """Stop; what is not applied waits in the table."""
        await cancel_and_wait(self._tasks.values())

    def drop(self, session_id: UUID) -> None:
        """Forget a lease: the session's status was changed."""
        self._held.pop(session_id, None)

    async def _apply(self, session_id: UUID, queue: CommandQueue) -> None:
        """Apply the waiting commands of a session; never raises."""
        try:
            await self._apply_with_retries(session_id, queue)
        except NotFoundError:
            _log.debug("session %s is deleted", session_id)
        except Exception:
            _log.exception("session %s: a command could not be applied", session_id)
        finally:
            del self._tasks[session_id], self._queues[session_id]

    async def _apply_with_retries(self, session_id: UUID, queue: CommandQueue) -> None:
        failures = 0
        while queue:
            try:
                session = await self._lease(session_id)
                if session is None:
                    return
                await self._apply_all(session, queue)
            except SessionLostError:
                self.drop(session_id)
            except StrategyProcessLostError as error:
                failures += 1
                if failures >= _MAX_FAILURES:
                    await self._refuse_all(session_id, queue, error)
            except UnavailableError as error:
                _log.warning("session %s: a command waits: %s", session_id, error.message)
                await asyncio.sleep(_RETRY_S)

    async def _lease(self, session_id: UUID) -> Session | None:
        """Return the session with the epoch of the lease; null if another process has it, or it has ended."""
        held = self._held.get(session_id)
        if held is not None:
            return held
        session = await self._database.run(sessions.lease, session_id, self._owner())
        if session is None:
            return None
        session = add_trading_hours(session, self._calendars.get(session.spec.venue))
        while len(self._held) >= _MAX_HELD:
            del self._held[next(iter(self._held))]
        self._held[session_id] = session
        return session

    async def _apply_all(self, session: Session, queue: CommandQueue) -> None:
        """Apply all waiting commands; those that this process cannot apply are refused, with the reason."""
        try:
            async with self._snapshots.resume(session) as resumed:
                while (stored := await queue.next(self._database, session.id)) is not None:
                    try:
                        await self._writer.write(session, resumed.state, resumed.host, stored)
                    except BaseException:
                        queue.forget(stored)
                        self.drop(session.id)
                        raise
                    self._held[session.id] = session = _at(session, resumed.state.commands)
        except UnavailableError:
            raise
        except CodeChangedError:
            self.drop(session.id)
            try:
                await self._code_checks.require_equal(session, self._owner()[0])
            except SimError as error:
                await self._refuse_all(session.id, queue, error)
        except SimError as error:
            await self._refuse_all(session.id, queue, error)

    async def _refuse_all(self, session_id: UUID, queue: CommandQueue, error: SimError) -> None:
        while (stored := await queue.next(self._database, session_id)) is not None:
            await self._writer.refuse(stored, error)


def _at(session: Session, commands: int) -> Session:
    return session if session.commands == commands else replace(session, commands=commands)
