"""Which differences between a clock and the time that has passed mean that the clock was set."""

from __future__ import annotations

import pytest

from app.engine.clock_jump import _overlap


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ((100.0, 100.1), (100.0, 100.1), True),
        ((100.0, 100.1), (100.9, 101.0), True),  # corrected in small steps
        ((100.0, 109.0), (104.0, 104.1), True),  # the answer was slow, not the clock wrong
        ((100.0, 100.1), (3700.0, 3700.1), False),
        ((100.0, 100.1), (-3500.0, -3499.9), False),
        ((100.0, 105.0), (107.0, 112.0), False),
    ],
)
def test_a_clock_was_set_when_its_offset_cannot_be_the_same(
    before: tuple[float, float], after: tuple[float, float], same: bool
) -> None:
    assert _overlap(before, after) is same
    assert _overlap(after, before) is same
