"""State comes back from the log: the candles of the log are computed once more, and must lead to the log itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any, NamedTuple

from app.db import events, simulated_events
from app.db.pool import Connection, Database
from app.db.simulated_events import EventChunk
from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.market.fingerprint import Fingerprint
from app.domain.session import Session
from app.domain.tick import ReplayState, Slot, TickDraft, draft_tick
from app.engine.clock import Clock
from app.engine.replay.window import Window
from app.errors import DivergedError, MissingCandlesError
from app.strategy_hosts.strategy_host import StrategyHost, run_strategies

_new = tuple.__new__
_EVENTS = 2000
"""How many events are read and compared at once at most."""
_FIRST_EVENTS = 200
_CHARACTERS = 4_000_000
"""How long such a stretch may become: payloads may have 64 KB each."""
_BATCH = 100
"""Slots a desk is asked about at once."""


async def rebuild(database: Database, clock: Clock, session: Session, desk: StrategyHost | None) -> ReplayState:
    """Return the state after the last tick in the log, and bring a desk that was just opened there.

    With a strategy everything it wrote is computed again; raises `DivergedError` with the first event that differs.
    Candles alone need no more than a look at the end of the log.
    """
    state = ReplayState.initial(session.spec)
    if session.cursor_ms is None:
        return state
    if desk is None:
        return await database.run(_remembered, session, state)
    return await replay(database, clock, session, state, desk)


class Start(NamedTuple):
    """Where a log is computed from: behind a seq, with the fingerprint of the candles used up to there."""

    seq: int
    used: Fingerprint


async def replay(
    database: Database,
    clock: Clock,
    session: Session,
    state: ReplayState,
    desk: StrategyHost | None,
    start: Start | None = None,
) -> ReplayState:
    """Compute a log again up to its cursor, from its own candles or else the cache; raises `DivergedError`.

    With a `start` the state and the desk are there already, and its fingerprint takes in what follows.
    """
    check = LogComparer(database, session, start.seq if start else 0)
    full = session.spec.trading.record == "full"
    drafts: list[TickDraft] = []
    async for slots in logged_slots(check) if full else cached_slots(database, clock, session, state):
        for slot in slots:
            if start is not None:
                start.used.add(slot.candles)
            if len(drafts) >= _BATCH or slot.trailing:
                await _compute(check, state, desk, drafts)
                drafts = []
            try:
                drafts.append(draft_tick(state, slot))
            except MissingCandlesError:  # What differs before a hole is named first.
                await _compute(check, state, desk, drafts)
                await check.compare()
                raise
    await _compute(check, state, desk, drafts)
    if state.cursor_ms != session.cursor_ms:
        assert session.cursor_ms is not None
        await _compute(check, state, desk, [draft_tick(state, Slot(session.cursor_ms, (), trailing=True))])
    await check.finish()
    return state


async def _compute(
    check: LogComparer, state: ReplayState, desk: StrategyHost | None, drafts: Sequence[TickDraft]
) -> None:
    await check.add(chain.from_iterable(await run_strategies(state, desk, drafts)))
    if desk is not None and desk.fault is not None:
        raise desk.fault


class LogComparer:
    """Holds what is computed against what is logged, event by event, a stretch at a time."""

    def __init__(self, database: Database, session: Session, after_seq: int = 0) -> None:
        self._database = database
        self.session = session
        self._after_seq = after_seq
        self._compared = 0
        self._logged: list[str] = []
        self._computed: list[Event] = []
        self._fitting = _FIRST_EVENTS
        self._ahead = self._read(after_seq)
        self._exhausted = False

    async def stretch(self) -> EventChunk | None:
        """Read the next stretch of the log; null at its end."""
        found = await self._ahead
        if found is None:
            self._exhausted = True
        else:
            lines = found.lines
            self._fitting = max(1, min(len(lines) * _CHARACTERS // len(found.body), _EVENTS))
            self._ahead = self._read(found.last_seq)
            self._logged += lines
        return found

    def _read(self, after_seq: int) -> asyncio.Task[EventChunk | None]:
        """Begin to read as many events as fit, so that Postgres is at it while this process computes."""
        work = self._database.run(
            simulated_events.read_chunk, self.session.id, after_seq, self._fitting, self.session.last_seq
        )
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def add(self, computed: Iterable[Event]) -> None:
        """Take in what was computed next; as much as is read at once is compared, so that neither side piles up."""
        self._computed.extend(computed)
        if len(self._computed) >= self._fitting:
            await self.compare()

    async def finish(self) -> None:
        """Compare the rest; raises `DivergedError` when one side has more than the other."""
        while not self._exhausted:
            await self.stretch()
        await self.compare()
        if self._logged:
            seq = await self._seq(0)
            one = await self._database.run(events.get_event, self.session.id, seq)
            raise DivergedError(_sentence(seq), details={"seq": seq, "logged": one, "computed": None})
        if self._computed:
            more = _shown(self._computed[0])
            raise DivergedError(_sentence(None), details={"seq": None, "logged": None, "computed": more})

    async def compare(self) -> None:
        """Compare what was computed so far; raises `DivergedError` with the first event that differs."""
        while len(self._logged) < len(self._computed) and not self._exhausted:
            await self.stretch()
        count = min(len(self._logged), len(self._computed))
        computed = self._computed[:count]
        triples = enumerate(zip(self._logged, simulated_events.event_lines(computed), computed, strict=False))
        other = [
            place
            for place, (line, spelled, made) in triples
            if line != spelled and not simulated_events.line_equals(line, made)
        ]
        for place in other:
            seq = await self._seq(place)
            difference = await self._database.run(simulated_events.difference, self.session.id, seq, computed[place])
            if difference is not None:
                raise DivergedError(_sentence(seq), details=difference)
        del self._logged[:count], self._computed[:count]
        self._compared += count

    async def _seq(self, place: int) -> int:
        """Return the seq of a logged event by its place among those not compared yet."""
        number = self._compared + place + 1
        return await self._database.run(simulated_events.seq_of, self.session.id, number, self._after_seq)


async def logged_slots(check: LogComparer) -> AsyncIterator[list[Slot]]:
    """Yield the slots whose candles stand in the log, up to the session's cursor, as many as a stretch has whole.

    The slot it may end in waits for the next one, so what is computed never needs more of the log than was read here.
    """
    spec = check.session.spec
    last_ms, timeframe = spec.last_slot_ms, spec.timeframe
    group: list[Candle] = []
    while (found := await check.stretch()) is not None:
        slots = []
        for candle in found.candles():
            if candle.timeframe != timeframe:
                continue
            if group and group[0].open_time_ms != candle.open_time_ms:
                slots.append(_slot(last_ms, group))
                group = []
            group.append(candle)
        del found
        yield slots
    if group:
        yield [_slot(last_ms, group)]


async def cached_slots(
    database: Database, clock: Clock, session: Session, state: ReplayState
) -> AsyncIterator[list[Slot]]:
    """Yield the slots of the cache up to the session's cursor, as its runner met them: one, then the state is to move.

    Each looks where the state has come to.
    """
    window = Window(database, clock, session.spec, unpaced=True)
    while state.cursor_ms != session.cursor_ms:
        slot = await window.next(state)
        if slot is None or session.cursor_ms is None or slot.open_time_ms > session.cursor_ms:
            return
        yield [slot]
        window.take(slot)


def _slot(last_ms: int | None, group: list[Candle]) -> Slot:
    open_ms = group[0].open_time_ms
    trailing = last_ms is not None and open_ms >= last_ms
    return _new(Slot, (open_ms, [candle for candle in group if not candle.synthetic], trailing))


def _shown(made: Event) -> dict[str, Any]:
    return {"ts": made.ts, "type": made.type, "payload": json.loads(made.body)}


def _sentence(seq: int | None) -> str:
    place = "behind the end of its log" if seq is None else f"at seq {seq}"
    return f"The session computes something else than its log holds {place}."


async def _remembered(connection: Connection, session: Session, state: ReplayState) -> ReplayState:
    """Return the state of a session without a strategy: where gaps would begin, last closes, longer candles."""
    state.cursor_ms = session.cursor_ms
    state.last_ts = session.last_ts or session.spec.start_ms
    symbols, grid = session.spec.symbols, session.spec.grid
    for symbol, (_, close) in (await events.last_candles(connection, session.id, symbols, grid.name)).items():
        state.tracks[symbol].close = Decimal(close)
    real = await events.last_candles(connection, session.id, symbols, grid.name, real=True)
    for symbol, (open_ms, _) in real.items():
        state.tracks[symbol].next_open_ms = grid.floor(open_ms) + grid.ms
    if state.buckets is not None and state.reach_ms is not None:
        state.recall(await events.candles_since(connection, session.id, state.reach_ms))
        opens = await events.last_long_opens(connection, session.id, symbols, session.spec.extra_timeframes)
        for bucket in state.buckets:
            if (bucket.symbol, bucket.grid.name) in opens:
                bucket.emitted(opens[bucket.symbol, bucket.grid.name])
    return state
