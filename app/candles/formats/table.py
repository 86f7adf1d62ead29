"""The layout of a text table: what parts its cells, where its header ends, and which column is which without one."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from app.candles.formats.columns import HeaderColumns, header_columns, named_columns
from app.candles.formats.guess import guess_columns
from app.candles.formats.instruments import choose_instrument
from app.candles.rows.cells import is_clock, is_day, is_time, number_of
from app.candles.rows.request import ReadRequest
from app.errors import BadInputError

HEAD_LINES = 50
"""A header, or the first row, stands among so many lines."""

LOOKED_AT = 1_000
"""Rows looked at for what the columns are."""

SPACES = " "
"""The delimiter of columns separated by any number of spaces."""

_DELIMITERS = ";\t|,"
_FEWEST_CELLS = 5

Cells = Sequence[str]


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
    for index, cells in enumerate(rows[:HEAD_LINES]):
        if len(cells) < _FEWEST_CELLS or cells[0].startswith("#"):
            continue
        columns = header_columns(cells, request.symbol)
        if columns is not None:
            return _with_header(delimiter, rows, index, columns, request)
        if _is_row(cells):
            return _without_header(delimiter, rows, index, request)
    raise BadInputError(f"file: no line with a time and four prices among the first {HEAD_LINES}")


def _is_row(cells: Cells) -> bool:
    return sum(number_of(cell) is not None for cell in cells) >= 4 or sum(map(is_time, cells)) > 0


def _with_header(
    delimiter: str, rows: Sequence[Cells], index: int, columns: HeaderColumns, request: ReadRequest
) -> Table:
    header = rows[index]
    start = index + 1
    if columns.time is None:
        start, columns = _more_header(rows, index, columns, request)
    body = [cells for cells in rows[start : start + LOOKED_AT] if len(cells) >= _FEWEST_CELLS]
    if request.options.columns is not None:
        return Table(delimiter, len(header), named_columns(request.options.columns), start, header=True)
    _refuse_twins(header, columns)
    width = _filled(header, body)
    shift = _shift(width, columns.time, body)
    columns = _shifted(columns, shift)
    if columns.time is None:
        columns = columns._replace(time=_find_time(body, columns, header))
    columns = _with_day(columns, body)
    return Table(delimiter, width + shift, _fuller_volume(columns, header, shift, body, request), start, header=True)


def _more_header(
    rows: Sequence[Cells], index: int, columns: HeaderColumns, request: ReadRequest
) -> tuple[int, HeaderColumns]:
    """Read on through a header of several rows, as yfinance writes one: prices, tickers, then the name of the time."""
    end = index + 1
    while end < min(len(rows), index + 4) and rows[end] and not is_time(rows[end][0]):
        end += 1
    for row in (*rows[max(index - 1, 0) : index], *rows[index + 1 : end]):
        tickers = {cell.strip() for cell in row[1:] if cell.strip()}
        if row and row[0].strip().lower() in ("ticker", "tickers", "symbol", "symbols", "") and tickers:
            columns = _of_ticker(rows[index], row, sorted(tickers), columns, request)
    return end, columns


def _of_ticker(
    names: Cells, row: Cells, tickers: list[str], columns: HeaderColumns, request: ReadRequest
) -> HeaderColumns:
    for ticker in tickers:
        request.add_instrument(ticker)
    if len(tickers) == 1 and request.options.only is None:
        return columns
    chosen = choose_instrument(tickers, request)
    used = [name if at == 0 or row[at].strip() == chosen else "" for at, name in enumerate(names[: len(row)])]
    return header_columns(used, request.symbol) or columns


def _refuse_twins(header: Cells, columns: HeaderColumns) -> None:
    """Refuse a header in which two columns have the name of one price."""
    for at in columns[1:5]:
        if at is not None and columns.time is not None and header.count(header[at]) > 1:
            raise BadInputError(
                f"columns: two columns are named {header[at].strip()[:40]}; say which is which, as in --columns"
                " time,open,high,low,close,-,volume"
            )


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
    if not all(map(is_clock, clocks)) or any(map(is_time, clocks)):
        return columns
    for at in range(width):
        if at not in columns[:6] and all(is_day(cells[at]) for cells in body):
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
    if any(number_of(volume) for volume, _ in cells) or not any(number_of(ticks) for _, ticks in cells):
        return columns
    ticks = header[columns.ticks - shift].strip()
    request.note("volume", f"volumes are those of the column {ticks[:40]}, as {named[:40]} is 0 throughout")
    return columns._replace(volume=columns.ticks)


def _without_header(delimiter: str, rows: Sequence[Cells], index: int, request: ReadRequest) -> Table:
    body = [cells for cells in rows[index : index + LOOKED_AT] if len(cells) >= _FEWEST_CELLS]
    width = Counter(map(len, body)).most_common(1)[0][0]
    if request.options.columns is not None:
        columns = named_columns(request.options.columns)
    else:
        columns = guess_columns([cells for cells in body if len(cells) == width], request)
    return Table(delimiter, width, columns, index, header=False)
