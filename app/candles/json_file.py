"""Rows of JSON text: arrays of arrays or of objects at any depth, as exchanges answer and freqtrade stores them.

Every innermost array of five or more values, and every innermost object with prices, is a row. The order of an
array's columns is the one under which most of the first rows are sound: open, high, low, close as most have it,
open, close, high, low (Bitfinex, P2B) or low, high, open, close (Coinbase).
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from itertools import chain, islice
from typing import Any

from app.candles.csv_file import header_columns
from app.candles.rows import BrokenFileError, Row, RowIssue, Value, float_exact, time_ms
from app.candles.unpack import text

_INNERMOST = re.compile(r"\[[^\[\]{}]*\]|\{[^\[\]{}]*\}")
_LAST = re.compile(r'"last"\s*:\s*"?(\d+)')
_READ = 2**18
_LOOKED_AT = 200
_ORDERS = ((1, 2, 3, 4), (1, 3, 4, 2), (3, 2, 1, 4))
_KRAKEN_COLUMNS = 8
_OKX_COLUMNS = 9

Fields = list[Any]
"""The values of one row in the order of the file."""


def rows(stream: io.BufferedReader | io.BytesIO) -> Iterator[Row | RowIssue]:
    """Yield the rows of a stream; raises `BrokenFileError` where it ends inside of one."""
    with text(stream) as decoded:
        pieces = _pieces(decoded)
        first = list(islice(pieces, _LOOKED_AT))
        lists = [piece for piece in first if isinstance(piece, list) and len(piece) > 4]
        order = max(_ORDERS, key=lambda order: sum(_sound(piece, order) for piece in lists))
        volume = 6 if lists and all(_averaged(piece) for piece in lists) else 5
        yield from _rows(chain(first, pieces), (*order, volume))


def _pieces(decoded: io.TextIOBase) -> Iterator[Fields | dict[str, Any] | int]:
    """Yield arrays and objects as they come, and at the end the time after which Kraken's rows are still open."""
    rest = ""
    try:
        while more := decoded.read(_READ):
            rest += more
            end = 0
            for found in _INNERMOST.finditer(rest):
                end = found.end()
                yield json.loads(found[0], parse_float=_number, parse_constant=str)
            rest = rest[end:]
            if len(rest) > 2 * _READ:
                raise BrokenFileError("there is no row where one should be")
    except json.JSONDecodeError as error:
        raise BrokenFileError(f"not JSON: {error.msg}") from error
    if rest.strip() and rest.strip()[-1] not in "]}":
        raise BrokenFileError("the file ends inside of a row")
    if last := _LAST.search(rest):
        yield int(last[1])


def _number(digits: str) -> Value:
    """Read a number exactly; with more than 15 significant digits it was a binary float."""
    return Decimal(digits) if len(digits) <= 16 else float_exact(digits)


def _sound(piece: Fields, order: tuple[int, ...]) -> bool:
    try:
        opened, high, low, close = (Decimal(piece[at]) for at in order)
        return low <= min(opened, close) and max(opened, close) <= high
    except (InvalidOperation, ValueError, TypeError):
        return False


def _averaged(piece: Fields) -> bool:
    """Whether the column after the prices is their weighted average, as Kraken has it, and not the volume."""
    try:
        average = Decimal(piece[5])
        return len(piece) == _KRAKEN_COLUMNS and (average == 0 or Decimal(piece[3]) <= average <= Decimal(piece[2]))
    except (InvalidOperation, ValueError, TypeError, IndexError):
        return False


def _rows(pieces: Iterator[Fields | dict[str, Any] | int], order: tuple[int, ...]) -> Iterator[Row | RowIssue]:
    """Turn pieces into rows, one behind, so that the last is known when the end says whether it was still open."""
    held: Row | RowIssue | None = None
    place = 0
    try:
        for piece in pieces:
            if isinstance(piece, int):
                held = _unless_open(held, piece)
                continue
            row = _named(piece, place + 1) if isinstance(piece, dict) else _listed(piece, place + 1, order)
            if row is None:
                continue
            place += 1
            if held is not None:
                yield held
            held = row
    except BrokenFileError as broken:
        if held is not None:
            yield held
        raise BrokenFileError(f"after row {place}: {broken.message}") from broken
    if held is not None:
        yield held


def _unless_open(row: Row | RowIssue | None, last: int) -> Row | RowIssue | None:
    if row is None or isinstance(row, RowIssue) or time_ms(row[1]) <= time_ms(last):
        return row
    return RowIssue(row[0], "the candle was still open when it was saved")


def _listed(piece: Fields, place: int, order: tuple[int, ...]) -> Row | RowIssue | None:
    if len(piece) < 5:
        return None
    if len(piece) == _OKX_COLUMNS and str(piece[8]) == "0":
        return RowIssue(place, "the candle was still open when it was saved")
    opened, high, low, close, volume = (piece[at] if at < len(piece) else 0 for at in order)
    return place, piece[0], opened, high, low, close, volume


def _named(piece: dict[str, Any], place: int) -> Row | None:
    names = list(piece)
    columns = header_columns(names) if len(names) > 4 else None
    if columns is None:
        return None
    time, opened, high, low, close = (piece[names[at]] for at in columns[:5])
    return place, time, opened, high, low, close, 0 if columns.volume is None else piece[names[columns.volume]]
