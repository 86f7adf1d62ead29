"""Rows of any candle file, whose kind is detected from its content."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.candles.formats import arrow_file, csv_file, dump, json_file, lean
from app.candles.formats.decide import DATE_ORDERS, OrderSearch, read_settled
from app.candles.formats.encoding import as_utf8
from app.candles.formats.unpack import streams
from app.candles.rows.reading import Reading
from app.candles.rows.request import ReadRequest, UnprovenDatesError
from app.candles.rows.row import STILL_READING, Block, BrokenFileError, Item, Layout, RowIssue
from app.errors import BadInputError

_LISTED = 10
"""So many members of an archive that cannot be read are named in a report."""


def open_file(path: Path) -> io.BufferedReader:
    """Open a file; raises `BadInputError` when it is no regular file: reading might wait forever."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadInputError(f"file: {path} is not a regular file")
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise BadInputError(f"file: {path} cannot be opened: {getattr(error, 'strerror', error)}") from None


def rows(path: Path, file: io.BufferedReader, request: ReadRequest | None = None) -> Iterator[Item | Reading]:
    """Yield how the rows of an open file are read, then the rows; of an archive, so for each member.

    Raises `BrokenFileError` where reading fails, `BadInputError` without any rows or where the user has to be asked.
    """
    request = request or ReadRequest()
    dump.verify(path, file)
    if not file.peek(1):
        raise BadInputError("file: it is empty")
    progress = _ReadCount()
    while True:
        try:
            yield from _rows_of(_texts(path, file, request), request, progress)
            break
        except UnprovenDatesError:
            search = OrderSearch()
            yield from _search(path, file, request, search)
            orders = list(search.orders)
            if len(orders) == 1 and search.proof is not None:
                request.note("dates", f"dates were read {DATE_ORDERS[orders[0]]}, as {search.proof} proves")
                request.options = replace(request.options, dates=orders[0])
            request.look_further = False
            file.seek(0)
    if progress.errors:
        sentences = "; ".join(error.message for error in progress.errors[:_LISTED])
        raise BrokenFileError(sentences) if progress.rows else progress.errors[0]


@dataclass
class _ReadCount:
    """How many texts of a file are done, whether any had rows, and what was wrong with others."""

    texts: int = 0
    rows: bool = False
    errors: list[BadInputError] = field(default_factory=list)


def _rows_of(
    texts: Iterator[tuple[str, Iterator[Item | Layout]]], request: ReadRequest, progress: _ReadCount
) -> Iterator[Item | Reading]:
    """Yield the rows of texts that are not done yet; what is wrong with a member of an archive does not end others."""
    for number, (name, items) in enumerate(texts):
        if number < progress.texts:
            continue
        try:
            for item in read_settled(items, request):
                progress.rows = True
                yield item
        except BadInputError as error:
            if not name:
                raise
            progress.errors.append(type(error)(f"{name}: {error.message}"))
        progress.texts = number + 1


def _texts(path: Path, file: io.BufferedReader, request: ReadRequest) -> Iterator[tuple[str, Iterator[Item | Layout]]]:
    """Yield the name and rows of each text in a file."""
    start = file.read(8)
    file.seek(0)
    if start.startswith(arrow_file.MAGIC):
        yield "", arrow_file.rows(file, request)
        return
    folders = path.resolve().parts[:-1]
    timeframe = None if request.timeframe is None else request.timeframe.name
    named = request.options.only or request.symbol

    def choose(names: Sequence[str]) -> list[str]:
        chosen = dump.members(names, named, timeframe)
        request.several = request.several or len(chosen) > 1
        return chosen

    for name, stream in streams(file, choose):
        yield name, _rows(name, stream, folders, request)


def _search(path: Path, file: io.BufferedReader, request: ReadRequest, search: OrderSearch) -> Iterator[Item]:
    """Look through all dates of a file for one that proves which number is the day."""
    file.seek(0)
    seen: set[str] = set()
    aside = replace(request, notes=[], instruments=[])
    try:
        for _, items in _texts(path, file, aside):
            for item in items:
                yield STILL_READING
                for day in _days(item):
                    if day not in seen:
                        seen.add(day)
                        search.look_at(day)
    except BadInputError:
        return  # Reading the file raises the error.


def _days(item: Item | Layout) -> Iterable[str]:
    """Return the dates of the times of rows, without their times of day."""
    if isinstance(item, RowIssue | Layout):
        return ()
    texts = item.times if isinstance(item, Block) else [str(item[1])]
    return dict.fromkeys(text.strip().partition(" ")[0] for text in texts)


def _rows(
    name: str, stream: io.BufferedReader, folders: tuple[str, ...], request: ReadRequest
) -> Iterator[Item | Layout]:
    stream = as_utf8(stream, request)
    start = stream.peek(512).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith((b"[", b"{")):
        request.kind = "JSON"
        yield from json_file.rows(stream, request)
    elif lean.belongs(name, stream):
        request.kind = "Lean"
        yield from lean.rows(stream, name, folders)
    else:
        request.kind = "CSV"
        yield from csv_file.rows(stream, request)
