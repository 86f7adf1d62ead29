"""A folder of candle files, or one file, as a source: what is in the files is all there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from itertools import islice
from pathlib import Path

from app.candles import dump, files
from app.candles.rows import BrokenFileError, Row, RowError, RowIssue, single_rows, time_ms
from app.candles.sources import Part
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
        """Yield what the files have of `[from_ms, to_ms)`, in their order; they may grow behind their last candle."""
        rows = _rows(dump.files(self.path, symbol, timeframe.name), from_ms, to_ms)
        end_ms = from_ms
        while part := await asyncio.to_thread(lambda: list(islice(rows, _ROWS))):
            yield Part(part, from_ms)
            end_ms = max([end_ms, *(_open_ms(row, from_ms) + timeframe.ms for row in part)])
        yield Part([], min(end_ms, to_ms))


def _rows(paths: list[Path], from_ms: int, to_ms: int) -> Iterator[Row | RowIssue]:
    for path in paths:
        with path.open("rb") as file:
            try:
                yield from (row for row in single_rows(files.rows(path, file)) if _inside(row, from_ms, to_ms))
            except BrokenFileError as broken:
                yield RowIssue(0, f"{path.name} {broken.message}")


def _inside(row: Row | RowIssue, from_ms: int, to_ms: int) -> bool:
    return from_ms <= _open_ms(row, from_ms) < to_ms


def _open_ms(row: Row | RowIssue, otherwise: int) -> int:
    """Return the open time of a row, `otherwise` where it has none that can be read."""
    try:
        return otherwise if isinstance(row, RowIssue) else time_ms(row[1])
    except RowError:
        return otherwise
