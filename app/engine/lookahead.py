"""Looks for strategies that know the future: cutting the data at a time must not change anything before it."""

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

Build = Callable[[Sequence[Slot]], AbstractAsyncContextManager[StrategyHost | None]]
"""Opens the desk of one run, over the data of that run."""
_BATCH = 100
"""Slots a desk is asked about at once."""


class LookaheadFinding(NamedTuple):
    """The first event that changed, null where it is absent: how the data was changed, and from when on (ms UTC).

    `fault` is why the strategy failed with the changed data, null when it did not.
    """

    how: str
    cut_ms: int
    whole: Event | None
    changed: Event | None
    fault: str | None = None


async def check_lookahead(spec: SessionSpec, slots: Sequence[Slot], build: Build, cuts: int) -> LookaheadFinding | None:
    """Run over all slots, then with the data cut and with another future at `cuts` places; returns what differs.

    Raises `StrategyFailedError` when the strategy cannot run over the whole data.
    """
    whole = [events async for events in _run(spec, slots, build, len(slots))]
    for end in cut_positions(len(slots), cuts):
        for how, data in (("cut", slots[:end]), ("another future", [*slots[:end], *map(_otherwise, slots[end:])])):
            found = await _compare(whole, _run(spec, data, build, end))
            if found is not None:
                return found._replace(how=how, cut_ms=slots[end].open_time_ms)
    return None


def cut_positions(count: int, cuts: int) -> list[int]:
    """Spread cuts over slots evenly, none before the first and no two at one: fewer where there are few slots."""
    return sorted({count * number // (cuts + 1) for number in range(1, cuts + 1)} - {0})


async def _run(spec: SessionSpec, data: Sequence[Slot], build: Build, end: int) -> AsyncIterator[list[Event]]:
    """Yield the events of each of the first `end` slots; raises `StrategyFailedError`."""
    state = ReplayState.initial(spec)
    async with build(data) as desk:
        for start in range(0, end, _BATCH):
            drafts = [draft_tick(state, slot) for slot in data[start : min(start + _BATCH, end)]]
            for events in await run_strategies(state, desk, drafts):
                yield events
            if desk is not None and desk.fault is not None:
                raise desk.fault


async def _compare(whole: Sequence[list[Event]], changed: AsyncIterator[list[Event]]) -> LookaheadFinding | None:
    rest = iter(whole)
    try:
        async for after in changed:
            before = next(rest)
            if before != after:
                return LookaheadFinding("", 0, *_first(before, after))
    except StrategyProcessLostError:
        raise
    except Exception as fault:
        before = next(rest, [])
        return LookaheadFinding("", 0, before[0] if before else None, None, _told(fault))
    return None


def _first(before: list[Event], after: list[Event]) -> tuple[Event | None, Event | None]:
    place = next(
        (n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )
    return (before[place] if place < len(before) else None), (after[place] if place < len(after) else None)


def _told(fault: Exception) -> str:
    return fault.message if isinstance(fault, StrategyFailedError) else f"{type(fault).__name__}: {fault}"


def _otherwise(slot: Slot) -> Slot:
    """Return a slot whose candles fall where they rose and cost another price."""
    return slot._replace(candles=[_mirrored(candle) for candle in slot.candles])


def _mirrored(candle: Candle) -> Candle:
    top = 3 * candle.high
    return candle._replace(
        open=top - candle.open,
        high=top - candle.low,
        low=top - candle.high,
        close=top - candle.close,
        volume=2 * candle.volume + Decimal(1),
    )
