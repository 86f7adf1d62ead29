"""Rows of JSON text: arrays of arrays or of objects at any depth, as exchanges answer and freqtrade stores them.

Every innermost array of five or more values, and every innermost object with prices, is a row, read as it comes. Rows
of another form, such as columns side by side, are looked for in the whole document (`json_tree`).
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from app.candles.formats import json_tree
from app.candles.formats.columns import HeaderColumns, column_name, header_columns, named_columns
from app.candles.formats.guess import guess_columns
from app.candles.formats.instruments import choose_instrument, same_instrument
from app.candles.formats.json_tree import is_row_time, still_open, text_of
from app.candles.formats.unpack import text
from app.candles.rows.reading import time_ms
from app.candles.rows.request import ReadRequest
from app.candles.rows.row import (
    STILL_READING,
    BrokenFileError,
    Item,
    Layout,
    Row,
    RowError,
    RowIssue,
    Value,
    float_exact,
)

_INNERMOST = re.compile(r"\[[^\[\]{}]*\]|\{[^\[\]{}]*\}")
_LAST = re.compile(r'"last"\s*:\s*"?(\d{1,20})')
_KEY = re.compile(r'"([^"\\]{1,100})"\s*:\s*$')
_LIST_KEY = re.compile(r'"([^"\\]{1,100})"\s*:\s*\[\s*$')
_READ = 2**18
_LOOKED_AT = 200
_FEWEST = 5
_GATE_COLUMNS = 8
_OKX_COLUMNS = 9
_GATE = HeaderColumns(0, 5, 3, 4, 2, 6)
"""Gate: time, volume in the quote currency, close, high, low, open, volume, whether it is closed."""


class Piece(NamedTuple):
    """An innermost array or object, the key it stands under, and the key of the list it is in."""

    value: Any
    key: str | None
    listed: str | None


class _OtherFormError(Exception):
    """The rows of the document are not its innermost arrays or objects."""


def rows(stream: io.BufferedReader | io.BytesIO, request: ReadRequest | None = None) -> Iterator[Item | Layout]:
    """Yield the rows of a stream; raises `BrokenFileError` where it ends inside of one."""
    request = request or ReadRequest()
    with text(stream) as decoded:
        source = _Recorded(decoded)
        pieces = _pieces(source)
        head: list[Piece | int] = []
        broken: BrokenFileError | None = None
        try:
            head.extend(islice(pieces, _LOOKED_AT))
        except BrokenFileError as error:
            broken = error
        try:
            reader = _Reader([piece for piece in head if isinstance(piece, Piece)], request)
        except _OtherFormError:
            yield from json_tree.rows("".join(source.begun or ()), decoded, request)
            return
        source.begun = None
        yield Layout(reader.stamp)
        yield from _rows(chain(head, _raising(broken) if broken else pieces), reader)


class _Recorded:
    """A text that keeps what was read of it, until that is dropped."""

    def __init__(self, text: io.TextIOBase) -> None:
        self.begun: list[str] | None = []
        self._text = text

    def read(self) -> str:
        """Read on."""
        more = self._text.read(_READ)
        if self.begun is not None:
            self.begun.append(more)
        return more


def _raising(broken: BrokenFileError) -> Iterator[Piece]:
    raise broken
    yield


def _pieces(source: _Recorded) -> Iterator[Piece | int]:
    """Yield arrays and objects as they come, and at the end the time after which Kraken's rows are still open."""
    rest, listed = "", None
    try:
        while more := source.read():
            rest += more
            end = 0
            for match in _INNERMOST.finditer(rest):
                between = rest[end : match.start()]
                end = match.end()
                key = None
                if len(between) > 1:
                    key, listed = _keys(between, listed)
                yield Piece(json.loads(match[0], parse_float=_number, parse_int=str, parse_constant=str), key, listed)
            rest = rest[end:]
            if len(rest) > 2 * _READ:
                raise BrokenFileError("there is no row where one should be")
    except (ValueError, RecursionError) as error:
        raise BrokenFileError(f"not JSON: {getattr(error, 'msg', error)}") from error
    if rest.strip() and rest.strip()[-1] not in "]}":
        raise BrokenFileError("the file ends inside of a row")
    if last := _LAST.search(rest):
        yield int(last[1])


def _keys(between: str, listed: str | None) -> tuple[str | None, str | None]:
    """Return the key of a piece, and that of the list it is in, by what stands between it and the one before."""
    if "[" in between:
        match = _LIST_KEY.search(between[-200:])
        listed = match[1] if match else None
    match = _KEY.search(between[-200:])
    return match[1] if match else None, listed


def _number(digits: str) -> Value:
    """Read a number exactly; with more than 15 significant digits it was a binary float."""
    return digits if len(digits) <= 16 else float_exact(digits)


class _Reader:
    """Turns pieces into rows; which value is which is found out from the first of them."""

    def __init__(self, head: Sequence[Piece], request: ReadRequest) -> None:
        self._request = request
        self._named: dict[tuple[str, ...], HeaderColumns | None] = {}
        self._listed: HeaderColumns | None = None
        self._width = 0
        self._lists: list[str] = []
        self._seen = False
        self._prepare(head)

    @property
    def stamp(self) -> Any:
        """The end of a candle that its time names, as far as its name says."""
        stamps = {columns.stamp for columns in self._named.values() if columns is not None}
        if "close" in stamps:
            self._request.note("stamp", "each time was read as the close of its candle, as its source stamps them")
        return stamps.pop() if len(stamps) == 1 else None

    def _prepare(self, head: Sequence[Piece]) -> None:
        lists = []
        for value, key, _ in head:
            if isinstance(value, dict):
                columns = self._columns(value)
                if columns is not None and columns.time is None and not is_row_time(key):
                    raise _OtherFormError
            elif len(value) >= _FEWEST:
                if key is not None and _is_price(key):
                    raise _OtherFormError
                if not self._take_header(value):
                    lists.append(value)
        if lists and self._listed is None:
            self._listed = self._guess(lists)
        if self._listed is None and not any(self._named.values()):
            raise _OtherFormError

    def _take_header(self, value: list[Any]) -> bool:
        """Take an array of names as the header of the arrays behind it."""
        if not all(isinstance(name, str) for name in value):
            return False
        columns = header_columns(value, self._request.symbol)
        if columns is None:
            return False
        if columns.time is None:
            raise _OtherFormError
        self._listed, self._width = columns, len(value)
        return True

    def _guess(self, lists: Sequence[list[Any]]) -> HeaderColumns:
        self._width = Counter(map(len, lists)).most_common(1)[0][0]
        cells = [[text_of(value) for value in row] for row in lists if len(row) == self._width]
        if self._request.options.columns is not None:
            return named_columns(self._request.options.columns)
        if self._width == _GATE_COLUMNS and all(row[-1] in ("true", "false") for row in cells):
            return _GATE
        return guess_columns(cells, self._request)

    def _columns(self, value: dict[str, Any]) -> HeaderColumns | None:
        """Return where the fields stand in an object; None where it is no row."""
        names = tuple(value)
        if names not in self._named:
            if len(self._named) >= _LOOKED_AT:
                return None
            self._named[names] = header_columns(names, self._request.symbol) if len(names) >= 4 else None
        return self._named[names]

    def row(self, piece: Piece, line_number: int) -> Row | RowIssue | None:
        """Return the row of a piece; None where it is none, or one of another instrument."""
        if isinstance(piece.value, dict):
            return self._object(piece, line_number)
        return self._array(piece, line_number)

    def _array(self, piece: Piece, line_number: int) -> Row | RowIssue | None:
        values, columns = piece.value, self._listed
        if columns is None or len(values) < _FEWEST or not self._is_taken(piece.listed):
            return None
        if len(values) != self._width:
            return RowIssue(line_number, f"it has {len(values)} values where others have {self._width}")
        if column_name(text_of(values[columns.open])) == "open":
            return None
        if len(values) == _OKX_COLUMNS and text_of(values[8]) == "0":
            return RowIssue(line_number, "the candle was still open when it was saved")
        return self._picked([text_of(value) for value in values], columns, line_number)

    def _object(self, piece: Piece, line_number: int) -> Row | RowIssue | None:
        columns = self._columns(piece.value)
        if columns is None:
            return None
        values = [text_of(value) for value in piece.value.values()]
        if not self._is_taken(piece.listed if columns.symbol is None else values[columns.symbol]):
            return None
        if still_open(piece.value):
            return RowIssue(line_number, "the candle was still open when it was saved")
        if columns.time is None:
            values.append(piece.key or "")
            columns = columns._replace(time=len(values) - 1)
        return self._picked(values, columns, line_number)

    def _picked(self, values: Sequence[str], columns: HeaderColumns, line_number: int) -> Row:
        time = values[columns.time or 0]
        if columns.day is not None and ":" in time and len(time) < 16:
            time = f"{values[columns.day]} {time}"
        opened, high, low, close = (values[at] for at in columns[1:5])
        return line_number, time, opened, high, low, close, "0" if columns.volume is None else values[columns.volume]

    def _is_taken(self, name: str | None) -> bool:
        """Note the instrument a row is of; whether it is one to take. Raises `BadInputError` at a second one."""
        only = self._request.options.only
        if name and name not in self._lists:
            self._lists.append(name)
            if only is None and len(self._lists) > 1:
                choose_instrument(self._lists, self._request)
        taken = only is None or (name is not None and same_instrument(name, only))
        self._seen = self._seen or taken
        return taken

    def finish(self) -> None:
        """Refuse a file without the instrument asked for."""
        if not self._seen and self._lists and self._request.options.only is not None:
            choose_instrument(self._lists, self._request)


def _is_price(key: str) -> bool:
    return column_name(key) in ("open", "high", "low", "close", "o", "h", "l", "c")


def _rows(pieces: Iterator[Piece | int], reader: _Reader) -> Iterator[Item]:
    """Turn pieces into rows, one behind, so that the last is known when the end says whether it was still open."""
    held: Row | RowIssue | None = None
    line_number = 0
    try:
        for count, piece in enumerate(pieces):
            if isinstance(piece, int):
                held = _unless_open(held, piece)
                continue
            if count % 1_000 == 0:
                yield STILL_READING
            row = reader.row(piece, line_number + 1)
            if row is None:
                continue
            line_number += 1
            if held is not None:
                yield held
            held = row
    except BrokenFileError as broken:
        if held is not None:
            yield held
        raise BrokenFileError(f"after row {line_number}: {broken.message}") from broken
    if held is not None:
        yield held
    reader.finish()


def _unless_open(row: Row | RowIssue | None, last: int) -> Row | RowIssue | None:
    try:
        if row is None or isinstance(row, RowIssue) or time_ms(row[1]) <= time_ms(last):
            return row
    except RowError:
        return row
    return RowIssue(row[0], "the candle was still open when it was saved")
