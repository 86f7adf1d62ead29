"""Rows of text tables: cells separated by commas, semicolons, tabs, bars or spaces, with any usual header or none."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import repeat

from app.candles.formats.columns import zone_of_header
from app.candles.formats.instruments import choose_instrument, same_instrument
from app.candles.formats.table import HEAD_LINES, SPACES, Cells, Table, cut, find_table
from app.candles.rows.request import ReadRequest
from app.candles.rows.row import STILL_READING, Block, BrokenFileError, Item, Layout, Row, RowIssue

BLOCK_BYTES = 2**18
"""Text read and checked at once."""

LINE_BYTES = 65_536
"""A line this long is no line of candles; reading stops there."""

_DATABENTO = {"rtype", "publisher_id", "instrument_id"}
_DATABENTO_DECIMALS = 9


def rows(stream: io.BufferedReader, request: ReadRequest | None = None) -> Iterator[Item | Layout]:
    """Yield the rows of a stream; raises `BrokenFileError` where reading fails, `BadInputError` when there are none."""
    request = request or ReadRequest()
    reading = LineReader(stream)
    lines = reading.first_block()
    table = find_table(lines, request)
    header = cut(lines[table.skip - 1], table.delimiter) if table.header and table.skip else []
    yield _layout(table, header, lines, request)
    symbol = table.columns.symbol
    cutter = _Cutter(table, request, header[symbol].strip() if symbol is not None and symbol < len(header) else "")
    yield from cutter.items(table.skip + 1, lines[table.skip :])
    reading.number = len(lines)
    while lines := reading.block():
        yield from cutter.items(reading.number - len(lines) + 1, lines)
    cutter.finish()


def _layout(table: Table, header: Cells, lines: list[str], request: ReadRequest) -> Layout:
    decimals = 0
    if set(header) >= _DATABENTO:
        cells = [cut(line, table.delimiter) for line in lines[table.skip : table.skip + HEAD_LINES]]
        prices = [row[at] for row in cells if len(row) == table.width for at in table.columns[1:5]]
        decimals = _DATABENTO_DECIMALS if all(price.lstrip("-").isdecimal() for price in prices) else 0
    if decimals:
        request.note("prices", f"prices were read as whole numbers of 1e-{decimals}")
    if table.columns.stamp == "close":
        request.note("stamp", "each time was read as the close of its candle, as its column says")
    at = table.columns.time
    zone = None if at is None or at >= len(header) else zone_of_header(header[at])
    return Layout(table.columns.stamp, decimals, zone)


class LineReader:
    """Lines of a stream, a block at once; `number` counts those given out."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self.number = 0
        self._blocks = _blocks(stream)
        self._broken: BrokenFileError | None = None

    def __iter__(self) -> Iterator[str]:
        while lines := self.block():
            yield from lines

    def first_block(self) -> list[str]:
        """Return at least the lines among which a header or the first row must stand, and some more to look at."""
        lines = self._next_block()
        while len(lines) < 2 * HEAD_LINES and self._broken is None:
            try:
                more = self._next_block()
            except BrokenFileError as broken:
                self._broken = broken
                break
            if not more:
                break
            lines += more
        return lines

    def block(self) -> list[str]:
        """Return the next lines; none at the end. Raises `BrokenFileError` after the last one that can be read."""
        if self._broken is not None:
            raise BrokenFileError(f"after line {self.number}: {self._broken.message}")
        try:
            lines = self._next_block()
        except BrokenFileError as broken:
            raise BrokenFileError(f"after line {self.number}: {broken.message}") from broken
        self.number += len(lines)
        return lines

    def _next_block(self) -> list[str]:
        return next(self._blocks, [])


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


class _Cutter:
    """Cuts lines into rows of one instrument."""

    def __init__(self, table: Table, request: ReadRequest, symbol_header: str) -> None:
        self._table = table
        self._request = request
        self._only = request.options.only
        self._symbol_header = symbol_header
        self._several = False
        self._seen = False
        self._at = (table.columns.time or 0, *table.columns[1:6])

    def items(self, line_number: int, lines: list[str]) -> Iterator[Item]:
        """Yield the rows of lines, as a block where they are uniform."""
        block = self._block(line_number, lines) if lines else STILL_READING
        if block is not None:
            yield block
        else:
            yield from self._rows(line_number, lines)
            yield STILL_READING
        if self._several:
            choose_instrument(self._request.instruments, self._request)

    def finish(self) -> None:
        """Refuse a file without the instrument asked for."""
        names = self._request.instruments
        if self._only is not None and names and not self._seen:
            choose_instrument(names, self._request)

    def _block(self, line_number: int, lines: list[str]) -> Block | None:
        """Cut lines into columns; None unless all have as many cells as there are columns and none has quotes."""
        columns, width, delimiter = self._table.columns, self._table.width, self._table.delimiter
        if columns.day is not None or delimiter == SPACES or any(at is not None and at >= width for at in self._at):
            return None
        text = delimiter.join(lines)
        if '"' in text or set(map(str.count, lines, repeat(delimiter))) != {width - 1}:
            return None
        if "\r" in text:
            lines = [line.rstrip("\r") for line in lines]
            text = delimiter.join(lines)
            if "\r" in text:
                return None
        flat = text.split(delimiter)
        if columns.symbol is not None and not self._is_one(set(flat[columns.symbol :: width])):
            return None
        time, *prices = (flat[at::width] for at in self._at[:5] if at is not None)
        volume = ["0"] * len(lines) if columns.volume is None else flat[columns.volume :: width]
        return Block(line_number, time, [*prices, volume])

    def _is_one(self, names: set[str]) -> bool:
        """Whether all rows are of the one instrument to be taken."""
        return all([self._is_taken(name) for name in sorted(names)])  # noqa: C419 - all of them are to be noted

    def _is_taken(self, name: str) -> bool:
        """Note the instrument of a row; whether it is one to take."""
        name = name.strip()
        if name == self._symbol_header:
            return True
        known = self._request.instruments
        if name and name not in known and len(known) < 1_000:
            known.append(name)
        if self._only is not None:
            taken = same_instrument(name, self._only)
            self._seen = self._seen or taken
            return taken
        self._several = self._several or len(known) > 1
        return True

    def _rows(self, line_number: int, lines: list[str]) -> Iterator[Row | RowIssue]:
        for number, line in enumerate(lines, line_number):
            cells = cut(line, self._table.delimiter)
            if len(cells) > 1 or (not cells and line.strip("\r \ufeff")):
                yield from self._row(number, line, cells)
            elif cells and cells[0].strip():
                yield RowIssue(number, f"not a row of the table: {line.strip()[:40]!r}")

    def _row(self, line_number: int, line: str, cells: Cells) -> Iterator[Row | RowIssue]:
        if not self._table.width <= len(cells) <= self._table.width + (not cells or not cells[-1].strip()):
            yield RowIssue(
                line_number, f"it has {len(cells)} cells where there are {self._table.width} columns: {line[:40]!r}"
            )
            return
        columns = self._table.columns
        if columns.symbol is not None and not self._is_taken(cells[columns.symbol]):
            return
        time, opened, high, low, close, volume = ("0" if at is None else cells[at] for at in self._at)
        if columns.day is not None:
            time = f"{cells[columns.day].strip()} {time.strip()}"
        yield line_number, time, opened, high, low, close, volume
