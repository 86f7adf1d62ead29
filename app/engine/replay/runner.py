"""The session runner, the loop of one session: wait for the next slot, compute its tick, pass it to the writer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from app.candles.cache.advice import missing_advice
from app.candles.cache.calendar import Calendar, add_trading_hours
from app.clock import Clock, TimedEvent
from app.db.commands import StoredCommand
from app.db.log.chunks import Chunk
from app.db.pool import Database
from app.domain import event
from app.domain.event import Event
from app.domain.session import Pace, Session
from app.domain.tick import ReplayState, Slot
from app.engine.replay import snapshots
from app.engine.replay.candle_feed import FetchJob
from app.engine.replay.chunk_builder import ChunkBuilder, let_others_run
from app.engine.replay.code_check import CodeChecks, accept_code
from app.engine.replay.command_writer import CommandQueue, CommandWriter
from app.engine.replay.first_start import complete_first_start
from app.engine.replay.pacer import Pacer
from app.engine.replay.quota import QuotaWatch
from app.engine.replay.restart_policy import RestartPolicy
from app.engine.replay.run_limit import RunLimit
from app.engine.replay.session_log import RETRY_S, SessionLog
from app.engine.replay.shared_candles import SharedCandles
from app.engine.replay.snapshots import KeptStates, NewSnapshot, ResumedSession, Snapshots
from app.engine.replay.window import NotYetDueError, Window
from app.engine.replay.writer import SessionLostError, Writer
from app.errors import CodeChangedError, MissingCandlesError, Recovery, SimError, UnavailableError
from app.metrics import EngineMetrics
from app.strategy_hosts.strategy_catalog import StrategyCatalog
from app.strategy_hosts.strategy_host import StrategyHost

STALL_S = 60
"""A session that is later than this moves its anchor; one that is less late catches up at once."""

_ROUNDS = 4
"""Rounds of the event loop until a chunk is sent to Postgres; then the next one is computed at the same time."""

_log = logging.getLogger(__name__)


class SessionRunner:
    """Runs one session in this process from its cursor, until it ends, pauses, or another runner claims it."""

    def __init__(
        self,
        session: Session,
        *,
        name: str,
        database: Database,
        writer: Writer,
        quota: QuotaWatch,
        metrics: EngineMetrics,
        strategies: StrategyCatalog,
        clock: Clock,
        poll_s: float,
        commands: CommandWriter,
        kept: KeptStates,
        code_checks: CodeChecks,
        shared_candles: SharedCandles | None = None,
        hours: Calendar | None = None,
        fetch_job: FetchJob | None = None,
    ) -> None:
        self._name = name
        self._database = database
        self._writer = writer
        self._quota = quota
        self._metrics = metrics
        self._clock = clock
        self._poll_s = poll_s
        self._hours = hours
        self._shared_candles = shared_candles
        self._fetch_job = fetch_job
        if fetch_job is not None:
            fetch_job.on_progress = self.candles_changed
        self._strategies = strategies
        self._commands = commands
        self._code_checks = code_checks
        self._queue = CommandQueue()
        self._snapshots = Snapshots(database, clock, strategies, kept)
        self._session_log = SessionLog(
            session, runner=name, database=database, writer=writer, snapshots=self._snapshots, metrics=metrics
        )
        self._pacer = Pacer(clock, session)
        self._restarts = RestartPolicy()
        self._wake = TimedEvent()
        self.ended = TimedEvent()
        """Set when it no longer runs."""
        self._resumed: ResumedSession | None = None
        self._row_changed = False
        self.written_events = 0
        self._start_at(session)

    @property
    def pace(self) -> Pace:
        """The pace it runs at."""
        return self._pacer.pace

    @property
    def ahead_s(self) -> float:
        """In how many seconds the next tick is due."""
        return self._pacer.ahead_s

    def log_fields(self) -> dict[str, object]:
        """Return what each log line about this session says."""
        session = self.session
        return {"session": str(session.id), "seq": self._session_log.last_seq, "user": session.user_id}

    def row_changed(self) -> None:
        """Read the session's row again: its status or pace was changed."""
        self._row_changed = True
        self._wake.set()

    def put_commands(self, new: Sequence[StoredCommand]) -> None:
        """Apply commands, and those in the table if none are given, before the next tick."""
        self._queue.put(new)
        self._queue.unread = self._queue.unread or not new
        self._wake.set()

    def candles_changed(self) -> None:
        """Read the candles again: new ones were stored."""
        self._window.invalidate()
        self._wake.set()

    async def run(self) -> None:
        """Run to the end of the range, or until paused, stopped, failed or replaced; never raises."""
        try:
            await self._read_hours()
            await self._run_with_restarts()
        except SessionLostError:
            _log.debug("session %s left this runner", self.session.id)
        except MissingCandlesError as error:
            await self._session_log.fail(await self._describe_missing(error), error.details)
        except SimError as error:
            await self._session_log.fail(error.message, error.details)
        except Exception as error:
            _log.exception("session %s failed", self.session.id)
            await self._session_log.fail(f"{type(error).__name__}: {error}")
        finally:
            self._session_log.abandon()

    async def _describe_missing(self, error: MissingCandlesError) -> str:
        """Return the error's sentence and, if the database answers, what the cache has instead."""
        gaps = error.details["gaps"]
        symbols, timeframe = [gap["symbol"] for gap in gaps], gaps[0]["timeframe"]
        try:
            advice = await self._database.run(missing_advice, self.session.spec.venue, symbols, timeframe)
        except UnavailableError:
            return error.message
        return f"{error.message} {advice}"

    async def _read_hours(self) -> None:
        """Read the trading hours of the range in a thread: it takes a while and must not block other sessions."""
        spec = self.session.spec
        if self._hours is not None:
            now_ms = self._clock.now_ms()
            end_ms = now_ms if spec.end_ms is None else min(now_ms, spec.end_ms)
            await asyncio.to_thread(self._hours.read, spec.start_ms, end_ms)

    def _start_at(self, session: Session) -> None:
        """Continue from the state in a session's row."""
        self.session = session = add_trading_hours(session, self._hours)
        self._limit = RunLimit(session)
        self._window = Window(
            self._database,
            self._clock,
            session.spec,
            shared=None if session.spec.pace.unpaced else self._shared_candles,
            fetch_job=self._fetch_job,
        )
        self._chunks = ChunkBuilder(session, self._window, self._limit, self._pacer, self._clock)

    async def _run_with_restarts(self) -> None:
        """Run from the end of the log; start again whenever the state in memory is lost."""
        completed = await complete_first_start(self._database, self._strategies, self.session)
        if completed is not self.session:
            self._start_at(completed)
        while True:
            try:
                async with self._snapshots.resume(self.session, own_process=self._restarts.own_process) as resumed:
                    self._resumed = resumed
                    self._queue.unread = resumed.host is not None
                    return await self._run_from(resumed.state, resumed.host)
            except CodeChangedError:
                await self._check_code()
            except (SimError, SessionLostError) as error:
                if error.recovery is Recovery.GIVE_UP:
                    raise
                await self._restart(error)

    async def _check_code(self) -> None:
        """Recompute the session with the changed code of its strategy; if the log differs, it pauses.

        Then, or if it is no longer this runner's, raises `SessionLostError`.
        """
        check = self._code_checks.job_for(self.session)
        check.on_done = self._wake.set
        try:
            while not check.done.is_set():
                await self._clock.wait(self._wake, self._poll_s)
                self._wake.clear()
                if self._row_changed:
                    await self._read_row()
        finally:
            self._code_checks.release(self.session.id)
        try:
            check.require_equal()
        except CodeChangedError as error:
            await self._session_log.pause("strategy_changed", error=error.message, error_details=error.details)
            raise SessionLostError from None
        self._start_at(await self._database.run(accept_code, self.session, check.codes, self._name))

    async def _restart(self, error: SimError | SessionLostError) -> None:
        """Go back to the end of the log; raises `SessionLostError` if another runner has the session.

        Raises `SimError` if the same error was too frequent at one candle.
        """
        if error.recovery is Recovery.RETRY:
            await asyncio.sleep(RETRY_S)
        with suppress(SessionLostError):
            await self._session_log.settle()
        row = await self._session_log.read_session()
        self._restarts.record(error, row.cursor_ms)
        _log.info("session %s starts again from its log: %s", self.session.id, str(error) or type(error).__name__)
        if self._limit.fast_forward:  # The pacer has counted ticks that did not wait for the pace.
            self._pacer.restart()
        self._start_at(row)

    async def _run_from(self, state: ReplayState, host: StrategyHost | None) -> None:
        """The loop: wait for a slot, compute it and the due slots after it, pass them to the writer."""
        if self._queue:
            await self._apply_commands()
        while (slot := await self._next_slot(state)) is not None:
            if self._quota.is_limited:
                await self._require_quota()
            if self._queue:
                await self._apply_commands()
            due_ns = self._pacer.due_ns
            stall = self._stall_event(state)
            chunk = await self._chunks.build(state, host, slot, before=stall, short=self._writer.has_paced)
            snapshot = await self._take_snapshot(chunk, state, host)
            await self._session_log.append(chunk, snapshot, unpaced=self._chunks.unpaced)
            self.written_events += chunk.events
            self._quota.spend(self.session.user_id, chunk.events, len(chunk.rows))
            if chunk.pause is not None or not self._chunks.unpaced:
                await self._session_log.settle()
                self._observe_lateness(due_ns)
            else:
                await let_others_run(_ROUNDS)
            if chunk.pause is not None:
                return
            if host is not None and host.error is not None:
                raise host.error
        if self._resumed is not None:
            self._resumed.keep = False
        await self._session_log.finish()

    def _observe_lateness(self, due_ns: int) -> None:
        """Note how late the first tick of a paced chunk was in the log."""
        if not self._chunks.unpaced:
            self._metrics.lateness.observe((self._clock.monotonic_ns() - due_ns) / 1e9)

    async def _require_quota(self) -> None:
        """Pause the session if its user keeps as much as is allowed; then raises `SessionLostError`."""
        if await self._quota.is_met(self.session.user_id):
            await self._session_log.pause("quota")
            raise SessionLostError

    async def _take_snapshot(self, chunk: Chunk, state: ReplayState, host: StrategyHost | None) -> NewSnapshot | None:
        """Take a snapshot when one is due and everything that was computed is in the chunk."""
        assert self._resumed is not None
        self._resumed.slots_since_snapshot += chunk.ticks
        complete = chunk.pause is None and chunk.cursor_ms == state.cursor_ms
        if self._resumed.slots_since_snapshot < snapshots.INTERVAL_SLOTS or not complete:
            return None
        self._resumed.slots_since_snapshot = 0
        return await self._snapshots.take(state, host, str(chunk.hash))

    async def _next_slot(self, state: ReplayState) -> Slot | None:
        """Wait for the pace, then for the candles; return the next slot, or null at the end of the range."""
        while not self._window.at_end(state):
            await self._wait_for_pace()
            slot = await self._wait_for_market(state)
            if slot is None:
                return None
            if self._limit.reached_before(slot):
                await self._session_log.pause("runUntil")
                raise SessionLostError
            if not self._limit.jump_done(slot):
                return slot
            self._limit.end_jump()
            self._pacer.restart()
        return None

    async def _wait_for_pace(self) -> None:
        while not self._limit.fast_forward and (ahead_s := self._pacer.ahead_s) > 0:
            await self._session_log.settle()
            await self._sleep(ahead_s)
        if not self._chunks.unpaced:
            await self._writer.wait_for_turn()

    async def _wait_for_market(self, state: ReplayState) -> Slot | None:
        """Return the next slot once its candles are decided; after a wait for them the pace starts from now."""
        waited = False
        while True:
            if self._row_changed:
                await self._read_row()
            try:
                slot = await self._read_slot(state)
            except NotYetDueError as error:
                waited = True
                await self._session_log.settle()
                await self._sleep(self._seconds_until(error.until_ms))
                continue
            if waited or self._limit.fast_forward:
                self._pacer.drop_delay()
            return slot

    async def _read_slot(self, state: ReplayState) -> Slot | None:
        """Return the window's next slot, and retry while the database is unavailable; raises `NotYetDueError`."""
        while True:
            try:
                return await self._window.next_slot(state)
            except UnavailableError:
                self._window.invalidate()
                await self._sleep(RETRY_S)

    def _seconds_until(self, time_ms: int | None) -> float:
        if time_ms is None:
            return self._poll_s
        return min(self._poll_s, max(0, time_ms - self._clock.now_ms()) / 1000)

    async def _sleep(self, seconds: float) -> None:
        """Sleep `seconds`, or until woken; a change of the row takes effect at once."""
        await self._clock.wait(self._wake, seconds)
        self._wake.clear()
        if self._row_changed:
            await self._read_row()
        if self._queue:
            await self._apply_commands()

    async def _apply_commands(self) -> None:
        """Apply the waiting commands behind the last slot; the chunks under way are in the log before.

        Raises `SessionLostError` if the session pauses with one of them.
        """
        resumed = self._resumed
        assert resumed is not None
        await self._session_log.settle()
        while (stored := await self._queue.next(self._database, self.session.id)) is not None:
            try:
                written = await self._commands.write(
                    self.session, resumed.state, resumed.host, stored, self._limit.until_type
                )
            except BaseException:
                self._queue.forget(stored)
                raise
            if written is None:
                continue
            self._session_log.last_seq = written.last_seq
            if written.paused:
                raise SessionLostError

    async def _read_row(self) -> None:
        """Read pace and jump from the session's row; raises `SessionLostError` if it is another runner's."""
        self._row_changed = False
        row = await self._session_log.read_session()
        if row.spec.pace != self._pacer.pace:
            self._pacer.set_pace(row.spec.pace)
        self._limit.start_jump(row.jump_ms, row.cursor_ms)

    def _stall_event(self, state: ReplayState) -> Sequence[Event]:
        """Return the control event of a stall if the next tick is later than `STALL_S`."""
        if self._chunks.unpaced or -self._pacer.ahead_s < STALL_S:
            return ()
        moved_ms = self._pacer.drop_delay() // 1_000_000
        return [event.control(state.last_ts, "stall", {"movedMs": moved_ms}, self._name)]
