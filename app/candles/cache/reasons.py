"""Why a candle is missing, as far as the sources tell: not traded, not fetched, or not published yet."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Final, Literal

from app.domain.market.candle import Gap
from app.domain.market.timeframe import timeframe as named_timeframe

Reason = Literal["notTraded", "notFetched", "notPublished"]

NOT_TRADED: Final = "notTraded"
"""A source that was asked for the slot answered without it: there was no trade, or the market was shut."""

NOT_FETCHED: Final = "notFetched"
"""Nobody was asked for the slot."""

NOT_PUBLISHED: Final = "notPublished"
"""The slot lies behind the last candle of every source that was asked, and may still come."""


def gap_reasons(gaps: Sequence[Gap], covered: Sequence[tuple[int, int]]) -> Iterator[tuple[Reason, Gap]]:
    """Cut gaps of one series where the reason changes; `asked` are ranges in order that some source answered in full.

    What follows on the last of them without a break is not published yet.
    """
    last_ms = covered[-1][1] if covered else None
    for gap in gaps:
        at = gap.from_ms
        for from_ms, to_ms in (*_overlapping(covered, gap), (gap.to_ms, gap.to_ms)):
            start, end = min(max(at, from_ms), gap.to_ms), min(max(at, to_ms), gap.to_ms)
            if at < start:
                yield NOT_PUBLISHED if at == last_ms else NOT_FETCHED, _part(gap, at, start)
            if start < end:
                yield NOT_TRADED, _part(gap, start, end)
            at = end


def _overlapping(covered: Sequence[tuple[int, int]], gap: Gap) -> Sequence[tuple[int, int]]:
    """Return the ranges that touch a gap, found by bisection: there may be thousands of both."""
    first = bisect_left(covered, gap.from_ms, key=itemgetter(1))
    return covered[first : bisect_left(covered, gap.to_ms, lo=first, key=itemgetter(0))]


def _part(gap: Gap, from_ms: int, to_ms: int) -> Gap:
    grid = named_timeframe(gap.timeframe)
    return gap._replace(from_ms=from_ms, to_ms=to_ms, missing=(grid.ceil(to_ms) - grid.ceil(from_ms)) // grid.ms)
