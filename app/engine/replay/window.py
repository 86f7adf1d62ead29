"""The next candles of a session, read ahead page by page, and the decision whether a missing one may still arrive."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from app.clock import Clock
from app.db import candles
from app.db.pool import Database
from app.domain.market.candle import Candle
from app.domain.market.trading_hours import is_open, next_open
from app.domain.record import new_record
from app.domain.session import SessionSpec
from app.domain.tick import ReplayState, Slot
from app.engine.replay.candle_feed import FetchJob
from app.engine.replay.shared_candles import CandlePage, SharedCandles

_PACED_ROWS = 100
_UNPACED_ROWS = 1000


class NotYetDueError(Exception):
    """The next slot cannot be decided before `until_ms` (wall clock; null: until more candles are stored)."""

    def __init__(self, until_ms: int | None) -> None:
        super().__init__()
        self.until_ms = until_ms


class Window:
    """The slots of a session's range after its cursor; it reads the next page of candles while one is in use.

    Paced sessions read blocks of candles that they share with other sessions.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        spec: SessionSpec,
        *,
        shared: SharedCandles | None = None,
        fetch_job: FetchJob | None = None,
    ) -> None:
        self._database = database
        self._fetch_job = fetch_job
        self._clock = clock
        self._spec = spec
        self._one_symbol = len(spec.symbols) == 1
        self._shared = None if fetch_job is not None else shared
        self._fresh = True
        self._rows = max(20, (_UNPACED_ROWS if shared is None else _PACED_ROWS) // len(spec.symbols))
        self._candles: deque[Candle] = deque()
        self._invalid = False
        self._read_at_ms = 0
        self._fetched_to_ms: int | None = None
        self._simple_to_ms = 0
        self._next_page: asyncio.Task[CandlePage] | None = None

    def invalidate(self) -> None:
        """Discard what was read or is being read: the cache has changed."""
        self._invalid = True

    async def next_slot(self, state: ReplayState) -> Slot | None:
        """Return the slot that follows `state`, or null at the end of the range.

        A slot without a symbol's candle is returned once that candle can no longer arrive: the symbol has a later one,
        or the cache was read `gap_grace_ms` after the slot's close. Raises `NotYetDueError` before that.
        """
        if not self.at_end(state) and (self._invalid or not self._candles):
            await self._read(state.cursor_ms)
        return self._simple_slot(state) or self._decided_slot(state)

    def due_slots(self, state: ReplayState) -> Iterator[Slot]:
        """Yield the slots that follow `state` and are due, as far as candles have been read.

        The caller applies each slot to `state` and calls `take` before it asks for the next.
        """
        while self._candles and not self._invalid:
            slot = self._simple_slot(state)
            if slot is None:
                try:
                    slot = self._decided_slot(state)
                except NotYetDueError:
                    return
                if slot is None or (slot.trailing and not slot.candles):
                    return  # The ts of its gaps is that of the last event, which is not known yet.
            yield slot

    def simple_slots(self, state: ReplayState, count: int) -> list[Slot]:
        """Return the next slots of one symbol, `count` at most, as long as each is a `_simple_slot` after the other.

        They stay in the window until `take_simple`.
        """
        slots: list[Slot] = []
        before_ms, to_ms, step_ms = state.cursor_ms, self._simple_to_ms, self._spec.grid.ms
        if before_ms is None or self._invalid or not self._one_symbol:
            return slots
        for candle in islice(self._candles, count):
            open_time_ms = candle.open_time_ms
            if open_time_ms > to_ms or not 0 < open_time_ms - before_ms <= step_ms:
                break
            slots.append(new_record(Slot, (open_time_ms, (candle,), False)))
            before_ms = open_time_ms
        return slots

    def take_simple(self, count: int) -> None:
        """Remove the candles of so many used slots of one symbol."""
        for _ in range(count):
            self._candles.popleft()

    def take(self, slot: Slot) -> None:
        """Remove the candles of a used slot."""
        for _ in slot.candles:
            self._candles.popleft()

    def at_end(self, state: ReplayState) -> bool:
        """Whether no slot of the range is left."""
        last_ms = self._spec.last_slot_ms
        cursor_ms = self._spec.first_slot_ms - 1 if state.cursor_ms is None else state.cursor_ms
        return last_ms is not None and cursor_ms >= last_ms

    def _simple_slot(self, state: ReplayState) -> Slot | None:
        """Return the next slot if it is complete, due, right after the cursor and not the last; otherwise null.

        A fast path for nearly all slots of a long range: `_decided_slot` returns the same in twice the time.
        """
        if not self._candles or state.cursor_ms is None:
            return None
        open_time_ms = self._candles[0].open_time_ms
        if open_time_ms > self._simple_to_ms or not 0 < open_time_ms - state.cursor_ms <= self._spec.grid.ms:
            return None
        if self._one_symbol:
            return new_record(Slot, (open_time_ms, (self._candles[0],), False))
        group = _first_slot(self._candles)
        return Slot(open_time_ms, group) if len(group) == len(self._spec.symbols) else None

    def _decided_slot(self, state: ReplayState) -> Slot | None:
        """Return the next slot, or null at the end of the range; raises `NotYetDueError`."""
        if self.at_end(state):
            return None
        open_time_ms = self._candles[0].open_time_ms if self._candles else None
        slot = self._slot_to_fill(state, open_time_ms)
        if slot is None:
            slot = self._slot_without_candles(state) if open_time_ms is None else self._slot_at(open_time_ms)
        self._require_fetched(state, slot)
        self._require_decided(slot)
        due_ms = self._spec.due_ms(slot.open_time_ms)
        if due_ms > self._clock.now_ms():
            raise NotYetDueError(due_ms)
        return slot

    async def _read(self, cursor_ms: int | None) -> None:
        """Use the page that was read ahead, or read one; then start reading the page after it.

        If the page was invalidated during the read, only its next slot is used; then it is read again.
        """
        invalid, self._invalid = self._invalid, False
        if self._shared is not None and await self._read_shared(self._shared, cursor_ms, invalid=invalid):
            return
        ahead, self._next_page = self._next_page, None
        page = None if invalid or ahead is None else await ahead
        if page is None or not page.candles:
            page = await self._read_page(cursor_ms)
        self._use(page)
        if len(page.candles) >= self._rows:
            self._next_page = asyncio.ensure_future(self._read_page(page.candles[-1].open_time_ms))
            self._next_page.add_done_callback(_ignore_error)

    async def _read_shared(self, shared: SharedCandles, cursor_ms: int | None, *, invalid: bool) -> bool:
        """Use the next candles of a shared block; false if there are none near.

        The first ones are read anew: a candle may have been stored right before the session was started.
        """
        fresh, self._fresh = self._fresh or invalid, False
        after_ms = self._spec.start_ms - 1 if cursor_ms is None else cursor_ms
        page = await shared.next_page(self._spec, after_ms, fresh=fresh)
        if page is None:
            return False
        self._next_page = None
        self._use(page)
        return True

    def _use(self, page: CandlePage) -> None:
        self._candles = deque(page.candles)
        self._read_at_ms, self._fetched_to_ms = page.read_at_ms, page.fetched_to_ms
        self._simple_to_ms = self._last_simple_ms(page.read_at_ms)

    async def _read_page(self, after_ms: int | None) -> CandlePage:
        spec = self._spec
        after_ms = spec.start_ms - 1 if after_ms is None else after_ms
        read_at_ms, fetched_to_ms = self._clock.now_ms(), self._fetch_job.fetched_to_ms if self._fetch_job else None
        page = await self._database.run(
            candles.window, spec.venue, spec.symbols, spec.timeframe, after_ms, spec.end_ms, self._rows
        )
        return CandlePage(read_at_ms, fetched_to_ms, page)

    def _last_simple_ms(self, now_ms: int) -> int:
        """Return the last openTime at which a complete slot right after its predecessor is due and not the last."""
        spec = self._spec
        due_ms = now_ms - spec.due_ms(0)
        return due_ms if spec.last_slot_ms is None else min(due_ms, spec.last_slot_ms - 1)

    def _slot_at(self, open_time_ms: int) -> Slot:
        last = self._spec.grid.floor(open_time_ms) == self._spec.last_slot_ms
        return Slot(open_time_ms, _first_slot(self._candles), trailing=last)

    def _slot_to_fill(self, state: ReplayState, open_time_ms: int | None) -> Slot | None:
        """Return the next slot of the grid if it has no candles and the gap policy `fill` creates them."""
        if self._spec.gap_policy != "fill" or not state.started or state.cursor_ms is None:
            return None
        expected_ms, last_ms = self._expected_ms(state), self._spec.last_slot_ms
        if open_time_ms is not None and self._spec.grid.floor(open_time_ms) <= expected_ms:
            return None
        if last_ms is not None and expected_ms > last_ms:
            return None
        return Slot(expected_ms, (), trailing=expected_ms == last_ms)

    def _slot_without_candles(self, state: ReplayState) -> Slot:
        """Return an empty slot that marks the rest of the range as missing; an endless session waits instead."""
        spec, expected_ms = self._spec, self._expected_ms(state)
        if spec.last_slot_ms is None:
            self._require_source()
            due_ms = spec.due_ms(expected_ms)
            raise NotYetDueError(due_ms if due_ms > self._clock.now_ms() else None)
        missing = spec.gap_policy == "fail" and expected_ms < spec.last_slot_ms
        return Slot(expected_ms if missing else spec.last_slot_ms, (), trailing=True)

    def _expected_ms(self, state: ReplayState) -> int:
        """Return the openTime of the next candle according to the grid and the trading hours."""
        spec = self._spec
        before_ms = spec.first_slot_ms - spec.grid.ms if state.cursor_ms is None else spec.grid.floor(state.cursor_ms)
        return next_open(spec.hours, spec.grid, before_ms + spec.grid.ms)

    def _require_fetched(self, state: ReplayState, slot: Slot) -> None:
        """Raise `NotYetDueError` until missing candles up to a slot were fetched; raise the source's error, if any."""
        spec = self._spec
        slot_ms = spec.grid.floor(slot.open_time_ms)
        if self._fetch_job is None or (self._fetched_to_ms or 0) > slot_ms:
            return
        if len(slot.candles) == len(spec.symbols) and slot_ms <= self._expected_ms(state):
            return
        self._require_source()
        if self._fetch_job.fetched_to_ms > slot_ms:
            self.invalidate()
            raise NotYetDueError(0)
        raise NotYetDueError(None)

    def _require_source(self) -> None:
        if self._fetch_job is not None and self._fetch_job.error is not None:
            raise self._fetch_job.error

    def _require_decided(self, slot: Slot) -> None:
        """Raise `NotYetDueError` while a candle missing from the slot may still arrive."""
        spec = self._spec
        decided_ms = slot.open_time_ms + spec.grid.ms + spec.gap_grace_ms
        slot_ms = spec.grid.floor(slot.open_time_ms)
        endless = spec.end_ms is None and spec.gap_policy == "fail" and is_open(spec.hours, spec.grid, slot_ms)
        if len(slot.candles) == len(spec.symbols) or (self._read_at_ms >= decided_ms and not endless):
            return
        missing = set(spec.symbols).difference(candle.symbol for candle in slot.candles)
        missing.difference_update(candle.symbol for candle in self._candles if candle.open_time_ms > slot.open_time_ms)
        if not missing:
            return
        if endless:
            raise NotYetDueError(None)
        if self._clock.now_ms() >= decided_ms:
            self.invalidate()
        raise NotYetDueError(decided_ms)


def _first_slot(ahead: deque[Candle]) -> Sequence[Candle]:
    """Return the leading candles that have the same openTime."""
    first = []
    for candle in ahead:
        if candle.open_time_ms != ahead[0].open_time_ms:
            break
        first.append(candle)
    return first


def _ignore_error(task: asyncio.Task[Any]) -> None:
    """Retrieve the error of a read ahead: the next read gets the same error when it needs the candles."""
    if not task.cancelled():
        task.exception()
