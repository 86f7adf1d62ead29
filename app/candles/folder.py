"""A folder of candle files, or one file, as a source: what is in the files is all there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from itertools import islice
from pathlib import Path

from app.candles import dump, files
from app.candles.rows import Broken, Finding, Refused, Row, singly, time_ms
from app.candles.sources import Part
from app.domain.timeframe import Timeframe
from app.errors import BadInput

_ROWS = 10_000


class Folder:
    """Reads the files of a symbol and timeframe; the argument is the path of the folder or file."""

    def __init__(self, argument: str) -> None:
        self.path = Path(argument)
        if not argument or not self.path.exists():
            raise BadInput(f"sources: there is nothing at {argument!r}")

    async def fetch(self, symbol: str, timeframe: Timeframe, from_ms: int, to_ms: int) -> AsyncGenerator[Part]:
        """Yield what the files have of `[from_ms, to_ms)`, in their order; they may grow behind their last candle."""
        rows = _rows(dump.files(self.path, symbol, timeframe.name), from_ms, to_ms)
        end_ms = from_ms
        while part := await asyncio.to_thread(lambda: list(islice(rows, _ROWS))):
            yield Part(part, from_ms)
            end_ms = max([end_ms, *(_open_ms(row, from_ms) + timeframe.ms for row in part)])
        yield Part([], min(end_ms, to_ms))


def _rows(paths: list[Path], from_ms: int, to_ms: int) -> Iterator[Row | Finding]:
    for path in paths:
        with path.open("rb") as file:
            try:
                yield from (row for row in singly(files.rows(path, file)) if _inside(row, from_ms, to_ms))
            except Broken as broken:
                yield Finding(0, f"{path.name} {broken.message}")


def _inside(row: Row | Finding, from_ms: int, to_ms: int) -> bool:
    return from_ms <= _open_ms(row, from_ms) < to_ms


def _open_ms(row: Row | Finding, otherwise: int) -> int:
    """Return the open time of a row, `otherwise` where it has none that can be read."""
    try:
        return otherwise if isinstance(row, Finding) else time_ms(row[1])
    except Refused:
        return otherwise
