"""Recompute a session's log: this restores the state in memory, and the result must equal the log."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from app.clock import Clock
from app.db.commands import LoggedCommand
from app.db.commands import logged as logged_commands
from app.db.log import events, simulated_events
from app.db.log.simulated_events import EventPage
from app.db.pool import Connection, Database
from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.market.fingerprint import Fingerprint
from app.domain.session import Session
from app.domain.setting import MAX_TIME_MS
from app.domain.tick import ReplayState, Slot, TickDraft, draft_tick
from app.domain.trading.command import Command
from app.engine.replay.window import Window
from app.errors import DivergedError, MissingCandlesError
from app.strategy_hosts.strategy_host import StrategyHost, run_command, run_strategies

_MAX_EVENTS = 2000
"""How many events are read and compared at once, at most."""
_FIRST_EVENTS = 200
_MAX_CHARACTERS = 4_000_000
"""Maximum text of the events read at once: a payload may have 64 KB."""
_MAX_COMMANDS = 500
_SLOTS_PER_CALL = 100
"""Slots given to a strategy host at once."""


async def rebuild(database: Database, clock: Clock, session: Session, host: StrategyHost | None) -> ReplayState:
    """Return the state after the last tick in the log, and bring a new strategy host to the same point.

    With a strategy the whole log is recomputed; raises `DivergedError` with the first event that differs. Without one
    the end of the log is enough.
    """
    state = ReplayState.initial(session.spec)
    if session.cursor_ms is None and not session.commands:
        return state
    if host is None:
        return await database.run(_state_from_log, session, state)
    return await replay(database, clock, session, state, host)


class BlockEnd(NamedTuple):
    """The end of a slot or command in a log: how many simulated events there are up to it, and the cursor (ms UTC)."""

    events: int
    cursor_ms: int | None


class ReplayStart(NamedTuple):
    """Where a replay starts: after a seq, with the fingerprint of the candles used so far."""

    after_seq: int
    used: Fingerprint


async def replay(
    database: Database,
    clock: Clock,
    session: Session,
    state: ReplayState,
    host: StrategyHost | None,
    start: ReplayStart | None = None,
    comparer: LogComparer | None = None,
) -> ReplayState:
    """Recompute a log up to its cursor, from its own candles or else from the cache; raises `DivergedError`.

    With a `start` the state and the host are already at that point; the candles after it are added to its fingerprint.
    A given `comparer` tells afterwards up to where the log is equal.
    """
    comparer = comparer or LogComparer(database, session, start.after_seq if start else 0)
    full = session.spec.trading.record == "full"
    commands = LoggedCommands(database, session, start.after_seq if start else 0)
    drafts: list[TickDraft] = []
    async for slots in logged_slots(comparer) if full else cached_slots(database, clock, session, state):
        for slot in slots:
            if start is not None:
                start.used.add(slot.candles)
            if commands.left and await commands.has_before(slot.open_time_ms):
                await _compute(comparer, state, host, drafts)
                drafts = []
                await _run_commands(comparer, state, host, commands, slot.open_time_ms)
            if len(drafts) >= _SLOTS_PER_CALL or slot.trailing:
                await _compute(comparer, state, host, drafts)
                drafts = []
            try:
                drafts.append(draft_tick(state, slot))
            except MissingCandlesError:  # A difference before the gap is reported first.
                await _compute(comparer, state, host, drafts)
                await comparer.compare()
                raise
    await _compute(comparer, state, host, drafts)
    if state.cursor_ms != session.cursor_ms:
        assert session.cursor_ms is not None
        await _run_commands(comparer, state, host, commands, session.cursor_ms)
        await _compute(comparer, state, host, [draft_tick(state, Slot(session.cursor_ms, (), trailing=True))])
    await _run_commands(comparer, state, host, commands)
    await comparer.finish()
    return state


class LoggedCommands:
    """The commands of a log after a seq, read page by page. Each was applied at the cursor that it names."""

    def __init__(self, database: Database, session: Session, after_seq: int) -> None:
        self._database = database
        self._session = session
        self._after_seq = after_seq
        self._page: deque[LoggedCommand] = deque()
        self.left = session.commands > 0
        """Whether there may be more."""

    async def has_before(self, open_time_ms: int) -> bool:
        """Whether the next command was applied before the slot of an open time."""
        if not self._page and self.left:
            await self._read()
        return bool(self._page) and ((cursor_ms := self._page[0].cursor_ms) is None or cursor_ms < open_time_ms)

    async def take(self, before_ms: int | None) -> Command | None:
        """Return the next command if it was applied before the slot of an open time (null: any), and advance."""
        if not self.left or not await self.has_before(MAX_TIME_MS if before_ms is None else before_ms):
            return None
        logged = self._page.popleft()
        return Command(logged.action, logged.args)

    async def _read(self) -> None:
        page = await self._database.run(
            logged_commands, self._session.id, self._after_seq, self._session.last_seq, _MAX_COMMANDS
        )
        self._page.extend(page)
        self.left = bool(page)
        if page:
            self._after_seq = page[-1].seq


async def _run_commands(
    comparer: LogComparer,
    state: ReplayState,
    host: StrategyHost | None,
    commands: LoggedCommands,
    before_ms: int | None = None,
) -> None:
    """Run the commands that were applied before a slot."""
    while (command := await commands.take(before_ms)) is not None:
        await comparer.add([await run_command(state, host, command)], [state.cursor_ms])


async def _compute(
    comparer: LogComparer, state: ReplayState, host: StrategyHost | None, drafts: Sequence[TickDraft]
) -> None:
    blocks = await run_strategies(state, host, drafts)
    await comparer.add(blocks, [draft.view.open_time_ms for draft in drafts])
    if host is not None and host.error is not None:
        raise host.error


class LogComparer:
    """Compares computed events with the log, event by event, and reads the log page by page."""

    def __init__(self, database: Database, session: Session, after_seq: int = 0) -> None:
        self._database = database
        self.session = session
        self._after_seq = after_seq
        self._compared = 0
        self._added = 0
        self._ends: deque[BlockEnd] = deque()
        self.equal_to = BlockEnd(0, None)
        """The end of the last block that was compared and is equal."""
        self._logged: list[str] = []
        self._computed: list[Event] = []
        self._page_events = _FIRST_EVENTS
        self._next_page = self._start_reading(after_seq)
        self._exhausted = False

    async def read_page(self) -> EventPage | None:
        """Return the next page of the log and start reading the one after it; null at the end."""
        page = await self._next_page
        if page is None:
            self._exhausted = True
        else:
            lines = page.lines
            self._page_events = max(1, min(len(lines) * _MAX_CHARACTERS // len(page.body), _MAX_EVENTS))
            self._next_page = self._start_reading(page.last_seq)
            self._logged += lines
        return page

    def _start_reading(self, after_seq: int) -> asyncio.Task[EventPage | None]:
        """Start reading events, so that Postgres works while this process computes."""
        work = self._database.run(
            simulated_events.read_page, self.session.id, after_seq, self._page_events, self.session.last_seq
        )
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def add(self, blocks: Sequence[Sequence[Event]], cursors: Sequence[int | None]) -> None:
        """Add the events of computed blocks, each with the cursor at its end; compare them once they fill a page."""
        for block, cursor_ms in zip(blocks, cursors, strict=False):
            self._computed.extend(block)
            self._added += len(block)
            self._ends.append(BlockEnd(self._added, cursor_ms))
        if len(self._computed) >= self._page_events:
            await self.compare()

    async def finish(self) -> None:
        """Compare the rest; raises `DivergedError` if one side has more events."""
        while not self._exhausted:
            await self.read_page()
        await self.compare()
        if self._logged:
            seq = await self.next_seq()
            logged = await self._database.run(events.get_event, self.session.id, seq)
            raise DivergedError(_message(seq), details={"seq": seq, "logged": logged, "computed": None})
        if self._computed:
            computed = _event_json(self._computed[0])
            raise DivergedError(_message(None), details={"seq": None, "logged": None, "computed": computed})

    async def compare(self) -> None:
        """Compare the events computed so far; raises `DivergedError` with the first event that differs."""
        while len(self._logged) < len(self._computed) and not self._exhausted:
            await self.read_page()
        count = min(len(self._logged), len(self._computed))
        computed = self._computed[:count]
        pairs = zip(self._logged, simulated_events.event_lines(computed), computed, strict=False)
        differing = [
            index
            for index, (logged, line, event) in enumerate(pairs)
            if logged != line and not simulated_events.line_equals(logged, event)
        ]
        for index in differing:
            seq = await self._seq(index)
            difference = await self._database.run(simulated_events.difference, self.session.id, seq, computed[index])
            if difference is not None:
                self._set_equal(self._compared + index)
                raise DivergedError(_message(seq), details=difference)
        del self._logged[:count], self._computed[:count]
        self._compared += count
        self._set_equal(self._compared)

    def _set_equal(self, events: int) -> None:
        """Set the end of the last block of which all events are among the first `events`."""
        while self._ends and self._ends[0].events <= events:
            self.equal_to = self._ends.popleft()

    async def next_seq(self) -> int:
        """Return the seq of the first logged event that is not compared yet."""
        return await self._seq(0)

    async def _seq(self, index: int) -> int:
        """Return the seq of a logged event, given its index among those not yet compared."""
        number = self._compared + index + 1
        return await self._database.run(simulated_events.seq_of, self.session.id, number, self._after_seq)


async def logged_slots(comparer: LogComparer) -> AsyncIterator[list[Slot]]:
    """Yield the slots of the log up to the session's cursor, all complete slots of a page at a time.

    The last slot of a page may continue in the next page and is yielded with that one, so that what is computed never
    needs more of the log than was read.
    """
    spec = comparer.session.spec
    last_ms, timeframe = spec.last_slot_ms, spec.timeframe
    group: list[Candle] = []
    while (page := await comparer.read_page()) is not None:
        slots = []
        for candle in page.candles():
            if candle.timeframe != timeframe:
                continue
            if group and group[0].open_time_ms != candle.open_time_ms:
                slots.append(_slot(last_ms, group))
                group = []
            group.append(candle)
        del page
        yield slots
    if group:
        yield [_slot(last_ms, group)]


async def cached_slots(
    database: Database, clock: Clock, session: Session, state: ReplayState
) -> AsyncIterator[list[Slot]]:
    """Yield the slots of the cache up to the session's cursor, one at a time, as its session runner took them.

    The caller applies each slot to `state` before it asks for the next.
    """
    window = Window(database, clock, session.spec)
    while state.cursor_ms != session.cursor_ms:
        slot = await window.next_slot(state)
        if slot is None or session.cursor_ms is None or slot.open_time_ms > session.cursor_ms:
            return
        yield [slot]
        window.take(slot)


async def cached_blocks(
    database: Database, clock: Clock, session: Session, state: ReplayState, host: StrategyHost | None
) -> AsyncIterator[int]:
    """Recompute a log from the cache; yield the number of events of each block: a slot, or a command."""
    commands = LoggedCommands(database, session, 0)
    async for slots in cached_slots(database, clock, session, state):
        for slot in slots:
            while (command := await commands.take(slot.open_time_ms)) is not None:
                yield len(await run_command(state, host, command))
            yield sum(map(len, await run_strategies(state, host, [draft_tick(state, slot)])))
    while (command := await commands.take(None)) is not None:
        yield len(await run_command(state, host, command))


def _slot(last_ms: int | None, group: list[Candle]) -> Slot:
    open_ms = group[0].open_time_ms
    trailing = last_ms is not None and open_ms >= last_ms
    return Slot(open_ms, [candle for candle in group if not candle.synthetic], trailing)


def _event_json(event: Event) -> dict[str, Any]:
    return {"ts": event.ts, "type": event.type, "payload": json.loads(event.body)}


def _message(seq: int | None) -> str:
    if seq is None:
        return "Recomputing the session gives more events than its log has."
    return f"Recomputing the session gives a different event at seq {seq} than the log has."


async def _state_from_log(connection: Connection, session: Session, state: ReplayState) -> ReplayState:
    """Return the state of a session without a strategy: next expected slots, last closes, longer candles."""
    state.cursor_ms, state.commands = session.cursor_ms, session.commands
    state.last_ts = session.last_ts or session.spec.start_ms
    symbols, grid = session.spec.symbols, session.spec.grid
    for symbol, (_, close) in (await events.last_candles(connection, session.id, symbols, grid.name)).items():
        state.symbol_states[symbol].close = Decimal(close)
    real = await events.last_candles(connection, session.id, symbols, grid.name, real=True)
    for symbol, (open_ms, _) in real.items():
        state.symbol_states[symbol].next_open_ms = grid.floor(open_ms) + grid.ms
    if state.resamplers is not None and state.resample_from_ms is not None:
        state.resample(await events.candles_since(connection, session.id, state.resample_from_ms))
        opens = await events.last_long_opens(connection, session.id, symbols, session.spec.extra_timeframes)
        for resampler in state.resamplers:
            if (resampler.symbol, resampler.grid.name) in opens:
                resampler.mark_written(opens[resampler.symbol, resampler.grid.name])
    return state
