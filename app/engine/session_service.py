"""Everything that HTTP, the command line and tests can do with sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

from app.candles.cache.calendar import add_trading_hours, calendars
from app.candles.sources.source import sources
from app.clock import Clock
from app.db import requests, runners, sessions
from app.db.audit import Recording
from app.db.log import events
from app.db.pool import Connection, Database
from app.db.usage import Usage
from app.domain.session import CREATED, MOVES, RUNNING, Pace, Session, SessionSpec
from app.engine.account import AccountReader
from app.engine.code_changes import CodeChanges
from app.engine.command_service import CommandService
from app.engine.fork import create_fork, fork_before, fork_point
from app.engine.kept_figures import keep_figures
from app.engine.replay.code_check import CodeCheck, CodeChecks, accept_code
from app.engine.replay.input_checks import check_inputs
from app.engine.replay.quota import quota, require_quota
from app.engine.session_clock import SessionClock, clock_of
from app.engine.session_diff import SessionDiff, diff_sessions
from app.engine.start_preparation import StartPreparation
from app.engine.supervisor import Supervisor
from app.engine.waiting import add_waiting
from app.errors import (
    BadInputError,
    CursorMovedError,
    NoRunnerError,
    ProfileUnknownError,
    SeqAheadError,
    TooManyRequestsError,
    UnavailableError,
    WrongStatusError,
)
from app.settings import Settings
from app.strategy_hosts.strategy_catalog import StrategyCatalog, code_changed
from app.tasks import GroupedCalls

_PREPARED_STATUSES = {"start": MOVES["start"][0], "resume": (CREATED,), "step": (CREATED,), "runUntil": (CREATED,)}
"""Call that may start a session -> the statuses in which its candles are fetched first."""

DIGEST_S = 0.5
"""Seconds that an answer waits for the digest of a session's log."""

STEP_S = 30.0
"""Seconds that a step with `wait` waits for its last tick."""
_FIRST_POLL_S = 0.02
_MAX_POLL_S = 0.5

_CONTINUES = ("start", "resume", "step", "runUntil", "jump")
_REASONS = {"start": "started", "resume": "resumed", "pause": "paused", "stop": "stopped"}


class Action(NamedTuple):
    """A control action: `start`, `pause`, `resume`, `stop`; `pace` with the new pace; `step` with a number of ticks;
    `runUntil` with a time (ms UTC) or an event type; `jump` with a time, while running or paused.

    `if_cursor` makes a step or run conditional: a tuple with the cursorMs that the session must have. With
    `accept_changed` a start or resume over code that gives another log forks the session before the difference.
    """

    call: str
    pace: Pace | None = None
    steps: int | None = None
    time_ms: int | None = None
    event_type: str | None = None
    if_cursor: tuple[int | None] | None = None
    accept_revised: bool = False
    accept_changed: bool = False


class IdempotencyKey(NamedTuple):
    """An idempotency key, and the SHA-256 of the request sent with it."""

    key: str
    body_hash: str


class SessionService:
    """The sessions of all users in one database.

    With a supervisor, sessions that it starts run in this process; without one, any living server may claim them.
    """

    def __init__(
        self, database: Database, settings: Settings, clock: Clock, supervisor: Supervisor | None = None
    ) -> None:
        self.database = database
        self._read = GroupedCalls[tuple[UUID, str], Session](lambda wanted: database.run(sessions.get_all, wanted))
        self._settings = settings
        self._quota = quota(settings)
        self._clock = clock
        self._supervisor = supervisor
        self.strategies = StrategyCatalog(settings) if supervisor is None else supervisor.strategies
        self.calendars = calendars(settings.calendars) if supervisor is None else supervisor.calendars
        self._sources = sources(settings.sources)
        self._preparation = StartPreparation(database, clock, self._sources, self.calendars, supervisor)
        self._checks = CodeChecks(database, clock, self.strategies) if supervisor is None else supervisor.code_checks
        own_name = None if supervisor is None else supervisor.name
        self._changes = CodeChanges(database, self.strategies, self._checks, own_name)
        self.commands = CommandService(database, supervisor)
        self.account = AccountReader(database)

    async def create(
        self, user_id: str, spec: SessionSpec, *, key: str | None = None, request_hash: str | None = None
    ) -> tuple[Session, bool]:
        """Create a session; return it and whether it is new. Raises `BadInputError`, `KeyReusedError`, `QuotaError`.

        Raises `ProfileUnknownError` if no living server knows the profile.
        """
        spec.trading.require_consistent()
        end_ms = self._clock.now_ms() if spec.end_ms is None else spec.end_ms
        slots = spec.grid.slots(spec.start_ms, end_ms)
        _require_few_slots(slots, len(spec.symbols), self._settings.max_slots)
        await self.database.run(require_quota, self._quota, user_id, Usage(1, 0, 0))
        spec = await self._completed(spec)
        completed = replace(spec, days_per_year=await self._days_per_year(spec.venue))
        return await self.database.run(sessions.create, user_id, completed, key=key, request_hash=request_hash)

    async def _completed(self, spec: SessionSpec) -> SessionSpec:
        """Return settings completed by the strategy; as they are if another server has it: that one completes them."""
        try:
            return await self.strategies.completed(self.database, spec)
        except ProfileUnknownError as error:
            await self.database.run(self._changes.require_known_elsewhere, [spec.profile_slug], error)
            return spec

    async def _days_per_year(self, venue: str) -> int:
        """Return the trading days per year of a venue; 365 for one without a calendar. Reading one takes a second."""
        calendar = self.calendars.get(venue)
        return 365 if calendar is None else await asyncio.to_thread(lambda: calendar.days_per_year)

    async def get(self, user_id: str, session_id: UUID) -> Session:
        """Return a session of the user; raises `NotFoundError`."""
        session = await self._read((session_id, user_id))
        return self._with_fetch_progress(add_trading_hours(session, self.calendars.get(session.spec.venue)))

    async def show(self, user_id: str, session_id: UUID) -> Session:
        """Return a session of the user as `with_details` does; raises `NotFoundError`."""
        return await self.with_details(await self.get(user_id, session_id))

    async def with_details(self, session: Session) -> Session:
        """Return a session with the candle it waits for, if it runs, or with the digest of its log, if it has ended.

        A digest that takes longer than `DIGEST_S` is left out of this answer; it is still computed and stored.
        """
        if session.status == RUNNING:
            (session,) = await self.database.run(add_waiting, [session], self._clock.now_ms(), self._sources)
        if session.digest is not None or not session.ended:
            return session
        try:
            async with asyncio.timeout(DIGEST_S):
                return replace(session, digest=await self.database.run(sessions.keep_digest, session.id))
        except TimeoutError:
            return session

    async def page(self, user_id: str, **filters: Any) -> tuple[list[Session], str | None]:
        """Return sessions of the user, newest first, with what they wait for, and the cursor of the next page."""

        async def read(connection: Connection) -> tuple[list[Session], str | None]:
            listed, cursor = await sessions.page(connection, user_id, **filters)
            with_hours = [add_trading_hours(session, self.calendars.get(session.spec.venue)) for session in listed]
            return await add_waiting(connection, with_hours, self._clock.now_ms(), self._sources), cursor

        return await self.database.run(read)

    async def start(
        self, user_id: str, session_id: UUID, *, accept_revised: bool = False, accept_changed: bool = False
    ) -> Session:
        """Run a session from its cursor; a running session stays as it is. Raises what `act` raises."""
        action = Action("start", accept_revised=accept_revised, accept_changed=accept_changed)
        return await self.act(user_id, session_id, action)

    async def pause(self, session: Session) -> Session:
        """Pause a running session that was just read; a paused one stays as it is. After this returns, no tick follows.

        Raises `WrongStatusError` or `NotFoundError`.
        """
        return await self.database.run(_pause_or_stop, session, "pause")

    async def stop(self, session: Session) -> Session:
        """Stop a session that was just read; a stopped one stays as it is. After this returns, no tick ever follows.

        Raises `WrongStatusError` or `NotFoundError`.
        """
        return await self.database.run(_pause_or_stop, session, "stop")

    async def act(self, user_id: str, session_id: UUID, action: Action) -> Session:
        """Read a session of the user and act on it; raises `NotFoundError` and what `act_on` raises."""
        return await self.act_on(await self.get(user_id, session_id), action)

    async def act_on(self, session: Session, action: Action) -> Session:
        """Start, step, pause, resume, stop … a session that was just read; one that has the status stays as it is.

        Raises `WrongStatusError`, `CursorMovedError`, `TooManyRequestsError`, `NoRunnerError`, `NotFoundError`, and
        `InputsChangedError` if the session's inputs have changed. If candles are missing at the start and the gap
        policy is `fail`, the session fails and this raises `MissingCandlesError`.

        A session whose strategy's code has changed is recomputed first. If the log differs, this raises
        `CodeChangedError` or, with `accept_changed`, returns a fork. After `CHECK_S` the session runs, and is
        recomputed by its runner.
        """
        await self._prepare(session, action)
        check = await self._check_code(session, action)
        return self._run_here(await self.database.run(self._act_in_transaction, session, action, check))

    async def act_once(
        self,
        session: Session,
        action: Action,
        key: IdempotencyKey,
        render: Callable[[Session], dict[str, Any]],
    ) -> dict[str, Any]:
        """Act on a session that was just read with an idempotency key: action and stored answer are one transaction.

        A repeated call returns the stored answer and does nothing. Two calls at once wait for each other. A call that
        fails leaves the key unused. Raises `KeyReusedError` if the key was used with another body, and what `act`
        raises.
        """
        changed: list[Session] = []

        async def work(connection: Connection) -> dict[str, Any]:
            async with connection.transaction():
                stored: dict[str, Any] | None = await requests.claim(
                    connection, session.user_id, key.key, key.body_hash
                )
                if stored is not None:
                    return stored
                changed.append(await self._act(connection, session, action, check))
                answer = render(changed[0])
                await requests.answer(connection, session.user_id, key.key, answer)
                return answer

        await self._prepare(session, action)
        check = await self._check_code(session, action)
        answer = await self.database.run(work)
        for changed_session in changed:
            self._run_here(changed_session)
        return answer

    async def wait_for_pause(self, user_id: str, session_id: UUID) -> Session:
        """Return a session once it no longer runs, or as it is after `STEP_S`; its last tick is in the log then."""
        deadline_s = asyncio.get_running_loop().time() + STEP_S
        pause_s = _FIRST_POLL_S
        if self._supervisor is not None:
            await self._supervisor.wait_until_ended(session_id, STEP_S)
        while (session := await self.get(user_id, session_id)).status == RUNNING:
            if asyncio.get_running_loop().time() > deadline_s:
                break
            await asyncio.sleep(pause_s)
            pause_s = min(1.5 * pause_s, _MAX_POLL_S)
        return session

    def clock_of(self, session: Session) -> SessionClock:
        """Return the clock of a session."""
        ahead_s = None if self._supervisor is None else self._supervisor.ahead_s(session.id)
        return clock_of(session, self._clock.now_ms(), ahead_s)

    async def fork(
        self, user_id: str, session_id: UUID, at_seq: int, change: Callable[[SessionSpec], SessionSpec]
    ) -> Session:
        """Read a session of the user and fork it; raises `NotFoundError` and what `fork_of` raises."""
        return await self.fork_of(await self.get(user_id, session_id), at_seq, change)

    async def fork_of(self, parent: Session, at_seq: int, change: Callable[[SessionSpec], SessionSpec]) -> Session:
        """Create a session that shares another one's log up to the end of the tick at `at_seq`.

        `change` returns the fork's specification. Raises `BadInputError`, `SeqAheadError`, or
        `InputsChangedError` if candles that are not in the log were revised.
        """
        if at_seq > parent.last_seq:
            raise SeqAheadError(f"atSeq: {at_seq} is ahead of the log, which ends at {parent.last_seq}")
        spec = change(parent.spec)
        spec.trading.require_consistent()
        await self._require_fork(parent, at_seq)
        point = await fork_point(self.database, self._clock, self.strategies, parent, at_seq)
        spec = await self._completed(spec)
        return await self.database.run(create_fork, parent, spec, point)

    async def _require_fork(self, parent: Session, at_seq: int) -> None:
        """Raise `BadInputError` for a fork that copies too much, or `QuotaError`."""
        if at_seq > self._settings.max_fork:
            raise BadInputError(
                f"atSeq: a fork copies the events up to there, at most {self._settings.max_fork:,} (ZEON_MAX_FORK); "
                f"atSeq is {at_seq:,}"
            )
        await self.database.run(require_quota, self._quota, parent.user_id, Usage(1, at_seq, 1))

    async def diff(self, user_id: str, a: UUID, b: UUID) -> SessionDiff:
        """Compare two sessions of the user: the first event that differs, and their results. Raises `NotFoundError`."""
        for session in (await self.get(user_id, a), await self.get(user_id, b)):
            await keep_figures(self.database, session.id, session.last_seq)
        return await self.database.run(diff_sessions, user_id, a, b)

    async def describe(self, user_id: str, session_id: UUID, changes: dict[str, Any]) -> Session:
        """Set `name` or `tags`; raises `NotFoundError`."""
        return await self.database.run(sessions.describe, session_id, user_id, changes)

    async def delete(self, user_id: str, session_id: UUID, recording: Recording | None = None) -> None:
        """Delete a session that is not running, with its log. Raises `WrongStatusError` or `NotFoundError`.

        `recording` adds its entry with the first part of the log that is deleted: from then on the session is gone.
        """
        while not await self.database.run(sessions.delete_part, session_id, user_id, recording):
            recording = None

    async def note(self, user_id: str, session_id: UUID, payload: dict[str, Any], ts: int | None = None) -> int:
        """Append a note to the log and return its seq; raises `RefusedEventError` or `NotFoundError`."""
        await self.get(user_id, session_id)
        return await self.database.run(events.append_event, session_id, "note", payload, ts)

    async def tail_from(self, session: Session, from_seq: int, tail: int | None, types: list[str] | None) -> int:
        """Return the seq after which a reader starts: `from_seq` is inclusive, `tail` counts from the end.

        Raises `SeqAheadError` if `from_seq` is greater than the next seq.
        """
        if tail is not None and tail >= session.last_seq:
            return 0
        if tail is not None:
            return (
                await self.database.run(events.seq_of_tail, session.id, tail, types) - 1 if tail else session.last_seq
            )
        if from_seq > session.last_seq + 1:
            sentence = f"fromSeq: {from_seq} is ahead of the log, which ends at {session.last_seq}"
            raise SeqAheadError(sentence, details={"lastSeq": session.last_seq})
        return max(0, from_seq - 1)

    async def _prepare(self, session: Session, action: Action) -> None:
        """Fetch the candles of a session that an action starts; the transition itself checks the status later.

        Raises `CursorMovedError` and what `StartPreparation.prepare` raises.
        """
        if session.status in _PREPARED_STATUSES.get(action.call, ()):
            _require_cursor(action, session)
            await self._preparation.prepare(session)

    async def _check_code(self, session: Session, action: Action) -> CodeCheck | None:
        """Recompute a session that an action continues if the code of its strategy has changed.

        Returns null if there is nothing to recompute, or if that goes on in the session's runner. Raises
        `CodeChangedError` if the log differs, unless the action accepts that.
        """
        if action.call not in _CONTINUES or session.status not in MOVES[action.call][0] or session.status == RUNNING:
            return None
        check = await self._changes.examine(session, accept_revised=action.accept_revised)
        if check is not None and check.difference is not None and action.accept_changed:
            await self._require_fork(session, check.difference.seq - 1)
        elif check is not None:
            check.require_equal()
        return check

    async def _act_in_transaction(
        self, connection: Connection, session: Session, action: Action, check: CodeCheck | None
    ) -> Session:
        async with connection.transaction():
            return await self._act(connection, session, action, check)

    async def _act(self, connection: Connection, session: Session, action: Action, check: CodeCheck | None) -> Session:
        if action.call in ("pause", "stop"):
            return await _pause_or_stop(connection, session, action.call)
        if action.call == "pace":
            return await sessions.pace(connection, session.id, action.pace or Pace(0), session.user_id)
        if action.call == "jump" and session.status == RUNNING:
            return await sessions.jump(connection, session.id, action.time_ms or 0, session.user_id)
        # Read again: fetching its candles may have taken minutes.
        session = await sessions.get(connection, session.id, session.user_id)
        if check is not None and check.difference is not None:
            return await fork_before(connection, session, check.codes, check.difference)
        if action.call in ("step", "runUntil", "jump"):
            return await self._run_until(connection, session, action, check)
        return await self._start_or_resume(connection, session, action, check)

    async def _start_or_resume(
        self, connection: Connection, session: Session, action: Action, check: CodeCheck | None
    ) -> Session:
        """Start or resume a session; resuming a created one is starting it."""
        while session.status != RUNNING:
            _require_move(action.call, session)
            known = await self._check_inputs(connection, session, check, accept_revised=action.accept_revised)
            reason = _REASONS["start" if session.status == CREATED else action.call]
            runner = await self._new_owner(connection, session.user_id, known_here=known)
            moved = await sessions.transition(
                connection, session.id, action.call, reason=reason, by=session.user_id, runner=runner
            )
            session = moved or await sessions.get(connection, session.id, session.user_id)
        return session

    async def _run_until(
        self, connection: Connection, session: Session, action: Action, check: CodeCheck | None
    ) -> Session:
        jumps = action.call == "jump"
        _require_move(action.call, session)
        _require_cursor(action, session)
        if jumps:
            _require_ahead(action.time_ms or 0, session)
        known = await self._check_inputs(connection, session, check, accept_revised=False)
        moved = await sessions.run_until(
            connection,
            session.id,
            steps=action.steps,
            until_ms=action.time_ms,
            until_type=action.event_type,
            by=session.user_id,
            runner=await self._new_owner(connection, session.user_id, known_here=known),
            jump=jumps,
        )
        if moved is None:
            raise WrongStatusError(f"{action.call} is not possible: another call changed the session; try again.")
        return moved

    async def _check_inputs(
        self, connection: Connection, session: Session, check: CodeCheck | None, *, accept_revised: bool
    ) -> bool:
        """Check that a session continues with the inputs it was started with; raises `InputsChangedError`.

        Changed code that was found to compute the same log is stored as the session's. Returns whether this process
        knows its strategies.
        """
        codes = await self._changes.codes(connection, session)
        await check_inputs(connection, session, codes, accept_revised=accept_revised)
        equal = check is not None and check.fits(session) and check.codes == codes
        if equal and check is not None and code_changed(session, check.codes):
            await accept_code(connection, session, check.codes, session.user_id)
        return codes is not None

    async def _new_owner(self, connection: Connection, user_id: str, *, known_here: bool) -> tuple[str, int] | None:
        """Return the process that will run one more session of a user: this one, or null for any living one."""
        limit = self._settings.max_running
        if await sessions.count_running(connection, user_id) >= limit:
            raise TooManyRequestsError(
                f"At most {limit} sessions may run at once for one user; pause or stop one.", code="too_many_running"
            )
        await require_quota(connection, self._quota, user_id, Usage(0, 1, 1))
        if self._supervisor is not None and known_here:
            if not await runners.lock_runner(connection, *self._supervisor.owner):
                raise UnavailableError("The server is shutting down.")
            return self._supervisor.owner
        if not await runners.any_alive(connection):
            raise NoRunnerError()
        return None

    def _run_here(self, session: Session) -> Session:
        """Run a session if this process has claimed it."""
        if self._supervisor is not None:
            self._supervisor.run_claimed(session)
        return self._with_fetch_progress(session)

    def _with_fetch_progress(self, session: Session) -> Session:
        """Add the progress of fetching candles and of checking code to a session that runs in this process."""
        if self._supervisor is None or session.status != RUNNING or session.runner != self._supervisor.name:
            return session
        fetching = self._supervisor.candle_feed.progress(session.id)
        return replace(session, fetching=fetching, checking=self._checks.progress(session.id))


async def _pause_or_stop(connection: Connection, session: Session, call: str) -> Session:
    """Pause or stop a session; read it and try again if another call has changed its status."""
    while session.status != MOVES[call][1]:
        _require_move(call, session)
        moved = await sessions.transition(connection, session.id, call, reason=_REASONS[call], by=session.user_id)
        session = moved or await sessions.get(connection, session.id, session.user_id)
    return session


def _require_few_slots(slots: int, symbols: int, limit: int) -> None:
    """Raise `BadInputError` for a range that is too long for so many symbols."""
    if slots * symbols > limit:
        times = "" if symbols == 1 else f" for each of {symbols} symbols, {slots * symbols} together"
        raise BadInputError(f"endMs: the range has {slots} slots{times}, at most {limit} are allowed (ZEON_MAX_SLOTS)")


def _require_cursor(action: Action, session: Session) -> None:
    """Raise `CursorMovedError` unless the cursor is where the action expects it."""
    expected = action.if_cursor
    if expected is not None and expected[0] != session.cursor_ms:
        raise CursorMovedError(f"ifCursorMs: the cursor is at {session.cursor_ms}, not at {expected[0]}")


def _require_ahead(time_ms: int, session: Session) -> None:
    """Raise `WrongStatusError` unless a paused session can jump to a time (ms UTC): ahead of it, before its end."""
    spec, now_ms = session.spec, session.spec.start_ms
    if session.cursor_ms is not None:
        now_ms = session.cursor_ms + spec.grid.ms
    if time_ms <= now_ms:
        raise WrongStatusError(f"timeMs: {time_ms} is not ahead of the session, which is at {now_ms}")
    if spec.end_ms is not None and time_ms >= spec.end_ms:
        raise WrongStatusError(f"timeMs: {time_ms} is not before the session's end at {spec.end_ms}; resume runs to it")


def _require_move(call: str, session: Session) -> None:
    if session.status not in MOVES[call][0]:
        raise WrongStatusError(f"The session is {session.status}; {call} is not possible.")
