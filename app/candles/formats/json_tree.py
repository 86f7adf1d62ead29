"""Rows of JSON documents that hold columns side by side, rows of nested objects, or a table with its names apart.

Such a document is read as a whole, so it may not be large.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from app.candles.formats.columns import HeaderColumns, header_columns
from app.candles.formats.guess import guess_columns
from app.candles.formats.instruments import choose_instrument, same_instrument
from app.candles.rows.cells import is_time
from app.candles.rows.request import ReadRequest
from app.candles.rows.row import BrokenFileError, Item, Layout, RowIssue, Value, float_exact
from app.errors import BadInputError

LARGEST_CHARACTERS = 8 * 2**20
"""A document that has to be read as a whole may be this long."""

_DEEPEST = 40
_NO_ROWS = "file: no candles were found in its JSON: no arrays or objects with a time and four prices"
_CLOSED = ("complete", "confirm", "confirmed", "isClosed", "is_closed", "closed", "isFinal")

Table = tuple[str, list[str], list[list[str]]]
"""The name of the list that rows stand in, their column names, and their cells."""


def rows(start: str, rest: io.TextIOBase, request: ReadRequest) -> Iterator[Item | Layout]:
    """Yield the rows of a document that begins with `start`; raises `BadInputError` when there are none."""
    text = start + rest.read(LARGEST_CHARACTERS - len(start) + 1)
    if len(text) > LARGEST_CHARACTERS:
        raise BadInputError(f"{_NO_ROWS}, or it is too large to be read as a whole")
    try:
        document = json.loads(text, parse_float=_number, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise BrokenFileError(f"not JSON: {getattr(error, 'msg', error)}") from error
    if not document:
        return
    tables = [table for table in _tables(document, "", [], 0) if table[2]]
    if not tables:
        raise BadInputError(_NO_ROWS)
    yield from _table_rows(_chosen(tables, request), request)


def text_of(value: Any) -> str:
    """Format a value of JSON as text; null is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def still_open(row: Mapping[str, Any]) -> bool:
    """Whether a row says itself that its candle was still forming."""
    return row.get("x") is False or any(text_of(row[name]).lower() in ("false", "0") for name in _CLOSED if name in row)


def is_row_time(key: str | None) -> bool:
    """Whether the key of an object is the time of its row."""
    return key is not None and is_time(key)


def _number(digits: str) -> Value:
    return digits if len(digits) <= 16 else float_exact(digits)


def _chosen(tables: Sequence[Table], request: ReadRequest) -> Table:
    names = list(dict.fromkeys(name for name, _, _ in tables))
    if len(tables) == 1 and request.options.only is None:
        return tables[0]
    if len(tables) == 1 and not names[0]:
        return tables[0]
    name = choose_instrument(names, request)
    return next(table for table in tables if same_instrument(table[0], name))


def _table_rows(table: Table, request: ReadRequest) -> Iterator[Item | Layout]:
    _, names, cells = table
    columns = _columns(names, cells, request)
    yield Layout(columns.stamp)
    for line_number, row in enumerate(cells, 1):
        if len(row) != len(names) and names:
            yield RowIssue(line_number, f"it has {len(row)} values where there are {len(names)} columns")
            continue
        open_closed = [row[names.index(name)] for name in _CLOSED if name in names]
        if any(value.lower() in ("false", "0") for value in open_closed):
            yield RowIssue(line_number, "the candle was still open when it was saved")
            continue
        time, opened, high, low, close, volume = ("0" if at is None else row[at] for at in columns[:6])
        yield line_number, time, opened, high, low, close, volume


def _columns(names: list[str], cells: list[list[str]], request: ReadRequest) -> HeaderColumns:
    columns = header_columns(names, request.symbol) if names else guess_columns(cells, request)
    if columns is None:
        raise BadInputError(_NO_ROWS)
    if columns.time is not None:
        return columns
    times = [at for at in range(len(names)) if all(is_time(row[at]) for row in cells if len(row) > at)]
    if not times:
        raise BadInputError(f"time: no column has that name: {', '.join(names)[:200]}")
    return columns._replace(time=times[0])


def _tables(value: Any, name: str, around: list[tuple[str, list[Any]]], depth: int) -> Iterator[Table]:
    """Find every table below a value; `around` are the lists that stand beside those it is in, with their names."""
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        table_ = _side_by_side(value, around) or _apart(value) or _keyed(value)
        if table_ is not None:
            yield (name, *table_)
            return
        lists = [*around, *((key, item) for key, item in value.items() if isinstance(item, list))]
        for key, item in value.items():
            yield from _tables(item, key if isinstance(item, list) or name == "" else name, lists, depth + 1)
    elif isinstance(value, list):
        if value and all(isinstance(item, dict) for item in value) and (table := _nested(value)) is not None:
            yield (name, *table)
            return
        for item in value[:1_000]:
            yield from _tables(item, name, around, depth + 1)


def _is_header(names: Sequence[str]) -> bool:
    try:
        return len(names) >= 4 and header_columns(names) is not None
    except BadInputError:
        return False


def _side_by_side(
    value: dict[str, Any], around: list[tuple[str, list[Any]]]
) -> tuple[list[str], list[list[str]]] | None:
    """Read `{"t": […], "o": […], …}`; the times may stand further out, as in Yahoo's answer."""
    lists = {key: item for key, item in value.items() if isinstance(item, list) and _are_plain(item)}
    if not _is_header(list(lists)):
        lists = {key: list(item.values()) for key, item in value.items() if isinstance(item, dict)}
        keys = next((list(item) for item in value.values() if isinstance(item, dict)), [])
        if not _is_header(list(lists)) or not all(map(_are_plain, lists.values())):
            return None
        around = [("time", list(keys))]
    columns = header_columns(list(lists))
    assert columns is not None
    count = len(list(lists.values())[columns.open])
    same = {key: item for key, item in lists.items() if len(item) == count}
    if columns.time is None and not any(all(is_time(text_of(item)) for item in cells) for cells in same.values()):
        times = [item for _, item in reversed(around) if len(item) == count and _are_times(item)]
        if not times:
            return None
        same = {"time": times[0], **same}
    if not _is_header(list(same)):
        raise BadInputError("file: the columns of its JSON are not equally long")
    return list(same), [[text_of(item) for item in row] for row in zip(*same.values(), strict=True)]


def _are_plain(values: Sequence[Any]) -> bool:
    return not any(isinstance(item, list | dict) for item in values)


def _are_times(values: Sequence[Any]) -> bool:
    return bool(values) and all(is_time(text_of(item)) for item in values)


def _apart(value: dict[str, Any]) -> tuple[list[str], list[list[str]]] | None:
    """Read `{"columns": […], "data": [[…], …]}`, with the times under `index` or not."""
    lists = {key: item for key, item in value.items() if isinstance(item, list)}
    names = next((item for item in lists.values() if all(isinstance(n, str) for n in item) and _is_header(item)), None)
    if names is None:
        return None
    width = len(names)
    for item in lists.values():
        if item is not names and item and all(isinstance(row, list) and len(row) == width for row in item):
            cells = [[text_of(cell) for cell in row] for row in item]
            index = [
                other for other in lists.values() if len(other) == len(item) and _are_plain(other) and _are_times(other)
            ]
            if index:
                return ["time", *names], [[text_of(time), *row] for time, row in zip(index[0], cells, strict=True)]
            return names, cells
    return None


def _keyed(value: dict[str, Any]) -> tuple[list[str], list[list[str]]] | None:
    """Read rows under the time of each, `{"2024-03-04": {"open": …}, …}`."""
    if not value or not all(isinstance(item, dict) and is_time(key) for key, item in value.items()):
        return None
    table_ = _nested(list(value.values()))
    if table_ is None:
        return None
    names, cells = table_
    return ["time", *names], [[key, *row] for key, row in zip(value, cells, strict=True)]


def _nested(values: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]] | None:
    """Read rows of objects that hold objects, as in `{"time": …, "mid": {"o": …}}`."""
    flat = [_flat(item) for item in values]
    names = list(dict.fromkeys(chain.from_iterable(flat[:100])))
    if not _is_header(names):
        return None
    return names, [[text_of(row.get(name)) for name in names] for row in flat]


def _flat(value: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            flat.update(
                {f"{key}.{inner}": plain for inner, plain in item.items() if not isinstance(plain, list | dict)}
            )
        elif not isinstance(item, list):
            flat[key] = item
    return flat
