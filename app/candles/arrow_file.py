"""Rows of Parquet and Feather files (pyarrow), freqtrade's and pandas' layouts, and Nautilus' fixed-point bars."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO

from app.candles.csv_file import header_columns
from app.candles.rows import BrokenFileError, Row, float_exact
from app.errors import BadInputError

MAGIC = (b"PAR1", b"ARROW1")
_BATCH_ROWS = 10_000
_NAUTILUS_DECIMALS = 9


def rows(file: BinaryIO) -> Iterator[Row]:
    """Yield the rows of an open file; raises `BrokenFileError` where reading fails, `BadInputError` without pyarrow."""
    pa = _pyarrow("pyarrow")
    place = 1
    try:
        for batch in _batches(file):
            for row in _batch_rows(batch, place):
                yield row
                place += 1
    except (pa.ArrowException, OSError) as error:
        raise BrokenFileError(f"after row {place - 1}: {error}") from error


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


def _batch_rows(batch: Any, place: int) -> Iterator[Row]:
    columns = header_columns(batch.schema.names)
    if columns is None:
        raise BadInputError(f"file: no columns of candles among {', '.join(batch.schema.names)[:200]}")
    fields = [_values(batch.column(at)) for at in columns[:5]]
    fields.append(["0"] * batch.num_rows if columns.volume is None else _values(batch.column(columns.volume)))
    for at, (time, opened, high, low, close, volume) in enumerate(zip(*fields, strict=True), place):
        yield at, time, opened, high, low, close, volume


def _values(column: Any) -> list[Any]:
    """List a column's values: times as ISO 8601 or whole numbers, numbers exact, an absent one as empty text."""
    pa = _pyarrow("pyarrow")
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
    elif pa.types.is_fixed_size_binary(column.type):
        return [_fixed_point(value) for value in column.to_pylist()]
    elif pa.types.is_floating(column.type):
        return ["" if value is None else float_exact(value) for value in column.to_pylist()]
    return [value if isinstance(value, int | Decimal) else str(value or "") for value in column.to_pylist()]


def _fixed_point(value: bytes) -> Decimal:
    return Decimal(int.from_bytes(value, "little", signed=True)).scaleb(-_NAUTILUS_DECIMALS)
