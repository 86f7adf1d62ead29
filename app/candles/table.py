"""The layout of a text table: what parts its cells, where its header ends, and which column is which without one."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from app.candles import times
from app.candles.columns import HeaderColumns, header_columns, named_columns
from app.candles.numbers import NotANumberError, UnknownDecimalError, read_number
from app.candles.request import ReadRequest
from app.candles.times import NotATimeError, UnknownOrderError
from app.errors import BadInputError

HEAD_LINES = 50
"""A header, or the first row, stands among so many lines."""

LOOKED_AT = 1_000
"""Rows looked at for what the columns are."""

SPACES = " "
"""The delimiter of columns parted by any number of spaces."""

_DELIMITERS = ";\t|,"
_FEWEST_CELLS = 5
_FEWEST_EDGES = 4
_ORDERS = {
    "time, open, high, low, close": (0, 1, 2, 3),
    "time, open, close, high, low": (0, 2, 3, 1),
    "time, low, high, open, close": (2, 1, 0, 3),
    "time, high, low, open, close": (2, 0, 1, 3),
    "time, open, low, high, close": (0, 2, 1, 3),
}
"""Orders in use of four prices: where open, high, low and close stand."""

Cells = Sequence[str]
Numbers = Sequence[Decimal | None]


class Table(NamedTuple):
    """What parts the cells, how many there are in a row, which is which, and how many lines come before the rows."""

    delimiter: str
    width: int
    columns: HeaderColumns
    skip: int
    header: bool


def cut(line: str, delimiter: str) -> list[str]:
    """Cut one line into cells; none for a line that is blank or whose quotes do not close."""
    line = line.strip("\r")
    if delimiter == SPACES:
        return line.split()
    if '"' not in line:
        return line.split(delimiter) if line else []
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True, skipinitialspace=True), [])
    except csv.Error:
        return []


def find_delimiter(lines: Sequence[str]) -> str:
    """Find what parts the cells: what stands in most lines equally often, at least four times."""
    best, most = ",", (0, 0)
    for delimiter in _DELIMITERS:
        counts = Counter(len(cut(line, delimiter)) for line in lines)
        for blank in range(_FEWEST_CELLS):
            del counts[blank]
        if counts:
            width, often = counts.most_common(1)[0]
            most, best = max((most, best), ((often, width), delimiter), key=lambda pair: pair[0])
    if most == (0, 0) and any(len(line.split()) >= _FEWEST_CELLS for line in lines):
        return SPACES
    return best


def find_table(lines: Sequence[str], request: ReadRequest) -> Table:
    """Find the layout of a table by its first lines; raises `BadInputError` naming the option to give."""
    delimiter = find_delimiter(lines[: LOOKED_AT + HEAD_LINES])
    rows = [cut(line, delimiter) for line in lines[: LOOKED_AT + HEAD_LINES]]
    for place, cells in enumerate(rows[:HEAD_LINES]):
        if len(cells) < _FEWEST_CELLS or cells[0].startswith("#"):
            continue
        columns = header_columns(cells, request.symbol)
        if columns is not None:
            return _with_header(delimiter, rows, place, columns, request)
        if _is_row(cells):
            return _without_header(delimiter, rows, place, request)
    raise BadInputError(f"file: no line with a time and four prices among the first {HEAD_LINES}")


def _is_row(cells: Cells) -> bool:
    return sum(_number(cell) is not None for cell in cells) >= 4 or sum(map(is_time, cells)) > 0


def _with_header(
    delimiter: str, rows: Sequence[Cells], place: int, columns: HeaderColumns, request: ReadRequest
) -> Table:
    header = rows[place]
    start = place + 1
    if columns.time is None:
        start, columns = _more_header(rows, place, columns, request)
    body = [cells for cells in rows[start : start + LOOKED_AT] if len(cells) >= _FEWEST_CELLS]
    if request.options.columns is not None:
        return Table(delimiter, len(header), named_columns(request.options.columns), start, header=True)
    width = _filled(header, body)
    shift = _shift(width, columns.time, body)
    columns = _shifted(columns, shift)
    if columns.time is None:
        columns = columns._replace(time=_find_time(body, columns, header))
    columns = _with_day(columns, body)
    return Table(delimiter, width + shift, _fuller_volume(columns, header, shift, body, request), start, header=True)


def _more_header(
    rows: Sequence[Cells], place: int, columns: HeaderColumns, request: ReadRequest
) -> tuple[int, HeaderColumns]:
    """Read on through a header of several rows, as yfinance writes one: prices, tickers, then the name of the time."""
    end = place + 1
    while end < min(len(rows), place + 4) and rows[end] and not is_time(rows[end][0]):
        end += 1
    for row in (*rows[max(place - 1, 0) : place], *rows[place + 1 : end]):
        tickers = {cell.strip() for cell in row[1:] if cell.strip()}
        if row and row[0].strip().lower() in ("ticker", "tickers", "symbol", "symbols", "") and tickers:
            columns = _of_ticker(rows[place], row, sorted(tickers), columns, request)
    return end, columns


def _of_ticker(
    names: Cells, row: Cells, tickers: list[str], columns: HeaderColumns, request: ReadRequest
) -> HeaderColumns:
    for ticker in tickers:
        request.found(ticker)
    if len(tickers) == 1 and request.options.only is None:
        return columns
    chosen = choose_instrument(tickers, request)
    kept = [name if at == 0 or row[at].strip() == chosen else "" for at, name in enumerate(names[: len(row)])]
    return header_columns(kept, request.symbol) or columns


def choose_instrument(found: Sequence[str], request: ReadRequest) -> str:
    """Return which of several instruments the user asked for; raises `BadInputError` naming them and the option."""
    only = request.options.only
    if only is not None:
        for name in found:
            if same_instrument(name, only):
                return name
        raise BadInputError(f"only: {only[:40]!r} is not in the file; it holds {_listed(found)}")
    raise BadInputError(f"file: it holds {_listed(found)}; choose one with --only, as in --only {found[0][:40]}")


def same_instrument(one: str, other: str) -> bool:
    """Whether two spellings, such as BTC/USDT and btcusdt, name the same instrument."""
    return _bare(one) == _bare(other)


def _bare(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def _listed(names: Sequence[str]) -> str:
    shown = [name[:40] for name in names[:10]]
    if len(names) > 10:
        return f"{len(names)} instruments: {', '.join(shown)} …"
    return " and ".join((", ".join(shown[:-1]), shown[-1])) if len(shown) > 1 else shown[0]


def _filled(header: Cells, body: Sequence[Cells]) -> int:
    """Return how many cells a row has; blank ones at the end of the header that no row has do not count."""
    longest = max(map(len, body), default=len(header))
    width = len(header)
    while width > longest and not header[width - 1].strip():
        width -= 1
    return width


def _shift(width: int, time: int | None, body: Sequence[Cells]) -> int:
    """Return how many cells rows have in front of those of the header: one where an index has no name."""
    if not body or any(len(cells) != width + 1 for cells in body) or not any(cells[-1].strip() for cells in body):
        return 0
    return 0 if time is not None and any(is_time(cells[time]) for cells in body) else 1


def _shifted(columns: HeaderColumns, shift: int) -> HeaderColumns:
    if not shift:
        return columns
    time, *prices, volume, day, symbol, ticks = (None if at is None else at + shift for at in columns[:9])
    opened, high, low, close = (at or 0 for at in prices)
    return HeaderColumns(time, opened, high, low, close, volume, day, symbol, ticks, columns.stamp, columns.price)


def _find_time(body: Sequence[Cells], columns: HeaderColumns, header: Cells) -> int:
    """Find the column of times by what is in it."""
    width = min(map(len, body), default=0)
    taken = set(columns[1:6])
    for at in range(width):
        if at not in taken and all(map(is_time, (cells[at] for cells in body))):
            return at
    if not body:
        return 0
    raise BadInputError(f"time: no column of the header has that name: {', '.join(header)[:200]}")


def _with_day(columns: HeaderColumns, body: Sequence[Cells]) -> HeaderColumns:
    """Find the column of dates beside times that are only times of day, whatever its name."""
    if columns.day is not None or columns.time is None or not body:
        return columns
    width = min(map(len, body))
    clocks = [cells[columns.time] for cells in body] if columns.time < width else [""]
    if not all(map(_is_clock, clocks)) or any(map(is_time, clocks)):
        return columns
    for at in range(width):
        if at not in columns[:6] and all(_is_day(cells[at]) for cells in body):
            return columns._replace(day=at)
    return columns


def _fuller_volume(
    columns: HeaderColumns, header: Cells, shift: int, body: Sequence[Cells], request: ReadRequest
) -> HeaderColumns:
    """Take the number of ticks for the volume where the volume is 0 throughout, and say which column was taken."""
    if columns.price is not None:
        request.note("prices", f"prices are those of the {columns.price}")
    if columns.volume is None:
        request.note("volume", "there is no column of volumes; 0 was stored")
        return columns
    named = header[columns.volume - shift].strip()
    if columns.ticks is None or columns.ticks == columns.volume:
        if len([name for name in header if "vol" in name.lower()]) > 1 or "vol" not in named.lower():
            request.note("volume", f"volumes are those of the column {named[:40]}")
        return columns
    cells = [(row[columns.volume], row[columns.ticks]) for row in body if len(row) > max(columns.volume, columns.ticks)]
    if any(_number(volume) for volume, _ in cells) or not any(_number(ticks) for _, ticks in cells):
        return columns
    ticks = header[columns.ticks - shift].strip()
    request.note("volume", f"volumes are those of the column {ticks[:40]}, as {named[:40]} is 0 throughout")
    return columns._replace(volume=columns.ticks)


def _without_header(delimiter: str, rows: Sequence[Cells], place: int, request: ReadRequest) -> Table:
    body = [cells for cells in rows[place : place + LOOKED_AT] if len(cells) >= _FEWEST_CELLS]
    width = Counter(map(len, body)).most_common(1)[0][0]
    if request.options.columns is not None:
        columns = named_columns(request.options.columns)
    else:
        columns = guess_columns([cells for cells in body if len(cells) == width], request)
    return Table(delimiter, width, columns, place, header=False)


def guess_columns(body: Sequence[Cells], request: ReadRequest) -> HeaderColumns:
    """Find out which column is which by what is in them.

    Prices are four columns next to each other that are candles in exactly one order; raises `BadInputError` naming
    `--columns` where there is none, or more than one.
    """
    by_column = list(zip(*body, strict=True))
    time, day = _time_columns(by_column, request)
    numbers = [[_number(cell) for cell in column] for column in by_column]
    start, order = _prices(numbers, max(time, -1 if day is None else day) + 1, body[0])
    name, places = order
    if _is_turned(numbers[start : start + 4], places, newest_first=_newest_first(by_column[time])):
        raise BadInputError(_which_columns("its opens and closes do not follow on each other", body[0]))
    opened, high, low, close = (start + at for at in places)
    volume = _volume_column(numbers, by_column, start + 4, high, low)
    told = f"{name}{'' if volume is None else ', volume' if volume == start + 4 else ', vwap, volume'}"
    request.note("columns", f"without a header, columns were read as {told}")
    return HeaderColumns(time, opened, high, low, close, volume, day, symbol=_symbol_column(by_column, time))


def _prices(numbers: Sequence[Numbers], after: int, row: Cells) -> tuple[int, tuple[str, tuple[int, ...]]]:
    """Find the four prices right behind the time, or the only four that are candles further on, and their order."""
    found = [(at, order) for at in range(after, len(numbers) - 3) if (order := _order(numbers[at : at + 4]))]
    if found and (found[0][0] == after or len(found) == 1):
        return found[0]
    how = "several" if found else "no"
    raise BadInputError(_which_columns(f"{how} orders of open, high, low and close make its rows candles", row))


def _which_columns(why: str, cells: Cells) -> str:
    shown = ",".join(cells)[:80]
    hint = "name them, as in --columns time,open,high,low,close,volume"
    return f"columns: which column is which is not certain: {why} ({shown}); {hint}"


def _time_columns(columns: Sequence[Cells], request: ReadRequest) -> tuple[int, int | None]:
    """Find the column of times, and that of dates where times are only times of day."""
    found = [at for at, column in enumerate(columns) if _share(is_time, column) > 0.5]
    if not found:
        raise BadInputError(_which_columns("no column is a time", [column[0] for column in columns]))
    at = found[0] if request.timeframe is None else _on_grid(found, columns, request)
    clock = at + 1
    if clock < len(columns) and all(map(_is_day, columns[at])) and all(map(_is_clock, columns[clock])):
        return clock, at
    return at, None


def _on_grid(found: Sequence[int], columns: Sequence[Cells], request: ReadRequest) -> int:
    """Choose, of several columns of numbers since the epoch, the first whose times are all on the grid."""
    assert request.timeframe is not None
    for at in found:
        opens = [times.epoch_ms(cell.strip()) for cell in columns[at]]
        if all(open_ms is not None and request.timeframe.floor(open_ms) == open_ms for open_ms in opens):
            return at
    return found[0]


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
    fits = {name: sum(_fits(row, places) for row in rows) for name, places in _ORDERS.items()}
    best, most = max(fits.items(), key=lambda fit: fit[1])
    if most * 10 < len(rows) * 9 and (most * 2 < len(rows) or best != next(iter(_ORDERS))):
        return None
    rivals = [name for name in fits if fits[name] == most and name != best]
    for rival in rivals:
        if any(_candle(row, _ORDERS[best]) != _candle(row, _ORDERS[rival]) for row in rows):
            return None
    return best, _ORDERS[best]


def _candle(row: Sequence[Decimal | None], places: Sequence[int]) -> list[Decimal | None]:
    return [row[at] for at in places]


def _fits(row: Sequence[Decimal | None], places: Sequence[int]) -> bool:
    opened, high, low, close = _candle(row, places)
    if opened is None or high is None or low is None or close is None:
        return False
    return 0 < low <= min(opened, close) and max(opened, close) <= high


def _is_turned(prices: Sequence[Numbers], places: Sequence[int], *, newest_first: bool) -> bool:
    """Whether opens follow on closes much better when they are taken for each other."""
    rows = [[row[at] for at in places] for row in zip(*prices, strict=True)]
    edges = [(row[0], row[3]) for row in rows if row[0] is not None and row[3] is not None]
    if newest_first:
        edges.reverse()
    if len(edges) < _FEWEST_EDGES:
        return False
    straight = sum(abs(after[0] - before[1]) for before, after in pairwise(edges))
    turned = sum(abs(after[1] - before[0]) for before, after in pairwise(edges))
    return bool(turned * 2 < straight)


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
    if at >= len(numbers) or _share(_is_number, cells[at]) <= 0.5:
        return None
    mean = all(
        value is not None and top is not None and bottom is not None and (value == 0 or bottom <= value <= top)
        for value, top, bottom in zip(numbers[at], numbers[high], numbers[low], strict=True)
    )
    behind = [column for column in numbers[at + 1 :] if all(value is not None for value in column)]
    if mean and len(behind) >= 2 and any(value for value in numbers[at]) and not all(map(is_time, cells[at + 1])):
        return at + 1
    return at


def _is_number(cell: str) -> bool:
    return _number(cell) is not None


def _number(cell: str) -> Decimal | None:
    try:
        number = read_number(cell, None)
    except (NotANumberError, UnknownDecimalError):
        return None
    return number if number.is_finite() and abs(number.adjusted()) < 50 else None


def is_time(cell: str) -> bool:
    """Whether a cell is a time: a date, or a number since the epoch that lies between 1971 and 2100."""
    cell = cell.strip()
    if cell.isascii() and cell.isdecimal() and len(cell) in (8, 12, 14, 17) and times.compact(cell) is not None:
        return True
    time_ms = times.epoch_ms(cell)
    if time_ms is not None:
        return 31_536_000_000 <= time_ms < 4_102_444_800_000 and len(cell) >= 9
    return _is_date(cell)


def _is_date(cell: str) -> bool:
    try:
        times.wall(cell)
    except UnknownOrderError:
        return True
    except (NotATimeError, ValueError):
        return False
    return True


def _is_day(cell: str) -> bool:
    """Whether a cell is a date without a time of day."""
    cell = cell.strip()
    if cell.isdecimal():
        return len(cell) == 8
    return ":" not in cell and _is_date(cell)


def _is_clock(cell: str) -> bool:
    cell = cell.strip()
    if re.fullmatch(r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:\s*[AaPp][Mm])?", cell):
        return True
    found = re.fullmatch(r"([0-9]{2})([0-9]{2})(?:([0-9]{2})(?:[0-9]{3})?)?", cell)
    return found is not None and int(found[1]) < 25 and int(found[2]) < 60 and int(found[3] or 0) < 60
