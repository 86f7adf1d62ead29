"""Import of a candle file into the cache, with a report of what was taken, refused and missing."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from app.candles import dump, files
from app.candles.calendar import Calendar
from app.candles.load import find_gaps
from app.candles.quality import RowValidator
from app.candles.rows import Block, Item, RowIssue
from app.db import candles as cache
from app.db import symbols
from app.db.candle_store import CandleColumns
from app.db.pool import Connection
from app.domain.market.candle import Gap
from app.domain.market.symbol import normalize_symbol as spelled_symbol
from app.domain.market.symbol import normalize_venue as spelled_venue
from app.domain.market.timeframe import timeframe as named_timeframe
from app.errors import BadInputError

Progress = Callable[[int, int], None]
"""Called now and then with the bytes of the file read so far and its size."""

_SOURCE = "file"
_REPORT_EVERY = 5_000


class Report(NamedTuple):
    """What an import did; `rows` is new + changed + same + duplicates + refused, times are open times in ms.

    `refusals` and `repairs` list at most 100 each, `gaps` at most 100 between first and last; `broke` says where a
    file could not be read on, None when it was read to its end.
    """

    venue: str
    symbol: str
    timeframe: str
    rows: int
    new: int
    changed: int
    same: int
    refused: int
    refusals: list[RowIssue]
    duplicates: int
    unordered: int
    repairs: list[RowIssue]
    broke: str | None
    first_ms: int
    last_ms: int
    gaps: list[Gap]
    missing: int


async def import_file(
    conn: Connection,
    path: Path,
    venue: str,
    symbol: str,
    timeframe: str,
    progress: Progress | None = None,
    calendar: Calendar | None = None,
) -> Report:
    """Import a file, or the files of a folder, with candles of one symbol and timeframe; all of its good rows or none.

    CSV, JSON, Parquet, Feather and Lean files are told apart by their content; gzip and zip are unpacked. Raises
    `BadInputError` when nothing can be opened or no row is good. With a `calendar`, closed hours are no gaps.
    """
    spelling, venue, symbol = symbol, spelled_venue(venue), spelled_symbol(symbol)
    check = RowValidator(symbol, named_timeframe(timeframe), now_ms=time.time_ns() // 1_000_000)
    reading = _Reading(dump.files(path, symbol, timeframe), check, progress)
    async with conn.transaction():
        await symbols.require_one_symbol(conn, venue, spelling)
        stored = await cache.store_columns(conn, venue, symbol, timeframe, reading.columns())
        first_ms, last_ms = _range(path, check)
        for start_ms, end_ms in reading.spans:
            await cache.add_coverage(conn, venue, symbol, timeframe, _SOURCE, start_ms, end_ms + check.timeframe.ms)
        gaps: list[Gap] = []
        missing = 0
        if sum(stored) < check.timeframe.slots(check.timeframe.floor(first_ms), last_ms + 1):
            gaps, missing = await find_gaps(conn, venue, [symbol], timeframe, first_ms, last_ms, calendar=calendar)
    return _report(venue, check, stored, first_ms, last_ms, gaps, missing)


class _Reading:
    """Reads files one after the other; `spans` are the first and last open time of each, in ms."""

    def __init__(self, paths: list[Path], check: RowValidator, progress: Progress | None) -> None:
        self.spans: list[tuple[int, int]] = []
        self._paths = paths
        self._check = check
        self._progress = progress or (lambda done, total: None)
        self._done = 0
        self._total = sum(path.stat().st_size for path in paths if path.is_file())

    def columns(self) -> Iterator[CandleColumns]:
        """Yield the candles of all good rows; of several files, a bad one is noted and the others are still read."""
        for path in self._paths:
            self._check.file = path.name if len(self._paths) > 1 else ""
            edges: list[int] = []
            for piece in self._check.columns(self._rows(path)):
                edges += min(piece.times), max(piece.times)
                edges = [min(edges), max(edges)]
                yield piece
            if edges:
                self.spans.append((edges[0], edges[1]))

    def _rows(self, path: Path) -> Iterator[Item]:
        with _opened(path) as file:
            try:
                for count, item in enumerate(files.rows(path, file)):
                    if isinstance(item, Block) or count % _REPORT_EVERY == 0:
                        self._progress(self._done + file.tell(), self._total)
                    yield item
            except BadInputError as error:
                if len(self._paths) == 1:
                    raise
                self._check.break_off(error.message)
            self._done += os.fstat(file.fileno()).st_size
        self._progress(self._done, self._total)


def _opened(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInputError(f"file: {path} cannot be opened: {error.strerror}") from None


def _range(path: Path, check: RowValidator) -> tuple[int, int]:
    if check.first_ms is None or check.last_ms is None:
        first = check.refusals[0] if check.refusals else None
        why = f"line {first.place}: {first.reason}" if first else check.broke or "it is empty"
        raise BadInputError(f"file: {path.name} holds no good candle; {why}")
    return check.first_ms, check.last_ms


def _report(
    venue: str, check: RowValidator, stored: cache.Stored, first_ms: int, last_ms: int, gaps: list[Gap], missing: int
) -> Report:
    return Report(
        venue=venue,
        symbol=check.symbol,
        timeframe=check.timeframe.name,
        rows=check.rows,
        new=stored.new,
        changed=stored.changed,
        same=stored.same,
        refused=check.refused,
        refusals=check.refusals,
        duplicates=check.duplicates,
        unordered=check.unordered,
        repairs=check.repairs,
        broke=check.broke,
        first_ms=first_ms,
        last_ms=last_ms,
        gaps=gaps,
        missing=missing,
    )
