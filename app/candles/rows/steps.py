"""Which timeframe the candles of a file have, by the steps between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from app.domain.market.timeframe import TIMEFRAMES, Timeframe
from app.errors import BadInputError

_NAMES = {timeframe.ms: timeframe.name for timeframe in TIMEFRAMES.values()}
_UNITS = ((604_800_000, "w"), (86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"))
_MONTH_MS = range(28 * 86_400_000, 31 * 86_400_000 + 1)
_DAY_MS = 86_400_000
_CLOCK_CHANGE_MS = 2 * 3_600_000
_FEWEST = 2
"""So many longer steps say something: there may be holes. A shorter one always does."""


def steps_between(times: Sequence[int]) -> Counter[int]:
    """Count the steps from each row to the next, whichever way they are sorted; equal times make none."""
    steps = Counter(abs(after - before) for before, after in pairwise(times))
    del steps[0]
    return steps


def check_steps(times: Sequence[int], timeframe: Timeframe) -> None:
    """Raise `BadInputError` when the first rows of a file are candles of another timeframe than asked for.

    They are when most steps are shorter, or when every step is a multiple of a longer one and most are just that.
    """
    steps = steps_between(times)
    count = steps.total()
    if not count:
        return
    usual, often = steps.most_common(1)[0]
    shortest = min(steps)
    if usual < timeframe.ms - (_CLOCK_CHANGE_MS if timeframe.ms >= _DAY_MS else 0) and often * 2 > count:
        raise BadInputError(_describe(usual))
    if (
        count >= _FEWEST
        and shortest > timeframe.ms
        and _regular(steps, shortest, often * 2 > count and usual == shortest)
    ):
        raise BadInputError(_describe(shortest))


def timeframe_of(times: Sequence[int]) -> str | None:
    """Name the timeframe of rows by their usual step; None where there is none."""
    steps = steps_between(times)
    return _NAMES.get(steps.most_common(1)[0][0]) if steps else None


def _regular(steps: Counter[int], shortest: int, mostly: bool) -> bool:
    if all(step in _MONTH_MS for step in steps):
        return True
    return mostly and all(step % shortest == 0 for step in steps)


def _describe(step_ms: int) -> str:
    if step_ms in _NAMES:
        return f"timeframe: every step is {_NAMES[step_ms]}; did you mean --timeframe {_NAMES[step_ms]}?"
    name = "a month" if step_ms in _MONTH_MS else _format_step(step_ms)
    return f"timeframe: every step is {name}, and there is no such timeframe; there are {' '.join(TIMEFRAMES)}"


def _format_step(step_ms: int) -> str:
    return next((f"{step_ms // ms}{unit}" for ms, unit in _UNITS if step_ms % ms == 0), f"{step_ms} ms")
