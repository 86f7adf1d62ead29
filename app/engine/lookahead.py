"""Looks for strategies that know the future: cutting the data at a time must not change anything before it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from app.domain.candle import Candle
from app.domain.event import Event
from app.domain.session import SessionSpec
from app.domain.tick import Slot, State, conclude, draft
from app.domain.trader import Trader

Build = Callable[[Sequence[Slot]], Trader | None]
"""Makes the trader of one run, over the data of that run."""


class Finding(NamedTuple):
    """The first event that changed, null where it is absent: how the data was changed, and from when on (ms UTC)."""

    how: str
    cut_ms: int
    whole: Event | None
    changed: Event | None


def look(spec: SessionSpec, slots: Sequence[Slot], build: Build, cuts: int) -> Finding | None:
    """Run over all slots, then with the data cut and with another future at `cuts` places; returns what differs."""
    whole = list(_run(spec, slots, build, len(slots)))
    for end in _places(len(slots), cuts):
        for how, data in (("cut", slots[:end]), ("another future", [*slots[:end], *map(_otherwise, slots[end:])])):
            found = _compare(whole, _run(spec, data, build, end))
            if found is not None:
                return Finding(how, slots[end].open_time_ms, *found)
    return None


def _places(count: int, cuts: int) -> list[int]:
    """Spread cuts evenly, none before the first slot."""
    return sorted({count * number // (cuts + 1) for number in range(1, cuts + 1)} - {0})


def _run(spec: SessionSpec, data: Sequence[Slot], build: Build, end: int) -> Iterator[list[Event]]:
    """Yield the events of each of the first `end` slots."""
    state, trader = State.initial(spec), build(data)
    for slot in data[:end]:
        made = draft(state, slot)
        yield conclude(state, made, trader.answer(made.shown) if trader is not None else ())


def _compare(whole: Sequence[list[Event]], changed: Iterator[list[Event]]) -> tuple[Event | None, Event | None] | None:
    for before, after in zip(whole, changed, strict=False):
        if before != after:
            return _first(before, after)
    return None


def _first(before: list[Event], after: list[Event]) -> tuple[Event | None, Event | None]:
    place = next(
        (n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )
    return (before[place] if place < len(before) else None), (after[place] if place < len(after) else None)


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
