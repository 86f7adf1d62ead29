"""A session: what is replayed, how fast, and which moves its status allows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Final, NamedTuple
from uuid import UUID

from app.domain.lineage import Ancestor
from app.domain.market.timeframe import TIMEFRAMES, Timeframe
from app.domain.market.trading_hours import OpeningHours
from app.domain.trading.settings import TradingSettings

CREATED: Final = "created"
RUNNING: Final = "running"
PAUSED: Final = "paused"
STOPPED: Final = "stopped"
FINISHED: Final = "finished"
FAILED: Final = "failed"

STATUSES: Final = (CREATED, RUNNING, PAUSED, STOPPED, FINISHED, FAILED)
ENDED: Final = (STOPPED, FINISHED, FAILED)
"""Statuses after which a stream that has caught up ends."""

MOVES: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "start": ((CREATED, PAUSED, FAILED), RUNNING),
    "pause": ((RUNNING,), PAUSED),
    "resume": ((PAUSED,), RUNNING),
    "stop": ((CREATED, RUNNING, PAUSED, FAILED), STOPPED),
    "fail": ((CREATED, RUNNING, PAUSED, FAILED), FAILED),
    "finish": ((RUNNING,), FINISHED),
    "step": ((CREATED, PAUSED), RUNNING),
    "runUntil": ((CREATED, PAUSED), RUNNING),
}
"""Per call: the statuses it moves from and the one it moves to."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The pause between two ticks: either `ms` per tick (0 = unpaced) or the timeframe divided by `speed`."""

    ms: int | None = None
    speed: int | None = None

    @property
    def unpaced(self) -> bool:
        """Whether ticks follow each other without a pause."""
        return self.ms == 0

    def offset_ns(self, ticks: int, timeframe: Timeframe) -> int:
        """Return how long after the anchor tick number `ticks` is due, in ns, rounded down, without drift."""
        if self.speed is not None:
            return ticks * timeframe.ms * 1_000_000 // self.speed
        return ticks * (self.ms or 0) * 1_000_000


@dataclass(frozen=True)
class SessionSpec:
    """What a caller chooses when creating a session; times in ms UTC, the range is `[start_ms, end_ms)`."""

    profile_slug: str
    venue: str
    symbols: tuple[str, ...]
    timeframe: str
    start_ms: int
    end_ms: int | None
    lag_ms: int
    pace: Pace
    gap_policy: str
    gap_grace_ms: int
    extra_timeframes: tuple[str, ...] = ()
    warmup_candles: int = 0
    terms: TradingSettings = field(default_factory=TradingSettings)
    kind: str = "sim"
    name: str | None = None
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    hours: OpeningHours | None = field(default=None, compare=False, repr=False)
    """The trading hours of the venue, given by the process that runs it: closed hours are no gap. Not stored."""

    @cached_property
    def grid(self) -> Timeframe:
        """The timeframe with its length and grid."""
        return TIMEFRAMES[self.timeframe]

    @cached_property
    def desk_terms(self) -> TradingSettings:
        """The terms with all a trader needs; its chance comes from what the session was asked for alone."""
        inputs = (self.profile_slug, self.config, self.venue, self.symbols, self.timeframe, self.start_ms)
        seed = json.dumps(inputs, sort_keys=True)
        return replace(self.terms, symbols=self.symbols, timeframe=self.timeframe, seed=seed)

    @cached_property
    def first_slot_ms(self) -> int:
        """The first grid time of the range."""
        return self.grid.ceil(self.start_ms)

    @cached_property
    def warmup_ms(self) -> int:
        """Where the candles to warm up on begin when none of them is missing."""
        return self.first_slot_ms - self.warmup_candles * self.grid.ms

    @cached_property
    def last_slot_ms(self) -> int | None:
        """The last grid time of the range, null when it has no end; before `first_slot_ms` when there is none."""
        return None if self.end_ms is None else self.grid.floor(self.end_ms - 1)

    def due_ms(self, open_time_ms: int) -> int:
        """Return when the candle of a slot may appear at the earliest: closed, and lagging by `lag_ms`."""
        return open_time_ms + max(self.grid.ms, self.lag_ms)


class Waiting(NamedTuple):
    """The candle a running session waits for: of which symbols it is not cached yet, none when it is only not due.

    Times in ms UTC; before `due_ms` the candle does not appear even where it is cached. `text` says it in a sentence.
    """

    symbols: tuple[str, ...]
    open_time_ms: int
    due_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it stands in its row."""

    id: UUID
    user_id: str
    spec: SessionSpec
    status: str
    cursor_ms: int | None
    last_seq: int
    last_ts: int | None
    error: str | None
    error_details: Any
    idempotency_key: str | None
    request_hash: str | None
    runner: str | None
    incarnation: int | None
    epoch: int
    takeovers: int
    steps_left: int | None
    until_ms: int | None
    until_type: str | None
    jump_ms: int | None
    strategy_hash: str | None
    warmup_hash: str | None
    candles_hash: str | None
    digest: str | None
    parent_id: UUID | None
    fork_seq: int | None
    lineage: tuple[Ancestor, ...]
    created_at: datetime
    updated_at: datetime
    fetching: tuple[int, int] | None = None
    waiting: Waiting | None = None

    @property
    def past(self) -> tuple[Ancestor, ...]:
        """The ancestors that left ticks in the log, oldest first."""
        return tuple(stretch for stretch in self.lineage if stretch.to_cursor_ms is not None)

    @property
    def slugs(self) -> set[str]:
        """The profiles of all strategies that wrote the log, or will."""
        return {self.spec.profile_slug, *(each.profile_slug for each in self.past)}

    @property
    def ended(self) -> bool:
        """Whether no more events come unless somebody starts it again."""
        return self.status in ENDED

    def progress(self) -> dict[str, Any] | None:
        """Return slots done, slots in all and percent, and how far missing candles are fetched while they are.

        Null for an endless session, unless its candles up to now are being fetched.
        """
        spec = self.spec
        fetching = self.fetching and dict(zip(("done", "total"), self.fetching, strict=True))
        if spec.end_ms is None:
            return fetching and {"done": None, "total": None, "pct": None, "fetching": fetching}
        total = spec.grid.slots(spec.start_ms, spec.end_ms)
        done = 0 if self.cursor_ms is None else spec.grid.slots(spec.start_ms, self.cursor_ms + 1)
        progress = {"done": done, "total": total, "pct": round(100 * done / total, 2) if total else 100}
        return {**progress, "fetching": fetching} if fetching else progress
