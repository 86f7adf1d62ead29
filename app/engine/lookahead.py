"""Find strategies that use later candles: to cut the data at a time must not change any earlier event."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import NamedTuple

from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.session import SessionSpec
from app.domain.tick import ReplayState, Slot, draft_tick
from app.errors import StrategyFailedError, StrategyProcessLostError
from app.strategy_hosts.strategy_host import StrategyHost, run_strategies

OpenHost = Callable[[Sequence[Slot]], AbstractAsyncContextManager[StrategyHost | None]]
"""Opens the strategy host of one run, given the slots of that run."""
_SLOTS_PER_CALL = 100
"""Slots given to a strategy host at once."""


class LookaheadFinding(NamedTuple):
    """The first event that differs: with all data and with the changed data, null if there is none.

    `how` says how the data was changed from `cut_ms` on (ms UTC). `error` is the strategy's error with the changed
    data, null if it did not fail.
    """

    how: str
    cut_ms: int
    whole: Event | None
    changed: Event | None
    error: str | None = None


async def check_lookahead(
    spec: SessionSpec, slots: Sequence[Slot], open_host: OpenHost, cuts: int, written: set[str] | None = None
) -> LookaheadFinding | None:
    """Run over all slots; then, for `cuts` positions, with the later candles cut off and with other later candles.

    Returns the first difference; `written` collects the types of the events with the whole data.
    Raises `StrategyFailedError` if the strategy fails with the whole data.
    """
    whole = [events async for events in _run(spec, slots, open_host, len(slots))]
    if written is not None:
        written.update(event.type for events in whole for event in events)
    for end in cut_positions(len(slots), cuts):
        for how, data in (("cut", slots[:end]), ("another future", [*slots[:end], *map(_mirror_slot, slots[end:])])):
            finding = await _compare(whole, _run(spec, data, open_host, end))
            if finding is not None:
                return finding._replace(how=how, cut_ms=slots[end].open_time_ms)
    return None


def cut_positions(count: int, cuts: int) -> list[int]:
    """Return positions spread evenly over the slots, all different and after the first slot: few slots give fewer."""
    return sorted({count * number // (cuts + 1) for number in range(1, cuts + 1)} - {0})


async def _run(spec: SessionSpec, data: Sequence[Slot], open_host: OpenHost, end: int) -> AsyncIterator[list[Event]]:
    """Yield the events of each of the first `end` slots; raises `StrategyFailedError`."""
    state = ReplayState.initial(spec)
    async with open_host(data) as host:
        for start in range(0, end, _SLOTS_PER_CALL):
            drafts = [draft_tick(state, slot) for slot in data[start : min(start + _SLOTS_PER_CALL, end)]]
            for events in await run_strategies(state, host, drafts):
                yield events
            if host is not None and host.error is not None:
                raise host.error


async def _compare(whole: Sequence[list[Event]], changed: AsyncIterator[list[Event]]) -> LookaheadFinding | None:
    rest = iter(whole)
    try:
        async for after in changed:
            before = next(rest)
            if before != after:
                return LookaheadFinding("", 0, *_first_difference(before, after))
    except StrategyProcessLostError:
        raise
    except Exception as error:
        before = next(rest, [])
        return LookaheadFinding("", 0, before[0] if before else None, None, _error_text(error))
    return None


def _first_difference(before: list[Event], after: list[Event]) -> tuple[Event | None, Event | None]:
    index = next(
        (n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )
    return (before[index] if index < len(before) else None), (after[index] if index < len(after) else None)


def _error_text(error: Exception) -> str:
    return error.message if isinstance(error, StrategyFailedError) else f"{type(error).__name__}: {error}"


def _mirror_slot(slot: Slot) -> Slot:
    """Return a slot whose candles fall instead of rise, and rise instead of fall, at other prices."""
    return slot._replace(candles=[_mirror(candle) for candle in slot.candles])


def _mirror(candle: Candle) -> Candle:
    top = 3 * candle.high
    return candle._replace(
        open=top - candle.open,
        high=top - candle.low,
        low=top - candle.high,
        close=top - candle.close,
        volume=2 * candle.volume + Decimal(1),
    )
