"""Import of a candle file into the cache, with a report of what was taken, refused and missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from app.candles.cache.calendar import Calendar
from app.candles.cache.load import find_gaps
from app.candles.formats import dump, files
from app.candles.formats.instruments import same_instrument
from app.candles.rows.quality import RowValidator
from app.candles.rows.read_options import UNSAID, ReadOptions
from app.candles.rows.reading import DAY_MS, Reading
from app.candles.rows.report import Report
from app.candles.rows.request import ReadRequest
from app.candles.rows.row import Block, BrokenFileError, Item
from app.db import candles as cache
from app.db import symbols
from app.db.audit import Recording
from app.db.candle_store import CandleColumns
from app.db.pool import Connection
from app.domain.market.candle import Gap
from app.domain.market.symbol import normalize_symbol, normalize_venue
from app.domain.market.timeframe import Timeframe
from app.domain.market.timeframe import timeframe as named_timeframe
from app.domain.utc import utc
from app.errors import BadInputError

Progress = Callable[[int, int], None]
"""Called now and then with the bytes of the file read so far and its size."""

_SOURCE = "file"
_REPORT_EVERY = 5_000
_QUARTER_MS = 900_000
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


async def import_file(
    conn: Connection,
    path: Path,
    venue: str,
    symbol: str,
    timeframe: str,
    progress: Progress | None = None,
    calendar: Calendar | None = None,
    options: ReadOptions = UNSAID,
    *,
    keep_going: bool = False,
    recording: Recording | None = None,
) -> Report:
    """Import a file, or the files of a folder, with candles of one symbol and timeframe; all of its good rows or none.

    The kind of a file is detected; packed files are unpacked. Raises `BadInputError` when nothing can be
    opened, no row is good, or the user has to say how to read it (`options`). When more than half of the rows are
    refused nothing is stored, unless with `keep_going`. With a `calendar`, closed hours are no gaps. `recording` adds
    its entry in the transaction that stores the candles.
    """
    spelling, venue, symbol = symbol, normalize_venue(venue), normalize_symbol(symbol)
    request = ReadRequest(symbol, named_timeframe(timeframe), options, keep_going=keep_going)
    check = RowValidator(symbol, named_timeframe(timeframe), now_ms=request.now_ms)
    reading = FileReader(dump.files(path, options.only or symbol, timeframe), check, request, progress)
    rejected = None
    async with conn.transaction():
        await symbols.require_one_symbol(conn, venue, spelling)
        stored = await cache.store_columns(conn, venue, symbol, timeframe, reading.columns())
        first_ms, last_ms = _range(path, check)
        if check.timeframe.ms > _QUARTER_MS:
            await _check_slots(conn, venue, symbol, check.timeframe, first_ms, last_ms)
        for start_ms, end_ms in reading.spans:
            await cache.add_coverage(conn, venue, symbol, timeframe, _SOURCE, start_ms, end_ms + check.timeframe.ms)
        gaps: list[Gap] = []
        missing = 0
        if sum(stored) < check.timeframe.slots(check.timeframe.floor(first_ms), last_ms + 1):
            gaps, missing = await find_gaps(conn, venue, [symbol], timeframe, first_ms, last_ms, calendar=calendar)
        rejected = None if keep_going else too_many_refused(check)
        if rejected is not None:
            stored = cache.Stored(0, 0, 0)
            raise cache.Rollback
        if recording is not None:
            await recording(conn, f"{venue} {symbol} {timeframe}", {"new": stored.new, "changed": stored.changed})
    if sum(stored) > cache.FEW_SLOTS:
        await cache.keep(conn, venue, symbol, timeframe)
    note_grid(check, request)
    return _report(venue, check, request, stored, (first_ms, last_ms), gaps, missing, rejected)


def _report(
    venue: str,
    check: RowValidator,
    request: ReadRequest,
    stored: cache.Stored,
    range_ms: tuple[int, int],
    gaps: list[Gap],
    missing: int,
    rejected: str | None,
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
        first_ms=range_ms[0],
        last_ms=range_ms[1],
        gaps=gaps,
        missing=missing,
        empty=check.empty,
        notes=request.notes,
        rejected=rejected,
    )


def too_many_refused(check: RowValidator) -> str | None:
    """Say why nothing is stored when more than half of the rows are refused; None when fewer are."""
    refused, rows = check.refused - check.empty, check.rows - check.empty
    if refused * 2 <= rows:
        return None
    first = check.refusals[0]
    return (
        f"file: {refused:,} of {rows:,} rows were refused, so nothing was stored; the first is line"
        f" {first.line_number}: {first.reason}; --keep-going stores the others"
    )


def note_grid(check: RowValidator, request: ReadRequest) -> None:
    """Note what is worth knowing about the times of the candles of a file."""
    if check.shift_ms and check.timeframe.name == "1w":
        request.note("grid", f"weeks open on {_DAYS[check.shift_ms // DAY_MS]}, not on Monday, and were stored so")
    elif check.shift_ms:
        minutes = check.shift_ms // 60_000
        request.note("grid", f"candles open {minutes:,} minutes into their {check.timeframe.name}, and were stored so")
    if len(request.instruments) == 1 and not same_instrument(request.instruments[0], check.symbol):
        request.note("instrument", f"the rows name {request.instruments[0][:40]}; they were stored as {check.symbol}")
    naive = any(note.topic == "timeZone" for note in request.notes)
    if check.duplicates and naive and request.options.time_zone is None:
        text = "times stand there twice; where clocks change at the end of summer, --time-zone, as in Europe/Berlin,"
        request.note("rows", f"{text} keeps both hours")


async def _check_slots(
    conn: Connection, venue: str, symbol: str, timeframe: Timeframe, first_ms: int, last_ms: int
) -> None:
    """Let built candles go where others open in their slot; raise `BadInputError` where two others open in one slot."""
    await cache.drop_built_beside(conn, venue, symbol, timeframe.name, first_ms, last_ms)
    pair = await cache.sharing_slot(conn, venue, symbol, timeframe.name, first_ms, last_ms)
    if pair is not None:
        raise BadInputError(
            f"file: two candles of {symbol} {timeframe.name} would open in one slot, at {utc(pair[0])} and at"
            f" {utc(pair[1])}: one is stored already; say --time-zone or --stamp as you did then, or delete it first"
        )


class FileReader:
    """Reads files one after the other; `spans` are the first and last open time of each, in ms."""

    def __init__(
        self, paths: list[Path], check: RowValidator, request: ReadRequest, progress: Progress | None = None
    ) -> None:
        self.spans: list[tuple[int, int]] = []
        self._paths = paths
        self._check = check
        self._request = request
        self._progress = progress or (lambda done, total: None)
        self._done = 0
        self._total = sum(path.stat().st_size for path in paths if path.is_file())

    def columns(self) -> Iterator[CandleColumns]:
        """Yield the candles of all good rows; of several files, a bad one is noted and the others are still read."""
        for path in self._paths:
            self._check.file = path.name if len(self._paths) > 1 else ""
            edges: list[int] = []
            for piece in self._check.columns(self.items(path)):
                if piece.times:
                    edges += min(piece.times), max(piece.times)
                    edges = [min(edges), max(edges)]
                yield piece
            if edges:
                self.spans.append((edges[0], edges[1]))

    def items(self, path: Path) -> Iterator[Item | Reading]:
        """Yield the rows of one file, and how they are read."""
        options = self._request.options
        self._request.look_further = True
        self._request.several = len(self._paths) > 1
        self._check.reading = Reading(self._check.timeframe)
        try:
            with files.open_file(path) as file:
                size = os.fstat(file.fileno()).st_size
                for count, item in enumerate(files.rows(path, file, self._request)):
                    if isinstance(item, Block) or count % _REPORT_EVERY == 0:
                        self._progress(self._done + min(file.tell(), size), self._total)
                    yield item
        except BadInputError as error:
            if len(self._paths) == 1 and not isinstance(error, BrokenFileError):
                raise
            self._check.break_off(error.message)
            size = path.stat().st_size if path.exists() else 0
        finally:
            self._request.options = options
        self._done += size
        self._progress(self._done, self._total)


def _range(path: Path, check: RowValidator) -> tuple[int, int]:
    if check.first_ms is None or check.last_ms is None:
        first = check.refusals[0] if check.refusals else None
        why = f"line {first.line_number}: {first.reason}" if first else check.broke or "it has no rows"
        raise BadInputError(f"file: {path.name} holds no good candle; {why}")
    return check.first_ms, check.last_ms
