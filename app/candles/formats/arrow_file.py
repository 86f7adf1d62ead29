"""Rows of Parquet and Feather files (pyarrow), freqtrade's and pandas' layouts, and Nautilus' fixed-point bars."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any, BinaryIO

from app.candles.formats.columns import HeaderColumns, header_columns
from app.candles.formats.instruments import choose_instrument, same_instrument
from app.candles.rows.reading import DAY_MS
from app.candles.rows.request import ReadRequest
from app.candles.rows.row import BrokenFileError, Item, Layout, Ms, float_exact
from app.candles.rows.times import EPOCH, local
from app.candles.rows.zones import known_zone
from app.errors import BadInputError

MAGIC = (b"PAR1", b"ARROW1")
_BATCH_ROWS = 10_000
_NAUTILUS_DECIMALS = 9


def rows(file: BinaryIO, request: ReadRequest) -> Iterator[Item | Layout]:
    """Yield the rows of an open file; raises `BrokenFileError` where reading fails, `BadInputError` without pyarrow."""
    pa = _pyarrow("pyarrow")
    line_number = 1
    request.kind = "Parquet or Feather"
    try:
        for batch in _batches(file):
            for item in _batch_rows(batch, line_number, request):
                yield item
                line_number += not isinstance(item, Layout)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise BrokenFileError(f"after row {line_number - 1}: {str(error)[:200]}") from error


def _pyarrow(name: str) -> Any:
    """Load pyarrow when it is first needed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise BadInputError("file: Parquet and Feather files need pyarrow: pip install 'zeon-sim[data]'") from None


def _batches(file: BinaryIO) -> Iterator[Any]:
    start = file.read(4)
    file.seek(0)
    if start == b"PAR1":
        yield from _pyarrow("pyarrow.parquet").ParquetFile(file).iter_batches(_BATCH_ROWS)
        return
    with _pyarrow("pyarrow.ipc").open_file(file) as reader:
        for number in range(reader.num_record_batches):
            whole = reader.get_batch(number)
            yield from (whole.slice(start, _BATCH_ROWS) for start in range(0, whole.num_rows, _BATCH_ROWS))


def _batch_rows(batch: Any, line_number: int, request: ReadRequest) -> Iterator[Item | Layout]:
    columns = _columns(batch, request)
    if line_number == 1:
        yield Layout(columns.stamp)
    fields = [_values(batch.column(columns.time or 0), request)]
    fields += [_values(batch.column(at), request) for at in columns[1:5] if at is not None]
    fields.append(["0"] * batch.num_rows if columns.volume is None else _values(batch.column(columns.volume), request))
    names = None if columns.symbol is None else _values(batch.column(columns.symbol), request)
    for at in _taken(names, batch.num_rows, request):
        time, opened, high, low, close, volume = (column[at] for column in fields)
        yield line_number + at, time, opened, high, low, close, volume


def _columns(batch: Any, request: ReadRequest) -> HeaderColumns:
    names = batch.schema.names
    columns = header_columns(names, request.symbol)
    if columns is None:
        raise BadInputError(f"file: no columns of candles among {', '.join(names)[:200]}")
    if columns.time is not None:
        return columns
    types = _pyarrow("pyarrow").types
    times = [at for at, field in enumerate(batch.schema) if types.is_timestamp(field.type) or types.is_date(field.type)]
    if not times:
        raise BadInputError(f"time: no column has that name or type: {', '.join(names)[:200]}")
    return columns._replace(time=times[0])


def _taken(names: list[Any] | None, count: int, request: ReadRequest) -> Iterable[int]:
    """Return which rows are of the instrument to take; raises `BadInputError` where there are several."""
    if names is None:
        return range(count)
    for name in dict.fromkeys(map(str, names)):
        request.add_instrument(name)
    only = request.options.only
    if only is None and len(request.instruments) == 1:
        return range(count)
    chosen = choose_instrument(request.instruments, request)
    return [at for at, name in enumerate(names) if same_instrument(str(name), chosen)]


def _values(column: Any, request: ReadRequest) -> list[Any]:
    """List a column's values: times as ISO 8601 or whole numbers, numbers exact, an absent one as empty text."""
    pa = _pyarrow("pyarrow")
    if pa.types.is_timestamp(column.type):
        return _times(column, request)
    if pa.types.is_fixed_size_binary(column.type):
        return ["" if value is None else _fixed_point(value) for value in column.to_pylist()]
    if pa.types.is_floating(column.type):
        return ["" if value is None else float_exact(value) for value in column.to_pylist()]
    return [
        value if isinstance(value, int | Decimal) and not isinstance(value, bool) else _text(value)
        for value in column.to_pylist()
    ]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _times(column: Any, request: ReadRequest) -> list[Any]:
    """List times as ms since the epoch; as text where their zone, or the lack of one, says more."""
    pa = _pyarrow("pyarrow")
    zone = column.type.tz
    ms = column.cast(pa.timestamp("ms", zone), safe=False).cast(pa.int64()).to_pylist()
    if zone is None and request.options.time_zone is not None:
        return ["" if time_ms is None else (EPOCH + timedelta(milliseconds=time_ms)).isoformat(" ") for time_ms in ms]
    time_zone = None if zone in (None, "UTC") else known_zone(zone)
    if time_zone is None or request.timeframe is None or request.timeframe.ms < DAY_MS:
        return ["" if time_ms is None else Ms(time_ms) for time_ms in ms]
    return ["" if time_ms is None else f"{local(time_ms, time_zone).isoformat(' ')} {zone}" for time_ms in ms]


def _fixed_point(value: bytes) -> Decimal:
    return Decimal(int.from_bytes(value, "little", signed=True)).scaleb(-_NAUTILUS_DECIMALS)
