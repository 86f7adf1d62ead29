"""All sessions of one process: run them, claim orphans, and pass on notifications."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

from app.candles.cache.calendar import calendars
from app.candles.sources.source import sources
from app.clock import Clock, TimedEvent
from app.db import commands, runners, sessions
from app.db.commands import StoredCommand
from app.db.listen import Listener
from app.db.pool import Database
from app.domain.session import RUNNING, TRADABLE, Session
from app.engine.clock_jump import ClockJump
from app.engine.kept_figures import FEW_EVENTS, keep_figures
from app.engine.notification_check import NotificationCheck, NotificationState
from app.engine.replay.candle_feed import CandleFeed
from app.engine.replay.code_check import CodeChecks
from app.engine.replay.command_writer import Answers, CommandWriter
from app.engine.replay.leases import Leases
from app.engine.replay.quota import QuotaWatch, quota
from app.engine.replay.runner import SessionRunner
from app.engine.replay.shared_candles import SharedCandles
from app.engine.replay.snapshots import KeptStates, Snapshots
from app.engine.replay.writer import Writer
from app.engine.streaming.hub import Hub
from app.errors import RunnerNameTakenError, SimError, UnavailableError, WrongStatusError
from app.logs import set_fields
from app.metrics import EngineMetrics
from app.settings import Settings
from app.strategy_hosts.strategy_catalog import StrategyCatalog
from app.tasks import cancel_and_wait

_KEEP_S = 60
"""Seconds between two looks at the length of running sessions' logs."""
_RELEASE_S = 1
"""Seconds that a stopping process tries to release its sessions; otherwise others claim them after its TTL."""

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs sessions in this process under its runner name, and claims sessions that no living process runs.

    With `own_sessions_only` it runs only sessions that this process starts.
    """

    def __init__(
        self, database: Database, settings: Settings, *, listen_url: str, clock: Clock, own_sessions_only: bool = False
    ) -> None:
        self.name = settings.runner
        self.incarnation = 0
        self.hub = Hub(database, poll_s=settings.poll_ms / 1000)
        self._database = database
        self._settings = settings
        self._clock = clock
        self._own_sessions_only = own_sessions_only
        self.metrics = EngineMetrics()
        self.writer = Writer(database, self.metrics)
        self._quota = QuotaWatch(database, quota(settings))
        self.strategies = StrategyCatalog(settings)
        self.calendars = calendars(settings.calendars)
        self.candle_feed = CandleFeed(database, sources(settings.sources), clock)
        self._shared_candles = SharedCandles(database, clock)
        self.answers = Answers()
        self._kept = KeptStates()
        self.code_checks = CodeChecks(database, clock, self.strategies, self._kept)
        self._commands = CommandWriter(database, self.writer, self.answers)
        self._leases = Leases(
            database,
            Snapshots(database, clock, self.strategies, self._kept),
            self._commands,
            self.calendars,
            self.code_checks,
            lambda: self.owner,
        )
        self._runners: dict[UUID, SessionRunner] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._claim_now = TimedEvent()
        self._long_logs: dict[UUID, int] = {}
        self._has_long_log = asyncio.Event()
        self._no_claims_before_s = 0.0
        self._clock_jump = ClockJump(database)
        self._closing = False
        self.hands_over = False
        """Whether other servers continue the sessions of this process when it stops, whatever `ZEON_ON_ORPHAN` says."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listener = Listener(
            listen_url,
            on_notify=self._on_notify,
            on_connect=self._on_connect,
            name=self.name,
            may_have_name=self._may_have_name,
            patience_s=settings.runner_ttl_ms / 1000,
            idle_s=settings.poll_ms / 1000,
        )

        self._notifications = NotificationCheck(database, self._listener)

    @property
    def owner(self) -> tuple[str, int]:
        """Name and incarnation under which this process claims sessions."""
        return self.name, self.incarnation

    @property
    def database(self) -> Database:
        """The connections of ticks and streams."""
        return self._database

    @property
    def running(self) -> int:
        """How many sessions run in this process."""
        return len(self._runners)

    @property
    def listening(self) -> bool:
        """Whether the LISTEN connection is up."""
        return self._listener.connected.is_set()

    @property
    def notifications(self) -> NotificationState:
        """Whether notifications arrive on that connection."""
        return self._notifications.state

    @property
    def write_problem(self) -> str | None:
        """Why the sessions of this process wait for the database; null if they do not."""
        return self.writer.problem

    async def open(self) -> None:
        """Register the runner name and start; raises `RunnerNameTakenError` if another living process has it."""
        for first in (self._listener.run, self._notifications.run):
            self._spawn(first())
        ready = asyncio.ensure_future(self._notifications.checked.wait())
        try:
            await asyncio.wait((ready, self.failed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self.failed.done():
            self.failed.result()
        self._spawn(self._find_strategies())
        shared_work = (
            () if self._own_sessions_only else (self._claim_orphans, self._finish_deletions, self._apply_waiting)
        )
        for work in (self.writer.run, self.hub.poll, self._renew, self._reconcile, self._keep_figures, *shared_work):
            self._spawn(work())

    async def close(self) -> None:
        """Release every session (paused, or to be claimed if orphans are resumed), then end every task."""
        self._closing = True  # From now on `_renew` may find the name released, which is no error.
        with suppress(SimError, TimeoutError):
            async with asyncio.timeout(_RELEASE_S):
                await self._release_sessions()
        await cancel_and_wait(self._tasks)
        await self._shared_candles.close()
        await self._leases.close()
        await self.code_checks.close()
        await self._kept.close()
        await self.strategies.close()
        await self.candle_feed.close()
        self.hub.wake_all()

    async def _find_strategies(self) -> None:
        """Load the user strategies before the first session needs them, and store which they are."""
        await self.strategies.refresh()
        await self._renew_once()
        self._claim_now.set()

    async def _release_sessions(self) -> None:
        resume = self.hands_over or self._settings.on_orphan == "resume"
        released = await self._database.run(runners.leave, *self.owner, resume=resume)
        if released:
            _log.info("%s %d sessions: server stopped", "released" if resume else "paused", released)

    def run_claimed(self, session: Session) -> None:
        """Run a session that this process has claimed, unless it already runs this claim."""
        known = self._runners.get(session.id)
        if (session.runner, session.incarnation) != self.owner or session.status != RUNNING:
            return
        if known is None or known.session.epoch < session.epoch:
            self._start_runner(session)

    async def wait_until_ended(self, session_id: UUID, timeout_s: float) -> None:
        """Wait until this process no longer runs a session; return at once if it does not."""
        runner = self._runners.get(session_id)
        if runner is not None:
            await self._clock.wait(runner.ended, timeout_s)

    def ahead_s(self, session_id: UUID) -> float | None:
        """In how many seconds the next tick of a session is due; null if this process does not run it."""
        runner = self._runners.get(session_id)
        return None if runner is None else runner.ahead_s

    def has(self, session_id: UUID) -> bool:
        """Whether this process runs a session or has its lease."""
        return session_id in self._runners or self._leases.holds(session_id)

    def apply(self, session_id: UUID, new: Sequence[StoredCommand] = ()) -> None:
        """Apply commands to a session, or those in the table if none are given, unless another process has it."""
        runner = self._runners.get(session_id)
        if runner is not None:
            runner.put_commands(new)
        else:
            self._leases.put(session_id, new)

    def _start_runner(self, session: Session) -> None:
        self._leases.drop(session.id)
        runner = SessionRunner(
            session,
            name=self.name,
            database=self._database,
            writer=self.writer,
            quota=self._quota,
            metrics=self.metrics,
            strategies=self.strategies,
            clock=self._clock,
            poll_s=self._settings.poll_ms / 1000,
            commands=self._commands,
            kept=self._kept,
            code_checks=self.code_checks,
            shared_candles=self._shared_candles,
            hours=self.calendars.get(session.spec.venue),
            fetch_job=self.candle_feed.job_for(session),
        )
        self._runners[session.id] = runner
        self._spawn(self._run(runner))

    async def _run(self, runner: SessionRunner) -> None:
        set_fields(runner.log_fields)
        try:
            await runner.run()
        except Exception:
            _log.exception(
                "session %s could not be marked as failed; a server will claim it as an orphan", runner.session.id
            )
        finally:
            if self._runners.get(runner.session.id) is runner:
                del self._runners[runner.session.id]
                self._note_length(runner)
                self.candle_feed.release(runner.session.id)
            runner.ended.set()

    def _note_length(self, runner: SessionRunner) -> None:
        """Have figures of a long log kept: those of an unpaced session when it ends, as it needs all time before."""
        last_seq = runner.session.last_seq + runner.written_events
        if last_seq > FEW_EVENTS:
            self._long_logs[runner.session.id] = last_seq
            self._has_long_log.set()

    async def _keep_figures(self) -> None:
        """Keep figures of long logs until cancelled: of ended sessions, and from time to time of running ones."""
        loop = asyncio.get_running_loop()
        next_look_s = loop.time() + _KEEP_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(next_look_s):
                    await self._has_long_log.wait()
            if loop.time() >= next_look_s:
                next_look_s = loop.time() + _KEEP_S
                for runner in self._runners.values():
                    if not runner.pace.unpaced:
                        self._note_length(runner)
            self._has_long_log.clear()
            while self._long_logs:
                await _log_errors(partial(keep_figures, self._database, *self._long_logs.popitem()))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self.failed.done():
            self.failed.set_exception(error)

    async def _on_connect(self) -> None:
        """Catch up on missed notifications; after a reconnect claim orphans only once others had time to renew."""
        if self.incarnation == 0:
            ttl_ms = self._settings.runner_ttl_ms
            self.incarnation = await self._database.run(runners.register, self.name, ttl_ms)
        else:
            self._no_claims_before_s = asyncio.get_running_loop().time() + self._settings.runner_ttl_ms / 1000
            await self._renew_once()
        self._notifications.restart()
        self.hub.wake_all()
        self._shared_candles.drop({"*"})
        for runner in self._runners.values():
            runner.candles_changed()
            runner.row_changed()
        self._claim_now.set()

    def _on_notify(self, channel: str, payload: str) -> None:
        if channel == "sim_events":
            self.hub.on_notify(payload)
        elif channel == "market_candles":
            self._on_candles(set(payload.splitlines()))
        elif not self._notifications.on_notify(payload):
            with suppress(ValueError):  # Anyone may NOTIFY: a payload without a session id is ignored.
                self._on_control(payload)

    def _on_candles(self, stored: set[str]) -> None:
        self._shared_candles.drop(stored)
        for runner in self._runners.values():
            spec = runner.session.spec
            keys = {f"{spec.venue}:{symbol}:{spec.timeframe}" for symbol in spec.symbols}
            if "*" in stored or not stored.isdisjoint(keys):
                runner.candles_changed()

    def _on_control(self, payload: str) -> None:
        text, _, move = payload.partition(":")
        session_id = UUID(text)
        if move == "command":
            if not self._own_sessions_only or self.has(session_id):
                self.apply(session_id)
            return
        runner = self._runners.get(session_id)
        if runner is not None and move == f"{RUNNING}:{self.name}:{runner.session.epoch}":
            return  # The start of what runs here already.
        if move not in ("pace", "jump"):
            self._leases.drop(session_id)
        if runner is not None:
            runner.row_changed()
        elif move == RUNNING:  # It has no runner: any process may claim it.
            self._claim_now.set()

    async def _renew(self) -> None:
        """Mark this process as alive every `renew_ms` until cancelled."""
        while True:
            await asyncio.sleep(self._settings.renew_ms / 1000)
            await self._renew_once()

    async def _renew_once(self) -> None:
        with suppress(UnavailableError):
            if await self._database.run(runners.renew, *self.owner, self.strategies.known) or self._closing:
                return
            if not await self._database.run(runners.register_again, *self.owner, self._settings.runner_ttl_ms):
                raise RunnerNameTakenError(f"Another process has taken the runner name {self.name!r}; this one ends.")
            _log.warning("the row of this server in sim_runners was deleted; it is registered again")

    async def _may_have_name(self) -> bool:
        """Whether this process may use its name although it cannot lock it: no other living process uses it."""
        if self.incarnation:
            return await self._database.run(runners.renew, *self.owner)
        return not await self._database.run(runners.is_alive, self.name)

    async def _claim_orphans(self) -> None:
        """Claim sessions that no living process runs: after a notification, and every third of a TTL.

        If this process was suspended, others may have been, too; if the database's clock was set, signs of life look
        too old. In both cases it claims nothing until the others had time to renew.
        """
        loop, pause_s = asyncio.get_running_loop(), self._settings.runner_ttl_ms / 3000
        while True:
            await _log_errors(self._claim_orphans_once)
            claimed_s = loop.time()
            await self._claim_now.wait(pause_s)
            self._claim_now.clear()
            if loop.time() - claimed_s > 2 * pause_s:
                self._no_claims_before_s = loop.time() + 3 * pause_s

    async def _claim_orphans_once(self) -> None:
        if await self._clock_jump.happened():
            _log.warning("the clock of the database was set")
            self._no_claims_before_s = asyncio.get_running_loop().time() + self._settings.runner_ttl_ms / 1000
        if asyncio.get_running_loop().time() < self._no_claims_before_s or self.strategies.known is None:
            return
        resume = self._settings.on_orphan == "resume"
        orphans = await self._database.run(runners.claim_orphans, *self.owner, resume=resume)
        for (status, reason), count in sorted(Counter((orphan.status, orphan.reason) for orphan in orphans).items()):
            _log.warning("%s %d sessions: %s", "claimed" if status == RUNNING else status, count, reason)
        for orphan in orphans:
            if orphan.status == RUNNING:
                self.run_claimed(await self._database.run(sessions.get, orphan.session_id))

    async def _reconcile(self) -> None:
        """Compare this process's sessions with the database every `poll_ms`, in case notifications were lost."""
        while True:
            await asyncio.sleep(self._settings.poll_ms / 1000)
            await _log_errors(self._reconcile_once)

    async def _reconcile_once(self) -> None:
        rows = await self._database.run(sessions.run_by, *self.owner)
        for session_id, runner in self._runners.items():
            if rows.get(session_id) != (runner.session.epoch, runner.pace):
                runner.row_changed()
        for session_id in rows.keys() - self._runners.keys():
            self.run_claimed(await self._database.run(sessions.get, session_id))

    async def _apply_waiting(self) -> None:
        """Look for commands that wait, every `poll_ms`: their notification was lost, or their process has died."""
        while True:
            await asyncio.sleep(self._settings.poll_ms / 1000)
            await _log_errors(self._apply_waiting_once)

    async def _apply_waiting_once(self) -> None:
        for waiting in await self._database.run(commands.waiting_sessions):
            if waiting.waited_ms < self._settings.poll_ms:
                continue
            if waiting.status in TRADABLE:
                if waiting.runner in (None, self.name):
                    self.apply(waiting.session_id)
                continue
            error = WrongStatusError(f"The session is {waiting.status or 'deleted'}; it takes no orders.")
            for stored in await self._database.run(commands.waiting, waiting.session_id):
                await self._commands.refuse(stored, error)

    async def _finish_deletions(self) -> None:
        """Finish interrupted deletions, every minute until cancelled."""
        while True:
            await _log_errors(self._finish_deletions_once)
            await asyncio.sleep(60)

    async def _finish_deletions_once(self) -> None:
        for session_id, user_id in await self._database.run(sessions.half_deleted):
            while not await self._database.run(sessions.delete_part, session_id, user_id):
                pass


async def _log_errors(work: Callable[[], Awaitable[None]]) -> None:
    """Run one round of repeated work; log an error instead of raising it."""
    try:
        await work()
    except SimError as error:
        _log.warning("%s", error.message)
