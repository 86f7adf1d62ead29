"""A session whose strategies' code has changed goes on if the new code computes the log it has."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

from app.clock import Clock, TimedEvent
from app.db import sessions
from app.db.log import events, snapshots
from app.db.pool import Connection, Database
from app.domain.session import Session
from app.domain.tick import ReplayState
from app.engine.replay.rebuild import BlockEnd, LogComparer, replay
from app.engine.replay.snapshots import KeptStates, ResumedSession, slots_at, slots_done
from app.errors import CodeChangedError, DivergedError, SimError, StrategyFailedError, UnavailableError
from app.strategy_hosts.strategy_catalog import StrategyCatalog
from app.tasks import cancel_and_wait

MAX_CHECKS = 2
"""How many sessions a process recomputes at the same time for this; the others wait."""

_log = logging.getLogger(__name__)


class Difference(NamedTuple):
    """The first event that changed code computes differently: its seq, and the last slot or command before it."""

    seq: int
    details: dict[str, Any]
    equal_to: BlockEnd

    def error(self) -> CodeChangedError:
        """Return the error that says so."""
        sentence = (
            "The strategy's code has changed since the session was started, and gives another log from"
            f" seq {self.seq} on. Bring the old code back, or accept the change to get a fork that goes on from there."
        )
        return CodeChangedError(sentence, details={**self.details, "seq": self.seq})


class CodeCheck:
    """The recomputation of one log with changed code; `done` is set at its end.

    Then `difference` is null if the log is equal; `codes` are the new hashes by slug. `error` says why it could not
    be recomputed.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.codes: Mapping[str, str] = {}
        self.difference: Difference | None = None
        self.error: SimError | None = None
        self.done = TimedEvent()
        self.on_done: Callable[[], None] = lambda: None
        self.state = ReplayState.initial(session.spec)

    @property
    def progress(self) -> tuple[int, int]:
        """Slots recomputed, and slots to recompute."""
        done_ms = self.state.cursor_ms
        return (0 if done_ms is None else slots_at(self.session, done_ms)), slots_done(self.session)

    def require_equal(self) -> None:
        """Raise what the recomputation ended with, if the log is not equal."""
        if self.error is not None:
            raise self.error
        if self.difference is not None:
            raise self.difference.error()

    def fits(self, session: Session) -> bool:
        """Whether it tells of this log: nothing was added to it since."""
        mine = self.session
        return (mine.cursor_ms, mine.commands) == (session.cursor_ms, session.commands)


class CodeChecks:
    """The recomputations of one process, at most `MAX_CHECKS` at once."""

    def __init__(
        self, database: Database, clock: Clock, strategies: StrategyCatalog, kept: KeptStates | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._strategies = strategies
        self._kept = kept
        self._turns = asyncio.Semaphore(MAX_CHECKS)
        self._jobs: dict[UUID, tuple[CodeCheck, asyncio.Task[None]]] = {}

    def job_for(self, session: Session) -> CodeCheck:
        """Return the recomputation of a session; start it if there is none."""
        known, _ = self._jobs.get(session.id, (None, None))
        if known is not None and known.fits(session):
            return known
        self.release(session.id)
        check = CodeCheck(session)
        self._jobs[session.id] = check, asyncio.ensure_future(self._run(check))
        return check

    async def require_equal(self, session: Session, by: str) -> None:
        """Recompute a session with changed code and let it go on with that; raises `CodeChangedError` or `SimError`."""
        check = self.job_for(session)
        await check.done.wait()
        self.release(session.id)
        check.require_equal()
        await self._database.run(accept_code, session, check.codes, by)

    def progress(self, session_id: UUID) -> tuple[int, int] | None:
        """Return slots recomputed and slots to recompute; null if the session is not recomputed."""
        check, _ = self._jobs.get(session_id, (None, None))
        return None if check is None or check.done.is_set() else check.progress

    def release(self, session_id: UUID) -> None:
        """Forget the recomputation of a session, and end it if it goes on."""
        _, task = self._jobs.pop(session_id, (None, None))
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """End all recomputations."""
        await cancel_and_wait([task for _, task in self._jobs.values()])
        self._jobs.clear()

    async def _run(self, check: CodeCheck) -> None:
        """Recompute a log; never raises."""
        try:
            async with self._turns:
                check.codes = await self._database.run(self._strategies.source_hashes, check.session)
                check.difference = await self._recompute(check)
        except SimError as error:
            check.error = error
        except asyncio.CancelledError:
            check.error = UnavailableError("The check of the changed code was ended; try again.")
            raise
        except Exception as error:
            _log.exception("session %s could not be recomputed", check.session.id)
            check.error = SimError(f"{type(error).__name__}: {error}")
        finally:
            check.done.set()
            check.on_done()

    async def _recompute(self, check: CodeCheck) -> Difference | None:
        """Return the first difference; without one keep the state, so that the session goes on from it."""
        session = check.session
        comparer = LogComparer(self._database, session)
        async with AsyncExitStack() as stack:
            try:
                opening = self._strategies.open_host(self._database, without_code_hashes(session))
                host = await stack.enter_async_context(opening)
                await replay(self._database, self._clock, session, check.state, host, comparer=comparer)
            except DivergedError as error:
                return _difference(session, error.details, comparer)
            except StrategyFailedError as error:
                return await _failure(session, error, comparer)
            if self._kept is not None:
                resumed = ResumedSession(host, check.state, slots_done(session))
                await self._kept.put(session.id, resumed, stack.pop_all())
        return None


def _difference(session: Session, details: dict[str, Any], comparer: LogComparer) -> Difference:
    seq = details["seq"]
    return Difference(session.last_seq + 1 if seq is None else seq, details, comparer.equal_to)


async def _failure(session: Session, error: StrategyFailedError, comparer: LogComparer) -> Difference:
    """Return the first difference of code that fails within the log."""
    try:
        await comparer.compare()
    except DivergedError as earlier:
        return _difference(session, earlier.details, comparer)
    at = error.details if isinstance(error.details, dict) else {}
    return Difference(await comparer.next_seq(), {"error": error.message, **at}, comparer.equal_to)


async def accept_code(connection: Connection, session: Session, codes: Mapping[str, str], by: str) -> Session:
    """Let a session go on with changed code that computes its log: store its hashes, log it, delete its snapshots."""
    async with connection.transaction():
        slug = session.spec.profile_slug
        args = {"was": session.strategy_hash, "now": codes[slug]}
        body = {"action": "codeChanged", "args": args, "by": by}
        await events.append_event(connection, session.id, "control", body)
        await snapshots.forget(connection, session.id)
        await sessions.store_code(connection, with_codes(session, codes))
        return await sessions.get(connection, session.id)


def with_codes(session: Session, codes: Mapping[str, str]) -> Session:
    """Return a session that was computed by the code of these hashes, by the profile's slug."""
    lineage = tuple(
        ancestor._replace(strategy_hash=codes.get(ancestor.profile_slug, ancestor.strategy_hash))
        for ancestor in session.lineage
    )
    return replace(session, strategy_hash=codes[session.spec.profile_slug], lineage=lineage)


def without_code_hashes(session: Session) -> Session:
    """Return the session without code hashes, so that any version of its strategies may compute it."""
    lineage = tuple(ancestor._replace(strategy_hash=None) for ancestor in session.lineage)
    return replace(session, strategy_hash=None, lineage=lineage)
