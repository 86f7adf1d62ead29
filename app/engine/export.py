"""Export a session's log as NDJSON, CSV or Parquet, page by page: memory does not grow with the log."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

from app.db import sessions
from app.db.log import events
from app.db.log.events import Row
from app.db.pool import Database
from app.domain.event import render
from app.domain.number import format_decimal
from app.domain.session import Session
from app.errors import BadInputError

TEXT: Final = "text"
NUMBER: Final = "number"
INTEGER: Final = "integer"
TIME: Final = "time"

_FIRST_COLUMNS = {"seq": INTEGER, "ts": TIME}
COLUMNS: Final[dict[str, dict[str, str]]] = {
    "events": {**_FIRST_COLUMNS, "type": TEXT, "payload": TEXT},
    "trades": {
        **_FIRST_COLUMNS,
        "symbol": TEXT,
        "side": TEXT,
        "qty": NUMBER,
        "entryPrice": NUMBER,
        "exitPrice": NUMBER,
        "entryTs": TIME,
        "exitTs": TIME,
        "grossPnl": NUMBER,
        "fees": NUMBER,
        "netPnl": NUMBER,
        "holdBars": INTEGER,
        "reason": TEXT,
    },
    "equity": {
        **_FIRST_COLUMNS,
        "cash": NUMBER,
        "positionQty": NUMBER,
        "positionValue": NUMBER,
        "equity": NUMBER,
        "realizedPnl": NUMBER,
        "unrealizedPnl": NUMBER,
        "feesPaid": NUMBER,
        "peakEquity": NUMBER,
        "drawdownPct": NUMBER,
        "positions": TEXT,
    },
}
"""What can be exported: the columns of each table, with their kinds."""

TYPES: Final = {"events": None, "trades": ["trade"], "equity": ["equity"]}
MEDIA: Final = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_GROUP_ROWS = 20_000
_GROUP_BYTES = 1 << 23


class Encoder(Protocol):
    """Turns pages of events into the bytes of a file."""

    def rows(self, page: Sequence[Row]) -> bytes:
        """Return the bytes of a page."""

    def end(self) -> bytes:
        """Return the last bytes of the file."""


async def export(database: Database, session: Session, what: str, encoder: Encoder) -> AsyncIterator[bytes]:
    """Yield the bytes of a file with the session's log up to `last_seq`; raises `NotFoundError` if it is deleted."""
    after_seq = 0
    while after_seq < session.last_seq:
        page, after_seq = await database.run(events.rows_between, session.id, after_seq, session.last_seq, TYPES[what])
        if chunk := await asyncio.to_thread(encoder.rows, page):
            yield chunk
    await database.run(sessions.get, session.id)  # What was deleted meanwhile is missing in the file.
    if chunk := await asyncio.to_thread(encoder.end):
        yield chunk


def encoder(what: str, format_: str) -> Encoder:
    """Return the encoder of a format; raises `BadInputError` if its package is not installed."""
    if format_ == "ndjson":
        return Ndjson()
    return Csv(COLUMNS[what]) if format_ == "csv" else Parquet(COLUMNS[what])


class Ndjson:
    """One event per line, as in the API."""

    def rows(self, page: Sequence[Row]) -> bytes:
        """Return the events' lines."""
        return "".join(
            f'{{"seq":{row.seq},"ts":{row.ts},"type":"{row.type}","payload":{row.body}}}\n' for row in page
        ).encode()

    def end(self) -> bytes:
        """Return nothing."""
        return b""


class Csv:
    """A header and a row per event (RFC 4180), numbers as in the log.

    Text that a spreadsheet would read as a formula gets a leading apostrophe (OWASP, CSV injection).
    """

    def __init__(self, columns: dict[str, str]) -> None:
        self._columns = columns
        self._has_header = False

    def rows(self, page: Sequence[Row]) -> bytes:
        """Return the rows; the first call also returns the header."""
        texts = [name for name, kind in self._columns.items() if kind == TEXT]
        lines = list(_cells(page, self._columns))
        for line in lines:
            line.update({name: escape_formula(line[name]) for name in texts if line[name] is not None})
        return self._header() + self._lines(line.values() for line in lines)

    def end(self) -> bytes:
        """Return the header if there was no row."""
        return self._header()

    def _header(self) -> bytes:
        is_first, self._has_header = not self._has_header, True
        return self._lines([self._columns]) if is_first else b""

    def _lines(self, lines: Iterable[Iterable[Any]]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(lines)
        return text.getvalue().encode()


class Parquet:
    """One row per event, in row groups of some thousand; numbers are float64, times are timestamps in ms, UTC."""

    def __init__(self, columns: dict[str, str]) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise BadInputError("format: parquet needs the package pyarrow; pip install 'zeon-sim[parquet]'") from None
        kinds = {
            TEXT: pyarrow.string(),
            NUMBER: pyarrow.float64(),
            INTEGER: pyarrow.int64(),
            TIME: pyarrow.timestamp("ms", tz="UTC"),
        }
        self._columns = columns
        self._schema = pyarrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
        self._table = pyarrow.Table
        self._sink = _Sink()
        self._writer = parquet.ParquetWriter(self._sink, self._schema)
        self._pending_rows: list[Row] = []
        self._pending_bytes = 0

    def rows(self, page: Sequence[Row]) -> bytes:
        """Collect the rows; return the bytes of a row group once it is full."""
        self._pending_rows += page
        self._pending_bytes += sum(len(row.body) for row in page)
        if len(self._pending_rows) >= _GROUP_ROWS or self._pending_bytes >= _GROUP_BYTES:
            self._write()
        return self._sink.take()

    def end(self) -> bytes:
        """Return the last row group and the footer."""
        if self._pending_rows:
            self._write()
        self._writer.close()
        return self._sink.take()

    def _write(self) -> None:
        convert = {NUMBER: float, INTEGER: int, TIME: int, TEXT: str}
        lines = list(_cells(self._pending_rows, self._columns))
        table = {
            name: [None if line[name] is None else convert[kind](line[name]) for line in lines]
            for name, kind in self._columns.items()
        }
        self._writer.write_table(self._table.from_pydict(table, schema=self._schema))
        self._pending_rows, self._pending_bytes = [], 0


class _Sink(io.RawIOBase):
    """A write-only file whose bytes can be taken out as they are written."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        chunk = bytes(data)
        self._chunks.append(chunk)
        self._position += len(chunk)
        return len(chunk)

    def take(self) -> bytes:
        """Return the bytes written since the last call."""
        written, self._chunks = b"".join(self._chunks), []
        return written


def escape_formula(cell: str) -> str:
    """Return a text that no spreadsheet reads as a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _cells(page: Iterable[Row], columns: Iterable[str]) -> Iterable[dict[str, Any]]:
    """Yield the cells of each event by column, numbers as their exact text, absent ones null."""
    for row in page:
        cells = {"seq": row.seq, "ts": row.ts, "type": row.type, "payload": row.body}
        if "payload" not in columns:
            cells |= {name: _cell(value) for name, value in json.loads(row.body, parse_float=Decimal).items()}
        yield {name: cells.get(name) for name in columns}


def _cell(value: Any) -> Any:
    """Return a value of a payload as the text or number of its cell; objects are JSON text."""
    if isinstance(value, Decimal):
        return format_decimal(value)
    return render(value) if isinstance(value, dict) else value
