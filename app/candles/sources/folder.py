"""A folder of candle files, or one file, as a source: it has only the candles in the files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from app.candles.formats import dump, files
from app.candles.rows.reading import Reading
from app.candles.rows.request import ReadRequest
from app.candles.rows.row import BrokenFileError, Item, Row, RowError, RowIssue, single_rows
from app.candles.sources.source import Part
from app.domain.market.timeframe import Timeframe
from app.errors import BadInputError

_ROWS = 10_000


class Folder:
    """Reads the files of a symbol and timeframe; the argument is the path of the folder or file."""

    def __init__(self, argument: str) -> None:
        self.path = Path(argument)
        if not argument or not self.path.exists():
            raise BadInputError(f"sources: there is nothing at {argument!r}")

    async def fetch(self, symbol: str, timeframe: Timeframe, from_ms: int, to_ms: int) -> AsyncGenerator[Part]:
        """Yield what the files have of `[from_ms, to_ms)`, in their order; they may get later candles."""
        rows = _rows(dump.files(self.path, symbol, timeframe.name), ReadRequest(symbol, timeframe), from_ms, to_ms)
        end_ms = from_ms
        while part := await asyncio.to_thread(lambda: list(islice(rows, _ROWS))):
            yield Part(part, from_ms)
            end_ms = max([end_ms, *(_open_ms(row, from_ms) + timeframe.ms for row in part)])
        yield Part([], min(end_ms, to_ms))


def _rows(paths: list[Path], request: ReadRequest, from_ms: int, to_ms: int) -> Iterator[Row | RowIssue]:
    """Yield the rows of a range. A file that cannot be read is reported, and the other files are still read."""
    for path in paths:
        try:
            with files.open_file(path) as file:
                yield from _plain(
                    files.rows(path, file, replace(request, look_further=True, several=len(paths) > 1)), from_ms, to_ms
                )
        except BadInputError as error:
            if len(paths) == 1 and not isinstance(error, BrokenFileError):
                raise
            yield RowIssue(0, f"{path.name} {error.message}")


def _plain(items: Iterator[Item | Reading], from_ms: int, to_ms: int) -> Iterator[Row | RowIssue]:
    """Yield rows of a range with times and numbers as they are, whatever the file wrote."""
    reading = Reading()
    for item in items:
        if isinstance(item, Reading):
            reading = item
            continue
        for row in single_rows([item]):
            plain = row if isinstance(row, RowIssue) else _settled(row, reading)
            if isinstance(plain, RowIssue) or from_ms <= int(plain[1]) < to_ms:
                yield plain


def _settled(row: Row, reading: Reading) -> Row | RowIssue:
    line_number, time, *written = row
    try:
        opened, high, low, close, volume = reading.numbers(written)
        return line_number, reading.time(time), opened, high, low, close, volume
    except RowError as refused:
        return RowIssue(line_number, str(refused))


def _open_ms(row: Row | RowIssue, otherwise: int) -> int:
    """Return the open time of a row, `otherwise` where it has none."""
    return otherwise if isinstance(row, RowIssue) else int(row[1])
