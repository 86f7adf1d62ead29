"""One tick: the events of one slot. Pure, so the same input gives the same events."""

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
from app.domain.record import new_record
from app.domain.session import SessionSpec
from app.domain.trading.strategy_runner import SlotView
from app.errors import MissingCandlesError


class Slot(NamedTuple):
    """One openTime of the range with its candles, in the order of the symbols.

    `trailing` marks the last slot of a range.
    """

    open_time_ms: int
    candles: Sequence[Candle]
    trailing: bool = False


class TickDraft(NamedTuple):
    """The candle and gap events of a slot, and the slot as the strategy sees it."""

    events: list[Event]
    view: SlotView


@dataclass(slots=True)
class SymbolState:
    """The state of one symbol between ticks: the next expected open time, and the last close."""

    symbol: str
    next_open_ms: int
    close: Decimal | None = None


@dataclass(slots=True)
class ReplayState:
    """The market state of a session, carried from tick to tick."""

    spec: SessionSpec
    symbol_states: dict[str, SymbolState]
    cursor_ms: int | None
    last_ts: int
    resamplers: Resamplers | None
    full: bool
    """Whether candles are logged (`record: full`)."""
    grid: Timeframe
    commands: int = 0
    """How many commands are in the log."""

    @classmethod
    def initial(cls, spec: SessionSpec) -> ReplayState:
        """Return the state before the first tick."""
        symbol_states = {symbol: SymbolState(symbol, spec.first_slot_ms) for symbol in spec.symbols}
        return cls(
            spec,
            symbol_states,
            None,
            spec.start_ms,
            Resamplers(spec) if spec.extra_timeframes else None,
            spec.trading.record == "full",
            spec.grid,
        )

    @property
    def command_ts(self) -> int:
        """The simulated time of a command now: the close of the last slot, or the start of the range."""
        return self.spec.start_ms if self.cursor_ms is None else self.cursor_ms + self.grid.ms

    def count_command(self) -> None:
        """Advance by one command: its events are not earlier than the present time."""
        self.commands += 1
        self.last_ts = max(self.last_ts, self.command_ts)

    @property
    def resample_from_ms(self) -> int | None:
        """The openTime of the first logged candle in an unfinished longer one; null without longer timeframes."""
        if self.cursor_ms is None or self.resamplers is None:
            return None
        return min(resampler.grid.floor(self.cursor_ms) for resampler in self.resamplers)

    def resample(self, candles: Sequence[Candle]) -> None:
        """Add candles of the log, in order, to the longer ones, without events; needed after a restart."""
        assert self.resamplers is not None
        for candle in candles:
            if candle.timeframe == self.spec.timeframe:
                self.resamplers.add([candle])

    def snapshot(self) -> dict[str, Any]:
        """Return the state for `restored`."""
        return {
            "symbols": {
                name: (symbol_state.next_open_ms, symbol_state.close)
                for name, symbol_state in self.symbol_states.items()
            },
            "cursorMs": self.cursor_ms,
            "lastTs": self.last_ts,
            "commands": self.commands,
            "resamplers": [resampler.snapshot() for resampler in self.resamplers or ()],
        }

    @classmethod
    def restored(cls, spec: SessionSpec, stored: dict[str, Any]) -> ReplayState:
        """Return the state of a `snapshot` with the same spec; raises `ValueError` for another spec."""
        state = cls.initial(spec)
        state.cursor_ms, state.last_ts, state.commands = stored["cursorMs"], stored["lastTs"], stored["commands"]
        for symbol_state, (symbol, values) in zip(state.symbol_states.values(), stored["symbols"].items(), strict=True):
            if symbol_state.symbol != symbol:
                raise ValueError(symbol)
            symbol_state.next_open_ms, symbol_state.close = values
        for resampler, values in zip(state.resamplers or (), stored["resamplers"], strict=True):
            resampler.restore(values)
        return state

    @property
    def started(self) -> bool:
        """Whether some symbol has had a candle, so that gaps can be filled."""
        return any(symbol_state.close is not None for symbol_state in self.symbol_states.values())


def draft_tick(state: ReplayState, slot: Slot) -> TickDraft:
    """Advance `state` by one slot and return its gap and candle events in order; the strategy's events follow them.

    Raises `MissingCandlesError`, without changing `state`, for gaps with the gap policy `fail`.
    """
    open_time_ms, candles, trailing = slot
    # Two loops instead of a function for each candle: the call would cost more than the loop.
    symbol_states, grid = state.symbol_states, state.grid
    length_ms = grid.ms
    whole = len(candles) == len(symbol_states)
    for candle in candles if whole else ():
        if candle.open_time_ms - symbol_states[candle.symbol].next_open_ms >= length_ms:
            whole = False
    if whole:
        ts = open_time_ms
        events: list[Event] = []
    else:
        if state.spec.gap_policy == "fail":
            _require_none(find_missing(state, slot))
        candles = _with_synthetic(state, slot)
        ts = open_time_ms if candles else state.last_ts
        events = _gaps(state, slot, ts)
    shown = candles
    if state.resamplers is not None:
        gaps, longer = state.resamplers.events(candles, ts, trailing=trailing)
        events += gaps
        shown = [*candles, *longer]
    if state.full:
        for candle in shown:
            events.append(candle_event.encode(ts, candle))
    following = grid.floor(open_time_ms) + length_ms
    for candle in candles:
        symbol_state = symbol_states[candle.symbol]
        symbol_state.close = candle.close
        if not candle.synthetic:
            symbol_state.next_open_ms = following
    state.cursor_ms = open_time_ms
    if events:
        state.last_ts = ts
    view = new_record(SlotView, (open_time_ms, shown, trailing, state.last_ts))
    return new_record(TickDraft, (events, view))


def finish_tick(state: ReplayState, draft: TickDraft, answer: list[Event]) -> list[Event]:
    """Append the strategy's events to those of a draft and return them all.

    Later slots may already be drafted, so the state's last ts never decreases.
    """
    events = draft.events
    if answer:
        events += answer
        if answer[-1].ts > state.last_ts:
            state.last_ts = answer[-1].ts
    return events


def _require_none(missing: Sequence[Gap]) -> None:
    if missing:
        details = {"gaps": [gap.as_json() for gap in missing], "missing": sum(gap.missing for gap in missing)}
        raise MissingCandlesError(details=details)


def find_missing(state: ReplayState, slot: Slot) -> list[Gap]:
    """Return the gaps up to and in a slot."""
    grid = state.spec.grid
    ends = {candle.symbol: grid.floor(candle.open_time_ms) for candle in slot.candles}
    beyond = grid.floor(slot.open_time_ms) + grid.ms
    states = state.symbol_states.values()
    return [
        gap
        for symbol_state in states
        for gap in _missing(state.spec, symbol_state, ends.get(symbol_state.symbol, beyond))
    ]


def _missing(spec: SessionSpec, symbol_state: SymbolState, end_ms: int) -> list[Gap]:
    """Return the gaps of one symbol before `end_ms`; closed hours are no gap."""
    missing = (end_ms - symbol_state.next_open_ms) // spec.grid.ms
    gap = Gap(symbol_state.symbol, spec.timeframe, symbol_state.next_open_ms, end_ms, missing)
    return open_gaps(spec.hours, [gap]) if missing > 0 else []


def _gaps(state: ReplayState, slot: Slot, ts: int) -> list[Event]:
    spec, grid = state.spec, state.spec.grid
    ends = {candle.symbol: grid.floor(candle.open_time_ms) for candle in slot.candles}
    events = []
    for symbol_state in state.symbol_states.values():
        end = ends.get(
            symbol_state.symbol, grid.floor(slot.open_time_ms) + grid.ms if slot.trailing else symbol_state.next_open_ms
        )
        events += [
            event.gap(ts, gap.symbol, gap.timeframe, gap.from_ms, gap.to_ms, gap.missing)
            for gap in _missing(spec, symbol_state, end)
        ]
        symbol_state.next_open_ms = end
    return events


def _with_synthetic(state: ReplayState, slot: Slot) -> Sequence[Candle]:
    spec = state.spec
    if spec.gap_policy != "fill" or len(slot.candles) == len(state.symbol_states):
        return slot.candles
    if not is_open(spec.hours, spec.grid, spec.grid.floor(slot.open_time_ms)):
        return slot.candles
    real = {candle.symbol: candle for candle in slot.candles}
    states = state.symbol_states.values()
    candles = (
        real.get(symbol_state.symbol) or _flat_candle(spec, symbol_state, slot.open_time_ms) for symbol_state in states
    )
    return [candle for candle in candles if candle is not None]


def _flat_candle(spec: SessionSpec, symbol_state: SymbolState, open_time_ms: int) -> Candle | None:
    close = symbol_state.close
    if close is None:
        return None
    zero = Decimal(0)
    close_time_ms = open_time_ms + spec.grid.ms
    return Candle(
        symbol_state.symbol,
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
