"""What an import of a file would store: nothing is stored."""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from app.candles.cache.calendar import Calendar
from app.candles.formats import dump, files
from app.candles.imports.importer import FileReader, note_grid, too_many_refused
from app.candles.rows.quality import LISTED, RowValidator
from app.candles.rows.read_options import UNSAID, ReadOptions
from app.candles.rows.reading import Reading
from app.candles.rows.report import Alternative, Inspection, Line
from app.candles.rows.request import ReadRequest
from app.candles.rows.row import Block, Item, Row, RowError, RowIssue, single_rows
from app.domain.market.symbol import normalize_symbol
from app.domain.market.timeframe import timeframe as named_timeframe
from app.domain.market.trading_hours import open_gaps
from app.domain.number import format_decimal
from app.errors import BadInputError

_SHOWN = 3
_ASSUMED = "1d"
"""The timeframe in which rows are read whose steps say none."""


def inspect_file(
    path: Path,
    symbol: str | None = None,
    timeframe: str | None = None,
    options: ReadOptions = UNSAID,
    calendar: Calendar | None = None,
) -> Inspection:
    """Read a file as an import would, and say what would be stored; symbol and timeframe are guessed where not given.

    It reads the whole file and never touches a database: call it in a thread. Raises `BadInputError` when it cannot be
    opened.
    """
    symbol = None if symbol is None else normalize_symbol(symbol)
    if path.is_dir() and (symbol is None or timeframe is None):
        raise BadInputError("symbol: of a folder say which --symbol and --timeframe to look at, or name one file in it")
    if not path.is_dir():
        files.open_file(path).close()
    request = ReadRequest(symbol, None if timeframe is None else named_timeframe(timeframe), options)
    if timeframe is None or symbol is None:
        _look(path, request)
    named_symbol, named_frame = dump.guess_series(path.name)
    timeframe = timeframe or request.step or named_frame
    symbol = symbol or _only_symbol(request, named_symbol)
    inspection = Inspection(path.name, request.kind, symbol, timeframe)
    _read(path, inspection, options, calendar)
    inspection.command = _command(path, inspection, options)
    return inspection


def _look(path: Path, request: ReadRequest) -> None:
    """Look at the first rows for instruments and steps."""
    try:
        with files.open_file(path) as file:
            for _ in islice(files.rows(path, file, request), 2 * _SHOWN):
                pass
    except BadInputError:
        pass  # Reading the file with all options raises the error.


def _only_symbol(request: ReadRequest, named: str | None) -> str | None:
    chosen = request.options.only or (request.instruments[0] if len(request.instruments) == 1 else named)
    try:
        return None if chosen is None else normalize_symbol(chosen)
    except BadInputError:
        return None


def _read(path: Path, inspection: Inspection, options: ReadOptions, calendar: Calendar | None) -> None:
    grid = named_timeframe(inspection.timeframe or _ASSUMED)
    symbol = inspection.symbol or "SYMBOL"
    request = ReadRequest(inspection.symbol, grid if inspection.timeframe else None, options)
    check = RowValidator(symbol, grid, now_ms=request.now_ms)
    try:
        paths = dump.files(path, options.only or symbol, grid.name)
        reader = _Shown(paths, check, request)
        for _ in reader.columns():
            pass
        inspection.readings = [Alternative("", reader.first, reader.last)]
        inspection.question = _question(inspection, check)
    except BadInputError as error:
        inspection.question = error.message
        inspection.readings = list(_both_ways(path, inspection, error.message, options))
    note_grid(check, request)
    _copy_findings(inspection, check, request, calendar)


def _question(inspection: Inspection, check: RowValidator) -> str | None:
    if check.first_ms is None:
        first = check.refusals[0] if check.refusals else None
        why = f"line {first.line_number}: {first.reason}" if first else check.broke or "it has no rows"
        return f"file: {inspection.file} holds no good candle; {why}"
    if inspection.timeframe is None:
        return "timeframe: the steps between the rows do not say which it is; say --timeframe"
    if inspection.symbol is None:
        return "symbol: the file does not say of what its candles are; say --symbol"
    return too_many_refused(check)


def _copy_findings(
    inspection: Inspection, check: RowValidator, request: ReadRequest, calendar: Calendar | None
) -> None:
    inspection.kind = request.kind or inspection.kind
    inspection.instruments = request.instruments
    inspection.rows, inspection.refused, inspection.empty = check.rows, check.refused, check.empty
    inspection.refusals = check.refusals
    inspection.duplicates, inspection.unordered = check.duplicates, check.unordered
    inspection.first_ms, inspection.last_ms = check.first_ms, check.last_ms
    inspection.notes = request.notes
    gaps = check.gaps()
    if calendar is not None and gaps:
        calendar.read(gaps[0].from_ms, gaps[-1].to_ms)
        gaps = open_gaps(calendar, gaps)
    inspection.missing = sum(gap.missing for gap in gaps)
    inspection.gaps = gaps[:LISTED]


class _Shown(FileReader):
    """Reads files and keeps the first and last rows to show."""

    first: list[Line]
    last: list[Line]

    def items(self, path: Path) -> Iterator[Item | Reading]:
        """Yield the rows of one file, and how they are read."""
        how = Reading()
        begun: list[Row] = []
        ended: deque[Row] = deque(maxlen=_SHOWN)
        for item in super().items(path):
            yield item
            if isinstance(item, Reading):
                how = item
            elif not isinstance(item, RowIssue):
                begun += islice(_rows(item), _SHOWN - len(begun))
                ended.extend(_rows(_end(item)))
        self.first = getattr(self, "first", None) or _lines(begun, how)
        self.last = _lines(list(ended), how)


def _end(item: Item) -> Item:
    if not isinstance(item, Block):
        return item
    at = max(len(item.times) - _SHOWN, 0)
    numbers = [column[at:] for column in item.numbers]
    return item._replace(line_number=item.line_number + at, times=item.times[at:], numbers=numbers)


def _rows(item: Item) -> Iterator[Row]:
    for row in single_rows([item]):
        if not isinstance(row, RowIssue):
            yield row


def _lines(rows: list[Row], how: Reading) -> list[Line]:
    """Read rows to show them; those that cannot be read are left out."""
    how = replace(how)
    lines = []
    for line_number, time, *written in rows:
        try:
            numbers = how.numbers(written)
            lines.append(Line(line_number, int(how.time(time)), *(format_decimal(number) for number in numbers)))
        except RowError:
            continue
    return lines


def _both_ways(path: Path, inspection: Inspection, question: str, options: ReadOptions) -> Iterator[Alternative]:
    """Read the first and last rows in each way between which the user has to choose."""
    ways: list[tuple[str, ReadOptions]] = []
    if question.startswith("dates:"):
        ways = [("--dates dmy", replace(options, dates="dmy")), ("--dates mdy", replace(options, dates="mdy"))]
    elif "--decimal" in question:
        ways = [
            (f"--decimal {name}", replace(options, decimal=mark)) for name, mark in (("point", "."), ("comma", ","))
        ]
    elif "--stamp" in question:
        ways = [("--stamp open", replace(options, stamp="open")), ("--stamp close", replace(options, stamp="close"))]
    grid = named_timeframe(inspection.timeframe or _ASSUMED)
    for option, way in ways:
        request = ReadRequest(inspection.symbol, None, way)
        reader = _Shown([path], RowValidator("SYMBOL", grid, request.now_ms), request)
        try:
            for _ in reader.columns():
                pass
        except BadInputError:
            continue
        yield Alternative(option, reader.first, reader.last)


def _command(path: Path, inspection: Inspection, options: ReadOptions) -> str:
    words = ["zeon", "candles", "import", str(path)]
    words += ["--symbol", inspection.symbol or "SYMBOL", "--timeframe", inspection.timeframe or "TIMEFRAME"]
    given = {
        "--time-zone": options.time_zone,
        "--stamp": options.stamp,
        "--dates": options.dates,
        "--columns": None if options.columns is None else ",".join(options.columns),
        "--only": options.only,
        "--decimal": options.decimal,
    }
    for name, value in given.items():
        if value is not None:
            words += [name, value]
    return shlex.join(words)
