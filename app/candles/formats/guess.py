"""Which column of a table without a header is which, by what is in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise

from app.candles.formats.columns import HeaderColumns
from app.candles.rows import times
from app.candles.rows.cells import is_clock, is_day, is_number, is_time, number_of
from app.candles.rows.request import ReadRequest
from app.candles.rows.times import NotATimeError
from app.errors import BadInputError

Cells = Sequence[str]
Numbers = Sequence[Decimal | None]

_FEWEST_EDGES = 4
_ORDERS = {
    "time, open, high, low, close": (0, 1, 2, 3),
    "time, open, close, high, low": (0, 2, 3, 1),
    "time, low, high, open, close": (2, 1, 0, 3),
    "time, high, low, open, close": (2, 0, 1, 3),
    "time, open, low, high, close": (0, 2, 1, 3),
}
"""Orders in use of four prices: where open, high, low and close stand."""


def guess_columns(body: Sequence[Cells], request: ReadRequest) -> HeaderColumns:
    """Find out which column is which by what is in them.

    Prices are four columns next to each other that are candles in exactly one order; raises `BadInputError` naming
    `--columns` where there is none, or more than one.
    """
    by_column = list(zip(*body, strict=True))
    time, day = _time_columns(by_column, request)
    numbers = [[number_of(cell) for cell in column] for column in by_column]
    start, order = _prices(numbers, max(time, -1 if day is None else day) + 1, body[0])
    name, offsets = order
    if _is_swapped(numbers[start : start + 4], offsets, newest_first=_newest_first(by_column[time])):
        raise BadInputError(_which_columns("its opens and closes do not follow on each other", body[0]))
    opened, high, low, close = (start + at for at in offsets)
    volume = _volume_column(numbers, by_column, start + 4, high, low)
    order_text = f"{name}{'' if volume is None else ', volume' if volume == start + 4 else ', vwap, volume'}"
    request.note("columns", f"without a header, columns were read as {order_text}")
    return HeaderColumns(time, opened, high, low, close, volume, day, symbol=_symbol_column(by_column, time))


def _prices(numbers: Sequence[Numbers], after: int, row: Cells) -> tuple[int, tuple[str, tuple[int, ...]]]:
    """Find the four prices right behind the time, or the only four that are candles further on, and their order."""
    matches = [(at, order) for at in range(after, len(numbers) - 3) if (order := _order(numbers[at : at + 4]))]
    if matches and (matches[0][0] == after or len(matches) == 1):
        return matches[0]
    how = "several" if matches else "no"
    raise BadInputError(_which_columns(f"{how} orders of open, high, low and close make its rows candles", row))


def _which_columns(why: str, cells: Cells) -> str:
    shown = ",".join(cells)[:80]
    hint = "name them, as in --columns time,open,high,low,close,volume"
    return f"columns: which column is which is not certain: {why} ({shown}); {hint}"


def _time_columns(columns: Sequence[Cells], request: ReadRequest) -> tuple[int, int | None]:
    """Find the column of times, and that of dates where times are only times of day."""
    candidates = [at for at, column in enumerate(columns) if _share(is_time, column) > 0.5]
    if not candidates:
        raise BadInputError(_which_columns("no column is a time", [column[0] for column in columns]))
    at = candidates[0] if request.timeframe is None else _on_grid(candidates, columns, request)
    clock = at + 1
    if clock < len(columns) and all(map(is_day, columns[at])) and all(map(is_clock, columns[clock])):
        return clock, at
    return at, None


def _on_grid(candidates: Sequence[int], columns: Sequence[Cells], request: ReadRequest) -> int:
    """Choose, of several columns of numbers since the epoch, the first whose times are all on the grid."""
    assert request.timeframe is not None
    for at in candidates:
        opens = [times.epoch_ms(cell.strip()) for cell in columns[at]]
        if all(open_ms is not None and request.timeframe.floor(open_ms) == open_ms for open_ms in opens):
            return at
    return candidates[0]


def _symbol_column(columns: Sequence[Cells], time: int) -> int | None:
    """Find a column of names before the times."""
    for at, column in enumerate(columns[:time]):
        if all(re.fullmatch(r"[A-Za-z][\w./:-]{1,30}", cell.strip()) for cell in column):
            return at
    return None


def _share(test: Callable[[str], bool], column: Cells) -> float:
    return sum(map(test, column)) / len(column)


def _order(prices: Sequence[Numbers]) -> tuple[str, tuple[int, ...]] | None:
    """Return the one order that makes every row a candle; of dirty rows, the one that makes nearly all of them some.

    Where several do and all make the same candles, as when prices never moved, it is the first.
    """
    rows = [row for row in zip(*prices, strict=True) if not all(value is None for value in row)]
    if not rows:
        return None
    fits = {name: sum(_fits(row, offsets) for row in rows) for name, offsets in _ORDERS.items()}
    best, most = max(fits.items(), key=lambda fit: fit[1])
    if most * 10 < len(rows) * 9 and (most * 2 < len(rows) or best != next(iter(_ORDERS))):
        return None
    rivals = [name for name in fits if fits[name] == most and name != best]
    for rival in rivals:
        if any(_candle(row, _ORDERS[best]) != _candle(row, _ORDERS[rival]) for row in rows):
            return None
    return best, _ORDERS[best]


def _candle(row: Sequence[Decimal | None], offsets: Sequence[int]) -> list[Decimal | None]:
    return [row[at] for at in offsets]


def _fits(row: Sequence[Decimal | None], offsets: Sequence[int]) -> bool:
    opened, high, low, close = _candle(row, offsets)
    if opened is None or high is None or low is None or close is None:
        return False
    return 0 < low <= min(opened, close) and max(opened, close) <= high


def _is_swapped(prices: Sequence[Numbers], offsets: Sequence[int], *, newest_first: bool) -> bool:
    """Whether opens follow on closes much better when they are taken for each other."""
    rows = [[row[at] for at in offsets] for row in zip(*prices, strict=True)]
    edges = [(row[0], row[3]) for row in rows if row[0] is not None and row[3] is not None]
    if newest_first:
        edges.reverse()
    if len(edges) < _FEWEST_EDGES:
        return False
    straight = sum(abs(after[0] - before[1]) for before, after in pairwise(edges))
    swapped = sum(abs(after[1] - before[0]) for before, after in pairwise(edges))
    return bool(swapped * 2 < straight)


def _newest_first(column: Cells) -> bool:
    first, last = _about(column[0]), _about(column[-1])
    return first is not None and last is not None and first > last


def _about(cell: str) -> int | None:
    """Read a time as ms, whichever of its numbers the day is; None where it is none."""
    if (time_ms := times.epoch_ms(cell.strip())) is not None:
        return time_ms
    for order in times.ORDERS:
        try:
            return times.utc_ms(times.wall(cell, order).moment)
        except (NotATimeError, ValueError):
            continue
    return None


def _volume_column(numbers: Sequence[Numbers], cells: Sequence[Cells], at: int, high: int, low: int) -> int | None:
    """Return the column behind the prices; one further where that is a mean price with a volume behind it."""
    if at >= len(numbers) or _share(is_number, cells[at]) <= 0.5:
        return None
    mean = all(
        value is not None and top is not None and bottom is not None and (value == 0 or bottom <= value <= top)
        for value, top, bottom in zip(numbers[at], numbers[high], numbers[low], strict=True)
    )
    behind = [column for column in numbers[at + 1 :] if all(value is not None for value in column)]
    if mean and len(behind) >= 2 and any(value for value in numbers[at]) and not all(map(is_time, cells[at + 1])):
        return at + 1
    return at
