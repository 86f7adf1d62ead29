from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from app.candles.cache.reasons import NOT_FETCHED, NOT_PUBLISHED, NOT_TRADED, gap_reasons
from app.domain.market.candle import Gap

MINUTE = 60_000


def gap(first: int, end: int) -> Gap:
    return Gap("BTCUSDT", "1m", first * MINUTE, end * MINUTE, end - first)


def slot_by_slot(gaps: Sequence[Gap], fetched: Sequence[tuple[int, int]]) -> Iterator[tuple[str, int]]:
    """Say of each missing slot why, without any search."""
    for gap in gaps:
        reason = ""
        for slot in range(gap.from_ms, gap.to_ms, MINUTE):
            follows = fetched and (slot == fetched[-1][1] or (reason == NOT_PUBLISHED and slot > fetched[-1][1]))
            traded = any(from_ms <= slot < to_ms for from_ms, to_ms in fetched)
            reason = NOT_TRADED if traded else NOT_PUBLISHED if follows else NOT_FETCHED
            yield reason, slot


ranges = st.sets(st.integers(0, 60), max_size=16).map(
    lambda edges: list(zip(*[iter(sorted(edges))] * 2, strict=False))  # Sorted, and no two of them touch.
)


@given(gaps=ranges, asked=ranges)
def test_every_missing_slot_has_the_reason_that_looking_at_it_alone_gives(
    gaps: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    listed, answered = [gap(*each) for each in gaps], [(a * MINUTE, b * MINUTE) for a, b in asked]
    cut = [
        (reason, slot)
        for reason, part in gap_reasons(listed, answered)
        for slot in range(part.from_ms, part.to_ms, MINUTE)
    ]
    assert cut == list(slot_by_slot(listed, answered))
