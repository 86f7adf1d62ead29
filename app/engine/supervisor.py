"""All sessions of one process: who runs here, who was left behind by a process that died, and what wakes whom."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any
from uuid import UUID

from app.candles.calendar import calendars
from app.candles.sources import sources
from app.db import runners, sessions
from app.db.listen import Listener
from app.db.pool import Database
from app.domain.session import RUNNING, Session
from app.engine.clock import Clock, wait
from app.engine.replay.candle_feed import CandleFeed
from app.engine.replay.runner import SessionRunner
from app.engine.strategy_catalog import StrategyCatalog
from app.engine.streaming.hub import Hub
from app.engine.tasks import cancel_and_wait
from app.engine.writer import Writer
from app.errors import RunnerNameTakenError, SimError, UnavailableError
from app.settings import Settings

_FAREWELL_S = 1
"""How long a process that ends tries to tell the database; what it could not say, others find out by its silence."""

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs sessions in this process under its runner name, and looks after those nobody runs.

    With `alone` it runs what is started here and leaves everybody else's sessions to others.
    """

    def __init__(
        self, database: Database, settings: Settings, *, listen_url: str, clock: Clock, alone: bool = False
    ) -> None:
        self.name = settings.runner
        self.incarnation = 0
        self.hub = Hub(database, poll_s=settings.poll_ms / 1000)
        self._database = database
        self._settings = settings
        self._clock = clock
        self._alone = alone
        self._writer = Writer(database)
        self.strategies = StrategyCatalog(settings)
        self.calendars = calendars(settings.calendars)
        self.supply = CandleFeed(database, sources(settings.sources), clock)
        self._runners: dict[UUID, SessionRunner] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweep_now = asyncio.Event()
        self._judge_at = 0.0
        self._leaving = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listener = Listener(
            listen_url,
            on_notify=self._heard,
            on_connect=self._connected,
            name=self.name,
            patience_s=settings.runner_ttl_ms / 1000,
            idle_s=settings.poll_ms / 1000,
        )

    @property
    def owner(self) -> tuple[str, int]:
        """Name and incarnation under which this process claims sessions."""
        return self.name, self.incarnation

    @property
    def running(self) -> int:
        """How many sessions run in this process."""
        return len(self._runners)

    @property
    def listening(self) -> bool:
        """Whether the LISTEN connection stands."""
        return self._listener.connected.is_set()

    async def open(self) -> None:
        """Take the name and begin; raises `RunnerNameTakenError` when another living process keeps it."""
        self._spawn(self._listener.run())
        ready = asyncio.ensure_future(self._listener.connected.wait())
        try:
            await asyncio.wait((ready, self.failed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self.failed.done():
            self.failed.result()
        self._spawn(self.strategies.look_ahead())
        others = () if self._alone else (self._sweep, self._clean)
        for work in (self._writer.run, self.hub.poll, self._renew, self._compare, *others):
            self._spawn(work())

    async def close(self) -> None:
        """Give up every session (paused, or up for a claim where orphans are resumed), then end every task."""
        self._leaving = True  # Its name is given back before its last sign of life may have been written.
        with suppress(SimError, TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._give_up()
        await cancel_and_wait(self._tasks)
        await self.strategies.close()
        await self.supply.close()
        self.hub.wake_all()

    async def _give_up(self) -> None:
        resume = self._settings.on_orphan == "resume"
        released = await self._database.run(runners.leave, *self.owner, resume=resume)
        if released:
            _log.info("%d sessions %s: server stopped", released, "released" if resume else "paused")

    def adopt(self, session: Session) -> None:
        """Run a session if this process has claimed it and does not run it yet, or runs an older claim."""
        known = self._runners.get(session.id)
        if (session.runner, session.incarnation) != self.owner or session.status != RUNNING:
            return
        if known is None or known.session.epoch < session.epoch:
            self._launch(session)

    def _launch(self, session: Session) -> None:
        runner = SessionRunner(
            session,
            name=self.name,
            database=self._database,
            writer=self._writer,
            strategies=self.strategies,
            clock=self._clock,
            poll_s=self._settings.poll_ms / 1000,
            hours=self.calendars.get(session.spec.venue),
            order=self.supply.order(session),
        )
        self._runners[session.id] = runner
        self._spawn(self._run(runner))

    async def _run(self, runner: SessionRunner) -> None:
        try:
            await runner.run()
        except Exception:
            _log.exception("session %s could not be failed; it is an orphan now", runner.session.id)
        finally:
            if self._runners.get(runner.session.id) is runner:
                del self._runners[runner.session.id]
                self.supply.release(runner.session.id)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self.failed.done():
            self.failed.set_exception(error)

    async def _connected(self) -> None:
        """Catch up with whatever was sent while nobody listened; judge others only when they could renew again."""
        if self.incarnation == 0:
            ttl_ms = self._settings.runner_ttl_ms
            self.incarnation = await self._database.run(runners.register, self.name, ttl_ms)
        else:
            self._judge_at = asyncio.get_running_loop().time() + self._settings.runner_ttl_ms / 1000
            await self._renew_once()
        self.hub.wake_all()
        for runner in self._runners.values():
            runner.stored()
            runner.control()
        self._sweep_now.set()

    def _heard(self, channel: str, payload: str) -> None:
        if channel == "sim_events":
            self.hub.heard(payload)
        elif channel == "market_candles":
            self._heard_candles(set(payload.splitlines()))
        else:
            with suppress(ValueError):  # Anybody may notify: what names no session is not meant for us.
                self._heard_control(payload)

    def _heard_candles(self, stored: set[str]) -> None:
        for runner in self._runners.values():
            spec = runner.session.spec
            keys = {f"{spec.venue}:{symbol}:{spec.timeframe}" for symbol in spec.symbols}
            if "*" in stored or not stored.isdisjoint(keys):
                runner.stored()

    def _heard_control(self, payload: str) -> None:
        session_id, _, move = payload.partition(":")
        runner = self._runners.get(UUID(session_id))
        if runner is not None:
            runner.control()
        elif move == RUNNING:  # Without the name of a runner: up for a claim.
            self._sweep_now.set()

    async def _renew(self) -> None:
        """Give signs of life until cancelled."""
        while True:
            await asyncio.sleep(self._settings.renew_ms / 1000)
            await self._renew_once()

    async def _renew_once(self) -> None:
        with suppress(UnavailableError):
            if not await self._database.run(runners.renew, *self.owner) and not self._leaving:
                raise RunnerNameTakenError(f"Another process runs as {self.name!r} by now; this one ends.")

    async def _sweep(self) -> None:
        """Look after sessions nobody runs: at once when told to, and every third of a TTL.

        Where this process has stood still meanwhile, others may have, too: nobody is judged until they could renew.
        """
        loop, pause_s = asyncio.get_running_loop(), self._settings.runner_ttl_ms / 3000
        while True:
            await self._quietly(self._sweep_once)
            looked_at = loop.time()
            await wait(self._sweep_now, pause_s)
            self._sweep_now.clear()
            if loop.time() - looked_at > 2 * pause_s:
                self._judge_at = loop.time() + 3 * pause_s

    async def _sweep_once(self) -> None:
        if asyncio.get_running_loop().time() < self._judge_at:
            return
        resume = self._settings.on_orphan == "resume"
        swept = await self._database.run(runners.claim_orphans, *self.owner, resume=resume)
        for reason in sorted({each.reason for each in swept}):
            _log.info("%d sessions %s", sum(each.reason == reason for each in swept), reason)
        for each in swept:
            if each.status == RUNNING:
                self.adopt(await self._database.run(sessions.get, each.session_id))

    async def _compare(self) -> None:
        """Find out about moves and paces whose hints were lost, and claims nobody acts on, until cancelled."""
        while True:
            await asyncio.sleep(self._settings.poll_ms / 1000)
            await self._quietly(self._compare_once)

    async def _compare_once(self) -> None:
        rows = await self._database.run(sessions.run_by, *self.owner)
        for session_id, runner in self._runners.items():
            if rows.get(session_id) != (runner.session.epoch, runner.pace):
                runner.control()
        for session_id in rows.keys() - self._runners.keys():
            self.adopt(await self._database.run(sessions.get, session_id))

    async def _clean(self) -> None:
        """Go on with deletions that a process began and did not end."""
        while True:
            await self._quietly(self._clean_once)
            await asyncio.sleep(60)

    async def _clean_once(self) -> None:
        for session_id, user_id in await self._database.run(sessions.half_deleted):
            while not await self._database.run(sessions.delete_chunk, session_id, user_id):
                pass

    async def _quietly(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something that is done again anyway; a fault is logged, not raised."""
        try:
            await work()
        except SimError as error:
            _log.warning("%s", error.message)
