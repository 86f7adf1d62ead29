"""Rows of CSV text: commas, semicolons, tabs or bars, with any usual header or none."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from operator import itemgetter
from typing import NamedTuple

from app.candles.rows import Block, BrokenFileError, Row
from app.errors import BadInputError

BLOCK_BYTES = 2**18
"""Text read and checked at once."""

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


class HeaderColumns(NamedTuple):
    """Where the fields stand in a row; `day` is the column of a date beside a time of day, `volume` may be absent."""

    time: int
    open: int
    high: int
    low: int
    close: int
    volume: int | None
    day: int | None = None


def rows(stream: io.BufferedReader) -> Iterator[Row | Block]:
    """Yield the rows of a stream; raises `BrokenFileError` where reading fails, `BadInputError` when there are none."""
    reading = LineReader(stream)
    columns, first, delimiter = _start(reading)
    if first is not None:
        yield (reading.number, *_picker(columns)(first))
    while lines := reading.block():
        place = reading.number - len(lines) + 1
        block = _block(place, lines, columns, delimiter)
        if block is not None:
            yield block
        else:
            yield from _rows(place, lines, columns, delimiter)


class LineReader:
    """Lines of a stream, one by one or a block at once; `number` counts those given out."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self.number = 0
        self._blocks = _blocks(stream)
        self._given: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Return the next line; raises `BrokenFileError` after the last one that can be read."""
        if not self._given:
            self._given = self._next_block()[::-1]
        if not self._given:
            raise StopIteration
        self.number += 1
        return self._given.pop()

    def block(self) -> list[str]:
        """Return the lines that are there already, or the next ones; none at the end."""
        lines = self._given[::-1] or self._next_block()
        self._given = []
        self.number += len(lines)
        return lines

    def _next_block(self) -> list[str]:
        try:
            return next(self._blocks, [])
        except BrokenFileError as broken:
            raise BrokenFileError(f"after line {self.number}: {broken.message}") from broken


def _blocks(stream: io.BufferedReader) -> Iterator[list[str]]:
    """Yield lines in blocks; what came before a break is yielded before `BrokenFileError` is raised."""
    rest, begun = b"", False
    while more := stream.read1(BLOCK_BYTES):
        whole, newline, after = more.rpartition(b"\n")
        if newline:
            yield _decoded(rest + whole, start=not begun)
            rest, begun = after, True
        else:
            rest += more
        if len(rest) > LINE_BYTES:
            raise BrokenFileError(f"it is longer than {LINE_BYTES} characters")
    if rest:
        yield _decoded(rest, start=not begun)


def _decoded(lines: bytes, *, start: bool) -> list[str]:
    """Decode lines as UTF-8; bytes that are none become marks that no number contains."""
    return lines.decode("utf-8-sig" if start else "utf-8", errors="replace").split("\n")


def _block(place: int, lines: list[str], columns: HeaderColumns, delimiter: str) -> Block | None:
    """Cut lines into columns; None unless all have as many cells as the first and none has quotes."""
    cells = lines[0].count(delimiter) + 1
    if columns.day is not None or any(at is not None and at >= cells for at in columns):
        return None
    text = delimiter.join(lines)
    if '"' in text or set(map(str.count, lines, repeat(delimiter))) != {cells - 1}:
        return None
    flat = text.replace("\r", "").split(delimiter)
    time, *prices = (flat[at::cells] for at in columns[:5])
    volume = ["0"] * len(lines) if columns.volume is None else flat[columns.volume :: cells]
    return Block(place, time, [*prices, volume])


def _rows(place: int, lines: list[str], columns: HeaderColumns, delimiter: str) -> Iterator[Row]:
    """Cut lines into rows; a line without enough cells becomes a row without numbers."""
    reader = csv.reader(lines, delimiter=delimiter)
    pick = _picker(columns)
    try:
        for cells in reader:
            try:
                yield (place + reader.line_num - 1, *pick(cells))
            except IndexError:
                if cells:
                    yield (place + reader.line_num - 1, cells[0], "", "", "", "", "")
    except csv.Error as error:
        raise BrokenFileError(f"line {place + reader.line_num - 1}: {error}") from error


def _start(lines: LineReader) -> tuple[HeaderColumns, list[str] | None, str]:
    """Read on to the header or first row: the columns, that row unless it was a header, the delimiter."""
    for line in lines:
        delimiter = max(",\t;|", key=line.count)
        cells = next(csv.reader([line], delimiter=delimiter), [])
        if len(cells) >= 5 and not line.startswith("#"):
            header = header_columns(cells)
            return header or plain_columns(cells), None if header else cells, delimiter
        if lines.number == 20:
            break
    raise BadInputError("file: no line with a time and four prices among the first 20")


def header_columns(cells: Sequence[str]) -> HeaderColumns | None:
    """Find the fields by their names; None when the row is no header, `BadInputError` when a field has no column."""
    names = [_name(cell) for cell in cells]
    if not any(name in spelled for name in names for spelled in _PRICES.values()):
        return None
    time = _find(names, _TIMES, "time")
    day = names.index("date") if names[time] == "time" and "date" in names else None
    opened, high, low, close = (_find(names, spellings, field) for field, spellings in _PRICES.items())
    named = [name for name in _VOLUMES if name in names] or [name for name in names if name.startswith("volume")]
    return HeaderColumns(time, opened, high, low, close, names.index(named[0]) if named else None, day)


def _name(cell: str) -> str:
    """Reduce a header to its letters: `Open time (UTC)` is `opentimeutc`, `1. open` is `open`."""
    name = re.sub(r"[^a-z0-9]", "", cell.lower()).lstrip("0123456789")
    return "opentime" if name.startswith("opentimeu") else name


def _find(names: Sequence[str], spellings: Sequence[str], field: str) -> int:
    for spelling in spellings:
        if spelling in names:
            return names.index(spelling)
    raise BadInputError(f"{field}: no column of the header has that name: {', '.join(names)[:200]}")


def plain_columns(cells: Sequence[str]) -> HeaderColumns:
    """Take a file without header as time, open, high, low, close, volume, as exchanges publish it."""
    return HeaderColumns(0, 1, 2, 3, 4, 5 if len(cells) > 5 else None)


def _picker(columns: HeaderColumns) -> Callable[[list[str]], tuple[str, str, str, str, str, str]]:
    """Make the function that picks the six fields out of a row; it raises `IndexError` for a short one."""
    if columns.volume is not None and columns.day is None:
        return itemgetter(*columns[:6])

    def pick(cells: list[str]) -> tuple[str, str, str, str, str, str]:
        time = cells[columns.time] if columns.day is None else f"{cells[columns.day]} {cells[columns.time]}"
        volume = "0" if columns.volume is None else cells[columns.volume]
        return time, cells[columns.open], cells[columns.high], cells[columns.low], cells[columns.close], volume

    return pick
