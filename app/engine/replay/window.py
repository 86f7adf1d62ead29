"""The small stretch of candles a runner looks at: what comes next, and whether what is missing may still come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from app.db import candles
from app.db.pool import Database
from app.domain.market.candle import Candle
from app.domain.market.trading_hours import is_open, next_open
from app.domain.session import SessionSpec
from app.domain.tick import ReplayState, Slot
from app.engine.clock import Clock
from app.engine.replay.candle_feed import FetchJob

_PACED_ROWS = 64
_UNPACED_ROWS = 1000


class NotYetDueError(Exception):
    """Nothing can be said before `until_ms` (wall clock), or before more candles are stored."""

    def __init__(self, until_ms: int | None) -> None:
        super().__init__()
        self.until_ms = until_ms


class _CandlePage(NamedTuple):
    """Candles read from the cache in one look, when (wall clock, ms) it began, and how far the source was asked."""

    read_at_ms: int
    reach_ms: int | None
    candles: list[Candle]


class Window:
    """Slots of a session's range behind its cursor, read in stretches of bounded size, the next one ahead of need.

    Paced stretches differ in size by `stagger`, or sessions started together would go on reading together.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        spec: SessionSpec,
        *,
        unpaced: bool,
        stagger: int = 0,
        order: FetchJob | None = None,
    ) -> None:
        self._database = database
        self._order = order
        self._reach_ms: int | None = None
        self._clock = clock
        self._spec = spec
        self._single = len(spec.symbols) == 1
        least = max(20, (_UNPACED_ROWS if unpaced else _PACED_ROWS) // len(spec.symbols))
        self._rows = least if unpaced else least + stagger % least
        self._candles: deque[Candle] = deque()
        self._looked_ms = 0
        self._forgotten = False
        self._plain_to_ms = 0
        self._ahead: asyncio.Task[_CandlePage] | None = None

    def forget(self) -> None:
        """Drop what was read, or is being read: the cache has changed."""
        self._forgotten = True

    async def next(self, state: ReplayState) -> Slot | None:
        """Return the next slot, or None at the end of the range; raises `NotYetDueError` when it cannot be decided yet.

        A slot that lacks a symbol is given out once that candle cannot come any more: a later one of the symbol
        is there, or this look at the cache was `gap_grace_ms` after the slot's close.
        """
        if not self.done(state) and not self.ready:
            await self._read(state.cursor_ms)
        return self.peek(state)

    @property
    def ready(self) -> bool:
        """Whether `peek` has candles to look at."""
        return bool(self._candles) and not self._forgotten

    def peek(self, state: ReplayState) -> Slot | None:
        """Do what `next` does with what has been read already."""
        return self.plain(state) or self._judged(state)

    def plain(self, state: ReplayState) -> Slot | None:
        """Return the next slot where nothing is to be judged: whole, due, right behind the cursor and not the last.

        Nearly all slots are, and looking closer at each costs more than its candles.
        """
        if not self._candles or state.cursor_ms is None:
            return None
        open_time_ms = self._candles[0].open_time_ms
        if open_time_ms > self._plain_to_ms or not 0 < open_time_ms - state.cursor_ms <= self._spec.grid.ms:
            return None
        if self._single:
            return tuple.__new__(Slot, (open_time_ms, (self._candles[0],), False))  # half the time of Slot(...)
        found = _leading(self._candles, open_time_ms)
        return Slot(open_time_ms, found) if len(found) == len(self._spec.symbols) else None

    def _judged(self, state: ReplayState) -> Slot | None:
        if self.done(state):
            return None
        found = self._candles[0].open_time_ms if self._candles else None
        slot = self._to_fill(state, found) or (self._at_edge(state) if found is None else self._at(found))
        self._require_asked(state, slot)
        self._require_decided(slot)
        due_ms = self._spec.due_ms(slot.open_time_ms)
        if due_ms > self._clock.now_ms():
            raise NotYetDueError(due_ms)
        return slot

    def take(self, slot: Slot) -> None:
        """Move on behind a slot that was given out."""
        for _ in slot.candles:
            self._candles.popleft()

    def done(self, state: ReplayState) -> bool:
        """Whether no slot of the range is left."""
        last = self._spec.last_slot_ms
        behind = self._spec.first_slot_ms - 1 if state.cursor_ms is None else state.cursor_ms
        return last is not None and behind >= last

    async def _read(self, cursor_ms: int | None) -> None:
        """Read the next stretch, or take the one read ahead, and begin to read the one after it.

        Of one that was forgotten while it was read only the next slot is given out, then it is read again.
        """
        forgotten, self._forgotten = self._forgotten, False
        ahead, self._ahead = self._ahead, None
        stretch = None if forgotten or ahead is None else await ahead
        if stretch is None or not stretch.candles:
            stretch = await self._stretch(cursor_ms)
        self._candles = deque(stretch.candles)
        self._looked_ms, self._reach_ms = stretch.read_at_ms, stretch.reach_ms
        self._plain_to_ms = self._last_plain_ms(stretch.read_at_ms)
        if len(stretch.candles) >= self._rows:
            self._ahead = asyncio.ensure_future(self._stretch(stretch.candles[-1].open_time_ms))
            self._ahead.add_done_callback(_seen)

    async def _stretch(self, after_ms: int | None) -> _CandlePage:
        spec = self._spec
        behind = spec.start_ms - 1 if after_ms is None else after_ms
        read_at_ms, reach_ms = self._clock.now_ms(), self._order.reach_ms if self._order else None
        found = await self._database.run(
            candles.window, spec.venue, spec.symbols, spec.timeframe, behind, spec.end_ms, self._rows
        )
        return _CandlePage(read_at_ms, reach_ms, found)

    def _last_plain_ms(self, now_ms: int) -> int:
        """Return up to which openTime a whole slot that follows its predecessor needs no judgement."""
        spec = self._spec
        due_ms = now_ms - spec.due_ms(0)
        return due_ms if spec.last_slot_ms is None else min(due_ms, spec.last_slot_ms - 1)

    def _at(self, open_time_ms: int) -> Slot:
        last = self._spec.grid.floor(open_time_ms) == self._spec.last_slot_ms
        return Slot(open_time_ms, _leading(self._candles, open_time_ms), trailing=last)

    def _to_fill(self, state: ReplayState, found: int | None) -> Slot | None:
        """Return the next slot of the grid when the gap policy makes candles for it."""
        if self._spec.gap_policy != "fill" or not state.started or state.cursor_ms is None:
            return None
        following, last = self._following(state), self._spec.last_slot_ms
        if (found is not None and self._spec.grid.floor(found) <= following) or (last is not None and following > last):
            return None
        return Slot(following, (), trailing=following == last)

    def _at_edge(self, state: ReplayState) -> Slot:
        """Return the slot that says the rest of the range is missing; without an end there is none to wait for."""
        spec, following = self._spec, self._following(state)
        if spec.last_slot_ms is None:
            self._require_source()
            due_ms = spec.due_ms(following)
            raise NotYetDueError(due_ms if due_ms > self._clock.now_ms() else None)
        missing = spec.gap_policy == "fail" and following < spec.last_slot_ms
        return Slot(following if missing else spec.last_slot_ms, (), trailing=True)

    def _following(self, state: ReplayState) -> int:
        """Return the next slot in which a candle should open."""
        spec = self._spec
        behind = spec.first_slot_ms - spec.grid.ms if state.cursor_ms is None else spec.grid.floor(state.cursor_ms)
        return next_open(spec.hours, spec.grid, behind + spec.grid.ms)

    def _require_asked(self, state: ReplayState, slot: Slot) -> None:
        """Raise `NotYetDueError` until the source was asked for what is missing up to a slot, or the source's error."""
        spec = self._spec
        if self._order is None or (self._reach_ms or 0) > spec.grid.floor(slot.open_time_ms):
            return
        if len(slot.candles) == len(spec.symbols) and spec.grid.floor(slot.open_time_ms) <= self._following(state):
            return
        self._require_source()
        if self._order.reach_ms > spec.grid.floor(slot.open_time_ms):
            self.forget()
            raise NotYetDueError(0)
        raise NotYetDueError(None)

    def _require_source(self) -> None:
        if self._order is not None and self._order.error is not None:
            raise self._order.error

    def _require_decided(self, slot: Slot) -> None:
        """Raise `NotYetDueError` while a candle missing from the slot may still come."""
        spec = self._spec
        decided_ms = slot.open_time_ms + spec.grid.ms + spec.gap_grace_ms
        slot_ms = spec.grid.floor(slot.open_time_ms)
        patient = spec.end_ms is None and spec.gap_policy == "fail" and is_open(spec.hours, spec.grid, slot_ms)
        if len(slot.candles) == len(spec.symbols) or (self._looked_ms >= decided_ms and not patient):
            return
        missing = set(spec.symbols).difference(candle.symbol for candle in slot.candles)
        missing.difference_update(candle.symbol for candle in self._candles if candle.open_time_ms > slot.open_time_ms)
        if not missing:
            return
        if patient:
            raise NotYetDueError(None)
        if self._clock.now_ms() >= decided_ms:
            self.forget()
        raise NotYetDueError(decided_ms)


def _leading(found: deque[Candle], open_time_ms: int) -> Sequence[Candle]:
    leading = []
    for candle in found:
        if candle.open_time_ms != open_time_ms:
            break
        leading.append(candle)
    return leading


def _seen(task: asyncio.Task[Any]) -> None:
    """Look at what a read-ahead raised: the one who needs the candles reads again and meets the error itself."""
    if not task.cancelled():
        task.exception()
