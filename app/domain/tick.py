"""One tick: what a slot of the range puts into the log. Pure, so the same input gives the same events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from app.domain import candle_event, event
from app.domain.event import Event
from app.domain.market.candle import Candle, Gap
from app.domain.market.resample import Resamplers
from app.domain.market.timeframe import Timeframe
from app.domain.market.trading_hours import is_open, open_gaps
from app.domain.session import SessionSpec
from app.domain.trading.strategy_runner import SlotView
from app.errors import MissingCandlesError

_new = tuple.__new__


class Slot(NamedTuple):
    """One openTime of the range with the candles that exist for it, in symbol order.

    `trailing` marks the slot that ends a range whose last candles are missing.
    """

    open_time_ms: int
    candles: Sequence[Candle]
    trailing: bool = False


class TickDraft(NamedTuple):
    """What the market puts into a slot's tick, and what the session's trader is shown of it."""

    events: list[Event]
    shown: SlotView


@dataclass(slots=True)
class SymbolState:
    """What a tick must remember of one symbol: where its next gap would begin, and its last close."""

    symbol: str
    next_open_ms: int
    close: Decimal | None = None


@dataclass(slots=True)
class ReplayState:
    """What a session carries from tick to tick."""

    spec: SessionSpec
    tracks: dict[str, SymbolState]
    cursor_ms: int | None
    last_ts: int
    buckets: Resamplers | None
    full: bool
    """Whether candles stand in the log."""
    grid: Timeframe

    @classmethod
    def initial(cls, spec: SessionSpec) -> ReplayState:
        """Return the state before the first tick."""
        tracks = {symbol: SymbolState(symbol, spec.first_slot_ms) for symbol in spec.symbols}
        return cls(
            spec,
            tracks,
            None,
            spec.start_ms,
            Resamplers(spec) if spec.extra_timeframes else None,
            spec.trading.record == "full",
            spec.grid,
        )

    @property
    def reach_ms(self) -> int | None:
        """From which openTime on logged candles matter to the longer ones under way; null when none are wanted."""
        if self.cursor_ms is None or self.buckets is None:
            return None
        return min(bucket.grid.floor(self.cursor_ms) for bucket in self.buckets)

    def recall(self, candles: Sequence[Candle]) -> None:
        """Take in candles of the log, in order, without writing anything: what a restart needs to go on."""
        assert self.buckets is not None
        for candle in candles:
            if candle.timeframe == self.spec.timeframe:
                self.buckets.add([candle])

    def snapshot(self) -> dict[str, Any]:
        """Return what `restored` needs."""
        return {
            "tracks": {symbol: (track.next_open_ms, track.close) for symbol, track in self.tracks.items()},
            "cursorMs": self.cursor_ms,
            "lastTs": self.last_ts,
            "buckets": [bucket.snapshot() for bucket in self.buckets or ()],
        }

    @classmethod
    def restored(cls, spec: SessionSpec, kept: dict[str, Any]) -> ReplayState:
        """Return the state whose `snapshot` was taken with the same spec; raises `ValueError` for another."""
        state = cls.initial(spec)
        state.cursor_ms, state.last_ts = kept["cursorMs"], kept["lastTs"]
        for track, (symbol, values) in zip(state.tracks.values(), kept["tracks"].items(), strict=True):
            if track.symbol != symbol:
                raise ValueError(symbol)
            track.next_open_ms, track.close = values
        for bucket, values in zip(state.buckets or (), kept["buckets"], strict=True):
            bucket.restore(values)
        return state

    @property
    def started(self) -> bool:
        """Whether some symbol has had a candle, so that a gap could be filled."""
        return any(track.close is not None for track in self.tracks.values())


def draft_tick(state: ReplayState, slot: Slot) -> TickDraft:
    """Advance `state` over one slot and return what the market makes of it, in order; a trader's events come behind.

    Raises `MissingCandlesError`, and leaves `state` as it was, when something is missing that may not be.
    """
    open_time_ms, candles, trailing = slot
    # The two loops over the candles stand here, as a call for each costs more than they do.
    tracks, grid = state.tracks, state.grid
    length_ms = grid.ms
    whole = len(candles) == len(tracks)
    for candle in candles if whole else ():
        if candle.open_time_ms - tracks[candle.symbol].next_open_ms >= length_ms:
            whole = False
    if whole:
        ts = open_time_ms
        events: list[Event] = []
    else:
        if state.spec.gap_policy == "fail":
            _refuse(absent(state, slot))
        candles = _with_synthetic(state, slot)
        ts = open_time_ms if candles else state.last_ts
        events = _gaps(state, slot, ts)
    shown = candles
    if state.buckets is not None:
        gaps, longer = state.buckets.events(candles, ts, trailing=trailing)
        events += gaps
        shown = [*candles, *longer]
    if state.full:
        for candle in shown:
            events.append(candle_event.encode(ts, candle))
    following = grid.floor(open_time_ms) + length_ms
    for candle in candles:
        track = tracks[candle.symbol]
        track.close = candle.close
        if not candle.synthetic:
            track.next_open_ms = following
    state.cursor_ms = open_time_ms
    if events:
        state.last_ts = ts
    # One of each per slot: half the time of Draft(...) and Shown(...).
    seen = _new(SlotView, (open_time_ms, shown, trailing, state.last_ts))
    return _new(TickDraft, (events, seen))


def finish_tick(state: ReplayState, made: TickDraft, answer: list[Event]) -> list[Event]:
    """Return all events of a slot: the market's, to whose list it adds what its trader answered.

    Slots behind it may have been drafted by now, so the last ts only ever moves on.
    """
    events = made.events
    if answer:
        events += answer
        if answer[-1].ts > state.last_ts:
            state.last_ts = answer[-1].ts
    return events


def _refuse(missing: Sequence[Gap]) -> None:
    if missing:
        details = {"gaps": [gap.as_json() for gap in missing], "missing": sum(gap.missing for gap in missing)}
        raise MissingCandlesError(details=details)


def absent(state: ReplayState, slot: Slot) -> list[Gap]:
    """Return what is missing up to and in a slot, for a session that may not have gaps."""
    grid = state.spec.grid
    ends = {candle.symbol: grid.floor(candle.open_time_ms) for candle in slot.candles}
    beyond = grid.floor(slot.open_time_ms) + grid.ms
    found = ((track, ends.get(track.symbol, beyond)) for track in state.tracks.values())
    return [gap for track, end in found for gap in _missing(state.spec, track, end)]


def _missing(spec: SessionSpec, track: SymbolState, end_ms: int) -> list[Gap]:
    """Return what is missing of one symbol before `end_ms`: closed hours are not."""
    missing = (end_ms - track.next_open_ms) // spec.grid.ms
    gap = Gap(track.symbol, spec.timeframe, track.next_open_ms, end_ms, missing)
    return open_gaps(spec.hours, [gap]) if missing > 0 else []


def _gaps(state: ReplayState, slot: Slot, ts: int) -> list[Event]:
    spec, grid = state.spec, state.spec.grid
    ends = {candle.symbol: grid.floor(candle.open_time_ms) for candle in slot.candles}
    events = []
    for track in state.tracks.values():
        end = ends.get(track.symbol, grid.floor(slot.open_time_ms) + grid.ms if slot.trailing else track.next_open_ms)
        events += [
            event.gap(ts, gap.symbol, gap.timeframe, gap.from_ms, gap.to_ms, gap.missing)
            for gap in _missing(spec, track, end)
        ]
        track.next_open_ms = end
    return events


def _with_synthetic(state: ReplayState, slot: Slot) -> Sequence[Candle]:
    spec = state.spec
    if spec.gap_policy != "fill" or len(slot.candles) == len(state.tracks):
        return slot.candles
    if not is_open(spec.hours, spec.grid, spec.grid.floor(slot.open_time_ms)):
        return slot.candles
    real = {candle.symbol: candle for candle in slot.candles}
    made = (real.get(track.symbol) or _flat(spec, track, slot.open_time_ms) for track in state.tracks.values())
    return [candle for candle in made if candle is not None]


def _flat(spec: SessionSpec, track: SymbolState, open_time_ms: int) -> Candle | None:
    close = track.close
    if close is None:
        return None
    zero = Decimal(0)
    close_time_ms = open_time_ms + spec.grid.ms
    return Candle(
        track.symbol,
        spec.timeframe,
        open_time_ms,
        close_time_ms,
        close,
        close,
        close,
        close,
        zero,
        synthetic=True,
    )
