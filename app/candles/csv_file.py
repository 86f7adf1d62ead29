"""Rows of CSV text: commas, semicolons, tabs or bars, with any usual header or none."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from app.candles.rows import Broken, Row
from app.candles.unpack import text
from app.errors import BadInput

LINE_BYTES = 65_536
"""A line this long is no line of candles; reading stops there."""

_TIMES = (
    *("opentimems", "opentime", "timestampms", "timestamp", "timems", "mts", "ts"),
    *("unixtimestamp", "unixtime", "unix", "epoch", "start", "starttime", "startat", "tsevent"),
    *("datetimeutc", "datetime", "dateutc", "gmttime", "timeutc", "time", "date", "t"),
)
_PRICES = {
    "open": ("open", "o", "openprice", "priceopen"),
    "high": ("high", "h", "highprice", "max", "pricehigh"),
    "low": ("low", "l", "lowprice", "min", "pricelow"),
    "close": ("close", "c", "closeprice", "closelast", "last", "priceclose"),
}
_VOLUMES = ("volume", "vol", "v", "basevolume", "volumebase", "tickvol", "tickvolume", "size", "amount")


class Columns(NamedTuple):
    """Where the fields stand in a row; `day` is the column of a date beside a time of day, `volume` may be absent."""

    time: int
    open: int
    high: int
    low: int
    close: int
    volume: int | None
    day: int | None = None


def rows(stream: io.BufferedReader | io.BytesIO) -> Iterator[Row]:
    """Yield the rows of a stream; raises `Broken` where it stops making sense, `BadInput` when it has none."""
    with text(stream) as decoded:
        yield from _rows(lines(decoded))


def lines(decoded: io.TextIOBase) -> Iterator[str]:
    """Yield lines of any usual length; raises `Broken` after the last one that can be read."""
    number = 0
    try:
        while line := decoded.readline(LINE_BYTES):
            number += 1
            if len(line) == LINE_BYTES:
                raise Broken(f"it is longer than {LINE_BYTES} characters")
            yield line
    except Broken as broken:
        raise Broken(f"after line {number}: {broken.message}") from broken


def _rows(lines: Iterator[str]) -> Iterator[Row]:
    columns, first, skipped, delimiter = _start(lines)
    reader = csv.reader(lines, delimiter=delimiter)
    pick = _picker(columns)
    try:
        if first is not None:
            yield (skipped, *pick(first))
        for cells in reader:
            try:
                yield (skipped + reader.line_num, *pick(cells))
            except IndexError:
                if cells:
                    yield (skipped + reader.line_num, cells[0], "", "", "", "", "")
    except csv.Error as error:
        raise Broken(f"line {skipped + reader.line_num}: {error}") from error


def _start(lines: Iterator[str]) -> tuple[Columns, list[str] | None, int, str]:
    """Read on to the header or first row: the columns, that row unless it was a header, its line, the delimiter."""
    for number, line in enumerate(lines, 1):
        delimiter = max(",\t;|", key=line.count)
        cells = next(csv.reader([line], delimiter=delimiter), [])
        if len(cells) >= 5 and not line.startswith("#"):
            header = header_columns(cells)
            return header or plain_columns(cells), None if header else cells, number, delimiter
        if number == 20:
            break
    raise BadInput("file: no line with a time and four prices among the first 20")


def header_columns(cells: Sequence[str]) -> Columns | None:
    """Find the fields by their names; None when the row is no header, `BadInput` when a field has no column."""
    names = [_name(cell) for cell in cells]
    if not any(name in spelled for name in names for spelled in _PRICES.values()):
        return None
    time = _find(names, _TIMES, "time")
    day = names.index("date") if names[time] == "time" and "date" in names else None
    opened, high, low, close = (_find(names, spellings, field) for field, spellings in _PRICES.items())
    named = [name for name in _VOLUMES if name in names] or [name for name in names if name.startswith("volume")]
    return Columns(time, opened, high, low, close, names.index(named[0]) if named else None, day)


def _name(cell: str) -> str:
    """Reduce a header to its letters: `Open time (UTC)` is `opentimeutc`, `1. open` is `open`."""
    name = re.sub(r"[^a-z0-9]", "", cell.lower()).lstrip("0123456789")
    return "opentime" if name.startswith("opentimeu") else name


def _find(names: Sequence[str], spellings: Sequence[str], field: str) -> int:
    for spelling in spellings:
        if spelling in names:
            return names.index(spelling)
    raise BadInput(f"{field}: no column of the header has that name: {', '.join(names)[:200]}")


def plain_columns(cells: Sequence[str]) -> Columns:
    """Take a file without header as time, open, high, low, close, volume, as exchanges publish it."""
    return Columns(0, 1, 2, 3, 4, 5 if len(cells) > 5 else None)


def _picker(columns: Columns) -> Callable[[list[str]], tuple[str, str, str, str, str, str]]:
    """Make the function that picks the six fields out of a row; it raises `IndexError` for a short one."""
    if columns.volume is not None and columns.day is None:
        return itemgetter(*columns[:6])

    def pick(cells: list[str]) -> tuple[str, str, str, str, str, str]:
        time = cells[columns.time] if columns.day is None else f"{cells[columns.day]} {cells[columns.time]}"
        volume = "0" if columns.volume is None else cells[columns.volume]
        return time, cells[columns.open], cells[columns.high], cells[columns.low], cells[columns.close], volume

    return pick
