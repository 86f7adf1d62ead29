"""Compute the next chunk of a session: the ticks of all slots that are due, joined for one append."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from app.clock import Clock
from app.db.log.chunks import Chunk, events_to_json
from app.domain.event import Event
from app.domain.market.fingerprint import Fingerprint
from app.domain.session import Session
from app.domain.tick import ReplayState, Slot, TickDraft, draft_tick
from app.engine.replay.pacer import Pacer
from app.engine.replay.run_limit import RunLimit
from app.engine.replay.window import Window
from app.errors import MissingCandlesError, StrategyProcessLostError
from app.strategy_hosts.strategy_host import SLOTS_PER_ROUND, StrategyHost, run_strategies

_MAX_SLOTS = 1000
"""Slots in a chunk of an unpaced session; a quarter of them while paced sessions also write."""

_MAX_EVENTS = 1000
"""A chunk takes no more slots once it has this many candle and gap events: many symbols give many per slot."""

_FIRST_SLOTS = 5
"""Slots in the first chunk; the number is doubled while they are computed quickly."""

_CHUNK_S = 1.0
"""Target seconds per chunk, so that a slow strategy still writes about once a second."""


@dataclass(slots=True)
class _ChunkDraft:
    """Slots that are due, at most `max_slots`, with their drafts; `pause` is the reason to pause after them, if any.

    `unpaced` means that the slots need not wait for the pace, `limited` that one of them may end the run or a jump.
    """

    prev_cursor_ms: int | None
    max_slots: int
    unpaced: bool
    limited: bool
    commands: int
    slots: list[Slot] = field(default_factory=list)
    ticks: list[TickDraft] = field(default_factory=list)
    events: int = 0
    pause: str | None = None

    @property
    def has_room(self) -> bool:
        return len(self.slots) < self.max_slots and self.events < _MAX_EVENTS and self.pause is None


class ChunkBuilder:
    """Takes slots from a session's window and computes their ticks."""

    def __init__(self, session: Session, window: Window, limit: RunLimit, pacer: Pacer, clock: Clock) -> None:
        self._session_id = str(session.id)
        self._epoch = session.epoch
        self._window = window
        self._limit = limit
        self._pacer = pacer
        self._clock = clock
        self._used = Fingerprint(session.candles_hash)
        self._max_slots = _FIRST_SLOTS

    @property
    def unpaced(self) -> bool:
        """Whether ticks follow each other without a pause."""
        return self._pacer.unpaced or self._limit.fast_forward

    async def build(
        self, state: ReplayState, host: StrategyHost | None, slot: Slot, *, before: Sequence[Event], short: bool
    ) -> Chunk:
        """Return a chunk: the events `before`, then the ticks of a slot and of those after it that are due.

        `short` keeps the chunk small. Raises `MissingCandlesError` or what the strategy raises.
        """
        max_slots = min(self._max_slots, _MAX_SLOTS // 4 if short else _MAX_SLOTS)
        draft = _ChunkDraft(state.cursor_ms, max_slots, self.unpaced, self._limit.is_set, state.commands)
        await self._draft(draft, state, slot)
        if draft.unpaced:
            self._pacer.advance(len(draft.slots))
        started_ns = self._clock.monotonic_ns()
        try:
            ticks = await run_strategies(state, host, draft.ticks)
        except StrategyProcessLostError:
            self._pacer.take_back(len(draft.slots))
            raise
        self._adjust_size(len(draft.slots), (self._clock.monotonic_ns() - started_ns) / 1e9)
        return self._join(draft, before, ticks)

    async def _draft(self, draft: _ChunkDraft, state: ReplayState, slot: Slot) -> None:
        """Add a slot to a draft, and the following slots that are due."""
        self._add(draft, state, slot)
        due_slots = self._window.due_slots(state)
        while draft.has_room and (draft.unpaced or self._pacer.ahead_s <= 0):
            if draft.unpaced and not draft.limited:
                try:
                    many = self._add_simple(draft, state)
                except MissingCandlesError:
                    return
                if many:
                    await let_others_run()
                    continue
            following = next(due_slots, None)
            if following is None or (draft.limited and self._limit.ends_before(following)):
                return
            try:
                self._add(draft, state, following)
            except MissingCandlesError:  # The slots before it are written first, at any pace.
                return
            if len(draft.slots) % SLOTS_PER_ROUND == 0:
                await let_others_run()

    def _add_simple(self, draft: _ChunkDraft, state: ReplayState) -> bool:
        """Add the next slots of a long range in one loop, half the calls of `_add`; false if the next is not simple."""
        slots = self._window.simple_slots(state, min(SLOTS_PER_ROUND, draft.max_slots - len(draft.slots)))
        before = len(draft.ticks)
        try:
            for slot in slots:
                draft.ticks.append(draft_tick(state, slot))
        finally:
            ticks = draft.ticks[before:]
            self._window.take_simple(len(ticks))
            draft.slots += slots[: len(ticks)]
            draft.events += sum([len(tick.events) for tick in ticks])
        return bool(slots)

    def _add(self, draft: _ChunkDraft, state: ReplayState, slot: Slot) -> None:
        """Add a slot to a draft; raises `MissingCandlesError` with nothing changed."""
        tick = draft_tick(state, slot)
        self._window.take(slot)
        if not draft.unpaced:
            self._pacer.advance()
        draft.slots.append(slot)
        draft.ticks.append(tick)
        draft.events += len(tick.events)
        if draft.limited:
            draft.pause = self._limit.reached_with(slot)

    def _adjust_size(self, slots: int, took_s: float) -> None:
        """Set the size of the next chunk to what can be computed in `_CHUNK_S`."""
        if took_s > _CHUNK_S:
            self._max_slots = max(1, int(slots * _CHUNK_S / took_s))
        elif took_s < _CHUNK_S / 2:
            self._max_slots = min(_MAX_SLOTS, 2 * self._max_slots)

    def _join(self, draft: _ChunkDraft, before: Sequence[Event], ticks: Sequence[list[Event]]) -> Chunk:
        """Join ticks into a chunk, up to the first one after which the session pauses.

        If the strategy failed, there are fewer ticks than slots.
        """
        reached = self._limit.reached_at(ticks)
        count = len(ticks) if reached is None else reached
        pause = draft.pause if count == len(draft.slots) else None
        if pause is None and reached is not None:
            pause = "runUntil"
        slots = draft.slots[:count]
        self._used.add([candle for slot in slots for candle in slot.candles])
        events = [*before, *chain.from_iterable(ticks[:count])]
        return Chunk(
            self._session_id,
            self._epoch,
            draft.prev_cursor_ms,
            slots[-1].open_time_ms,
            events_to_json(events),
            len(events),
            pause,
            str(self._used),
            count,
            draft.commands,
        )


async def let_others_run(rounds: int = 1) -> None:
    """Let the other tasks of this event loop run for some rounds."""
    for _ in range(rounds):
        await asyncio.sleep(0)
