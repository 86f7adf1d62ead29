"""One session, one loop: takes the next slot when it is due, computes its tick and hands it to the writer."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Concatenate, ParamSpec, TypeVar

from app.candles.advice import missing_advice
from app.candles.calendar import Calendar, add_trading_hours
from app.db import sessions
from app.db.pool import Connection, Database
from app.db.ticks import Tick, events_to_json
from app.domain import event
from app.domain.event import Event
from app.domain.market.fingerprint import Fingerprint
from app.domain.session import RUNNING, Pace, Session
from app.domain.tick import ReplayState, Slot, TickDraft, draft_tick
from app.engine.clock import Alarm, Clock
from app.engine.replay import snapshots
from app.engine.replay.candle_feed import FetchJob
from app.engine.replay.pacer import Pacer
from app.engine.replay.run_limit import RunLimit
from app.engine.replay.snapshots import Snapshots, TakenSnapshot
from app.engine.replay.window import NotYetDueError, Window
from app.engine.strategy_catalog import StrategyCatalog
from app.engine.writer import SessionLostError, Writer
from app.errors import (
    MissingCandlesError,
    SimError,
    StrategyFailedError,
    StrategyProcessLostError,
    StrategyTooSlowError,
    UnavailableError,
)
from app.strategy_hosts.strategy_host import BREATH_SLOTS, StrategyHost, run_strategies

STALL_S = 60
"""A runner later than this moves its anchor; one less late catches up at once."""

_CHUNK_TICKS = 500
"""Ticks that an unpaced session puts into the log at once; half of them while paced sessions write beside it."""

_CHUNK_EVENTS = 500
"""The same limit for what the market makes of them, which is more than one event each where there are many symbols."""

_FIRST_TICKS = 5
"""As many go in at first; the number is doubled while they are computed quickly."""

_CHUNK_S = 1.0
"""Ticks of a slow strategy go in as often as this, in seconds, so that one can follow it."""

_HOPS = 4
"""Rounds of the event loop after which a chunk is on its way to Postgres, so that the next is computed meanwhile."""

_FAULTS = 3
"""So many times the process under a strategy may die, or the log refuse a tick, at one candle, from a cause unknown."""

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Due:
    """Slots whose turn has come, `most` of them: the cursor and events before them, and why to pause behind."""

    prev_cursor_ms: int | None
    before: Sequence[Event]
    most: int
    slots: list[Slot] = field(default_factory=list)
    drafts: list[TickDraft] = field(default_factory=list)
    events: int = 0
    pause: str | None = None

    @property
    def room(self) -> bool:
        """Whether another slot may join."""
        return len(self.slots) < self.most and self.events < _CHUNK_EVENTS and self.pause is None


class SessionRunner:
    """Runs one session in this process from its cursor on, until the log says it is somebody else's."""

    def __init__(
        self,
        session: Session,
        *,
        name: str,
        database: Database,
        writer: Writer,
        strategies: StrategyCatalog,
        clock: Clock,
        poll_s: float,
        hours: Calendar | None = None,
        order: FetchJob | None = None,
    ) -> None:
        self._id = str(session.id)
        self._name = name
        self._database = database
        self._writer = writer
        self._snapshots = Snapshots(database, clock, strategies)
        self._clock = clock
        self._poll_s = poll_s
        self._pacer = Pacer(clock, session)
        self._hours = hours
        self._order = order
        if order is not None:
            order.woken = self.stored
        self._alone = False
        self._faults: defaultdict[tuple[type[Exception], bool], list[int | None]] = defaultdict(list)
        self._begin(session)
        self._wake = Alarm()
        self._control = False
        self._pending: asyncio.Future[None] | None = None
        self._taken: TakenSnapshot | None = None

    @property
    def pace(self) -> Pace:
        """The pace it runs at."""
        return self._pacer.pace

    def control(self) -> None:
        """Look at the row again: somebody moved the session or changed its pace."""
        self._control = True
        self._wake.set()

    def stored(self) -> None:
        """Look at the candles again: somebody stored some."""
        self._window.forget()
        self._wake.set()

    async def run(self) -> None:
        """Run to the end of the range, or until paused, stopped, failed or replaced; never raises."""
        try:
            await self._read_hours()
            await self._replay()
        except SessionLostError:
            _log.debug("session %s left this runner", self.session.id)
        except MissingCandlesError as error:
            spec, gaps = self.session.spec, error.details["gaps"]
            symbols = [gap["symbol"] for gap in gaps]
            advice = await self._insist(missing_advice, spec.venue, symbols, gaps[0]["timeframe"])
            await self._fail(f"{error.message} {advice}", error.details)
        except SimError as error:
            await self._fail(error.message, error.details)
        except Exception as error:
            _log.exception("session %s failed", self.session.id)
            await self._fail(f"{type(error).__name__}: {error}", None)
        finally:
            if self._pending is not None:  # What became of it is in the log; nobody waits to be told.
                self._pending.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _read_hours(self) -> None:
        """Read the trading hours of the range ahead of need: that takes a while and must not hold up others."""
        spec = self.session.spec
        if self._hours is not None:
            now_ms = self._clock.now_ms()
            end_ms = now_ms if spec.end_ms is None else min(now_ms, spec.end_ms)
            await asyncio.to_thread(self._hours.read, spec.start_ms, end_ms)

    def _begin(self, session: Session) -> None:
        """Go on from where a session stands by its row."""
        self.session = session = add_trading_hours(session, self._hours)
        self._course = RunLimit(session)
        self._used = Fingerprint(session.candles_hash)
        self._since_snapshot = 0
        self._most = _FIRST_TICKS
        self._window = Window(
            self._database,
            self._clock,
            session.spec,
            unpaced=session.spec.pace.unpaced,
            stagger=session.id.int,
            order=self._order,
        )

    async def _replay(self) -> None:
        """Replay from the log on, again whenever what holds the state in memory is lost."""
        while True:
            try:
                async with self._snapshots.resumed(self.session, alone=self._alone) as found:
                    self._since_snapshot = found.since
                    return await self._replay_at(found.desk, found.state)
            except (StrategyProcessLostError, SessionLostError, UnavailableError) as cause:
                await self._start_over(cause)

    async def _start_over(self, cause: Exception) -> None:
        """Go on from the end of the log; raises `SessionLostError` when another runner has the session.

        Raises `SimError` when that has become necessary too often at one candle.
        """
        if isinstance(cause, UnavailableError) and not isinstance(cause, StrategyProcessLostError):
            await asyncio.sleep(0.5)
        with suppress(SessionLostError):
            await self._settle()
        row = await self._insist(sessions.get, self.session.id)
        if row.epoch != self.session.epoch or row.status != RUNNING:
            raise SessionLostError
        self._require_new(cause, row.cursor_ms)
        _log.info("session %s is rebuilt from its log", self.session.id)
        if self._course.hurried:  # The pacer has counted ticks that nobody waited for.
            self._pacer.set(self._pacer.pace)
        self._begin(row)

    def _require_new(self, cause: Exception, cursor_ms: int | None) -> None:
        """Raise `SimError` when the same happened too often at one candle, and was not somebody else's doing."""
        suspect = cause.suspect if isinstance(cause, StrategyProcessLostError) else None
        self._alone = self._alone or suspect is not None or isinstance(cause, StrategyTooSlowError)
        if isinstance(cause, UnavailableError) and (
            not isinstance(cause, StrategyProcessLostError) or isinstance(cause, StrategyTooSlowError)
        ):
            return
        faults = self._faults[type(cause), suspect is None]
        faults[:] = [*(each for each in faults if each == cursor_ms), cursor_ms]
        if len(faults) < _FAULTS:
            return
        if isinstance(cause, StrategyProcessLostError) and suspect is None and not self._alone:
            faults.clear()
            self._alone = True  # Then it is clear whose doing it is.
        elif isinstance(cause, StrategyProcessLostError):
            how = "while it was at nothing" if suspect is None else suspect
            raise StrategyFailedError(f"The process of the strategy ended {_FAULTS} times at one candle ({how}).")
        else:
            raise SimError(f"The log refused {_FAULTS} times what follows the candle at {cursor_ms}.")

    async def _replay_at(self, desk: StrategyHost | None, state: ReplayState) -> None:
        while (chunk := await self._next_chunk(state, desk)) is not None:
            taken = await self._snapshot(chunk, state, desk)
            await self._settle()
            self._pending, self._taken = self._writer.append([chunk], unpaced=self._hurried), taken
            if chunk.pause is not None or not self._hurried:
                await self._settle()
            else:
                await _breathe(_HOPS)
            if chunk.pause is not None:
                return
        await self._settle()
        await self._insist(
            sessions.transition,
            self.session.id,
            "finish",
            reason="end of range",
            by=self._name,
            epoch=self.session.epoch,
        )

    async def _snapshot(self, chunk: Tick, state: ReplayState, desk: StrategyHost | None) -> TakenSnapshot | None:
        """Take a snapshot when it is time and everything that was computed goes into the log."""
        self._since_snapshot += chunk.ticks
        whole = chunk.pause is None and chunk.cursor_ms == state.cursor_ms
        if self._since_snapshot < snapshots.TICKS or not whole:
            return None
        self._since_snapshot = 0
        return await self._snapshots.take(state, desk, str(self._used))

    async def _next_chunk(self, state: ReplayState, desk: StrategyHost | None) -> Tick | None:
        """Return the ticks that are due, at least one, joined; null at the end of the range."""
        if desk is not None and desk.fault is not None:
            raise desk.fault
        slot = await self._wait_for_slot(state)
        if slot is None:
            return None
        most = min(self._most, _CHUNK_TICKS // 2 if self._writer.crowded else _CHUNK_TICKS)
        due, hurried = _Due(state.cursor_ms, self._stall(state), most), self._hurried
        self._draft(due, state, slot)
        while due.room and (hurried or self._pacer.ahead_s <= 0):
            if len(due.slots) % BREATH_SLOTS == 0:
                await _breathe()
            try:
                if hurried and self._course.open and self._draft_plain(due, state):
                    continue
                if (slot := self._peek(state)) is None:
                    break
                self._draft(due, state, slot)
            except MissingCandlesError:  # What comes before it is written first, whatever the pace.
                break
        begun_ns = self._clock.monotonic_ns()
        try:
            answered = await run_strategies(state, desk, due.drafts)
        except StrategyProcessLostError:
            self._pacer.take_back(len(due.slots))
            raise
        self._measure(len(due.slots), (self._clock.monotonic_ns() - begun_ns) / 1e9)
        return self._chunk(due, answered)

    def _measure(self, ticks: int, took_s: float) -> None:
        """Let the next chunk be as large as can be computed in `_CHUNK_S`."""
        if took_s > _CHUNK_S:
            self._most = max(1, int(ticks * _CHUNK_S / took_s))
        elif took_s < _CHUNK_S / 2:
            self._most = min(_CHUNK_TICKS, 2 * self._most)

    def _draft_plain(self, due: _Due, state: ReplayState) -> int:
        """Do what `_draft` does for the slots up to the next breath that need no judgement; returns how many joined.

        In an unpaced session nearly all are such, and this makes half the calls for each.
        """
        if not self._window.ready:
            return 0
        slots, drafts, before = due.slots, due.drafts, len(due.slots)
        plain, take = self._window.plain, self._window.take
        try:
            for _ in range(min(BREATH_SLOTS - before % BREATH_SLOTS, due.most - before)):
                if (slot := plain(state)) is None or due.events >= _CHUNK_EVENTS:
                    break
                made = draft_tick(state, slot)
                take(slot)
                slots.append(slot)
                drafts.append(made)
                due.events += len(made.events)
        finally:
            self._pacer.advance(len(slots) - before)
        return len(slots) - before

    def _draft(self, due: _Due, state: ReplayState, slot: Slot) -> None:
        """Let a slot join those that are due; raises `MissingCandlesError` with nothing changed."""
        made = draft_tick(state, slot)
        self._window.take(slot)
        self._pacer.advance()
        due.slots.append(slot)
        due.drafts.append(made)
        due.events += len(made.events)
        due.pause = self._course.over_after(slot)

    def _chunk(self, due: _Due, answered: Sequence[list[Event]]) -> Tick:
        """Join the ticks of slots, up to the first with which the session is to pause."""
        count, met = self._course.over_with(answered)
        events = [*due.before, *chain.from_iterable(answered[:count])]
        done = due.slots[:count]
        pause = due.pause if due.pause is not None and count == len(due.slots) else met
        self._used.add([candle for slot in done for candle in slot.candles])
        return Tick(
            self._id,
            self.session.epoch,
            due.prev_cursor_ms,
            done[-1].open_time_ms,
            events_to_json(events),
            len(events),
            pause,
            str(self._used),
            count,
        )

    @property
    def _hurried(self) -> bool:
        """Whether ticks follow each other without a pause."""
        return self._course.hurried or self._pacer.pace.unpaced

    def _peek(self, state: ReplayState) -> Slot | None:
        """Return the next slot if it is there without waiting or reading, and nothing is to happen before it."""
        try:
            slot = self._window.peek(state) if self._window.ready else None
        except NotYetDueError:
            return None
        jump_ms = self._course.jump_ms
        if slot is None or (slot.trailing and not slot.candles):  # What a gap is stamped with is not known yet.
            return None
        if self._course.over_before(slot) or (jump_ms is not None and slot.open_time_ms >= jump_ms):
            return None
        return slot

    async def _wait_for_slot(self, state: ReplayState) -> Slot | None:
        """Wait for the pace, then for the market: a slot that is due, or null at the end of the range."""
        while not self._window.done(state):
            await self._wait_for_pace()
            slot = await self._wait_for_market(state)
            if slot is None:
                return None
            if self._course.over_before(slot):
                await self._pause()
            if not self._course.landed_before(slot):
                return slot
            self._pacer.set(self._pacer.pace)
        return None

    async def _wait_for_pace(self) -> None:
        while not self._course.hurried and (ahead_s := self._pacer.ahead_s) > 0:
            await self._settle()
            await self._sleep(ahead_s)
        if not self._hurried:
            await self._writer.turn()

    async def _wait_for_market(self, state: ReplayState) -> Slot | None:
        waited = False
        while True:
            if self._control:
                await self._obey()
            try:
                slot = await self._slot(state)
            except NotYetDueError as wait:
                waited = True
                await self._settle()
                await self._sleep(self._until(wait.until_ms))
                continue
            if waited or self._course.hurried:
                self._pacer.excuse()
            return slot

    async def _pause(self) -> None:
        """Pause before a slot that lies behind the point the session was to run up to."""
        await self._settle()
        await self._insist(
            sessions.transition,
            self.session.id,
            "pause",
            reason="runUntil",
            by=self._name,
            epoch=self.session.epoch,
        )
        raise SessionLostError

    async def _slot(self, state: ReplayState) -> Slot | None:
        while True:
            try:
                return await self._window.next(state)
            except UnavailableError:
                self._window.forget()
                await self._sleep(0.5)

    def _until(self, until_ms: int | None) -> float:
        if until_ms is None:
            return self._poll_s
        return min(self._poll_s, max(0, until_ms - self._clock.now_ms()) / 1000)

    async def _sleep(self, seconds: float) -> None:
        """Sleep at most `seconds`, or until woken; a control is obeyed at once."""
        await self._clock.wait(self._wake, seconds)
        self._wake.clear()
        if self._control:
            await self._obey()

    async def _obey(self) -> None:
        """Take in what the row says now; raises `SessionLostError` when the session is not this runner's any more."""
        self._control = False
        row = await self._insist(sessions.get, self.session.id)
        if row.epoch != self.session.epoch or row.status != RUNNING:
            raise SessionLostError
        if row.spec.pace != self._pacer.pace:
            self._pacer.set(row.spec.pace)
        self._course.jump(row.jump_ms, row.cursor_ms)

    def _stall(self, state: ReplayState) -> list[Event]:
        """Return the control event of a stall, if the next tick is later than may be caught up."""
        if self._hurried or -self._pacer.ahead_s < STALL_S:
            return []
        moved_ms = self._pacer.excuse() // 1_000_000
        return [event.control(state.last_ts, "stall", {"movedMs": moved_ms}, self._name)]

    async def _settle(self) -> None:
        """Wait until what was handed to the writer is in the log, and keep the snapshot that was taken with it."""
        pending, self._pending = self._pending, None
        taken, self._taken = self._taken, None
        if pending is not None:
            await pending
        if taken is not None:
            await self._snapshots.put(self.session, taken)

    async def _fail(self, message: str, details: Any) -> None:
        try:
            await self._settle()
        except (SessionLostError, SimError):
            _log.debug("session %s had failed already", self.session.id)
        await self._insist(
            sessions.transition,
            self.session.id,
            "fail",
            reason="failed",
            by=self._name,
            epoch=self.session.epoch,
            error=message,
            error_details=details,
        )

    async def _insist(
        self, work: Callable[Concatenate[Connection, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do something in the database, however long it is away."""
        while True:
            try:
                return await self._database.run(work, *args, **kwargs)
            except UnavailableError:
                await asyncio.sleep(0.5)


async def _breathe(rounds: int = 1) -> None:
    """Let everything else in this event loop go on for some rounds."""
    for _ in range(rounds):
        await asyncio.sleep(0)
