"""The log in Postgres: append single events, read events and stream frames."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from app.db.pool import Connection
from app.domain.candle_event import decode as parse_candle
from app.domain.event import render
from app.domain.market.candle import Candle
from app.domain.market.fingerprint import format_sum
from app.domain.session import Session

MAX_PAGE_ROWS = 1000
MAX_PAGE_BYTES = 1 << 19
_SEPARATORS = ("\x85", "\u2028", "\u2029")
"""Unicode line separators. JSON allows them in strings, but some clients end a line of a stream at them."""


class Frames(NamedTuple):
    """A page of the log as text/event-stream bytes.

    `last_seq` is the last seq that was read, also if its type is left out, and `written_at` is its `created_at`;
    null if there was none. `status` and `head` (the session's last seq) are of the same moment; null if the session is
    deleted.
    """

    last_seq: int | None
    events: int
    body: bytes
    status: str | None
    head: int | None
    written_at: datetime | None = None


class StreamPosition(NamedTuple):
    """Where a page of frames starts: after a seq of a session, of some types, in a dialect of `sim_page_frames`."""

    session_id: UUID
    after_seq: int
    types: tuple[str, ...] | None = None
    dialect: str = "sim"


class SentEvent(NamedTuple):
    """An event that a client has, and when it was written."""

    session_id: UUID
    seq: int
    written_at: datetime


class Page(NamedTuple):
    """Events as the text of a JSON array, how many they are, and the seq of the last one, null without any."""

    body: str
    events: int
    last_seq: int | None


class Row(NamedTuple):
    """An event with its payload as JSON text, as Postgres renders it."""

    seq: int
    ts: int
    type: str
    body: str


async def append_event(
    connection: Connection, session_id: UUID, type_: str, payload: dict[str, Any], ts: int | None = None
) -> int:
    """Append one `note` or `control` event and return its seq; raises `NotFoundError` or `RefusedEventError`."""
    cursor = await connection.execute(
        "SELECT sim_append_event(%s, ts => %s, type => %s, payload => %s) AS seq",
        (session_id, ts, type_, Jsonb(payload, dumps=render)),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["seq"])


async def frames(
    connection: Connection,
    session_id: UUID,
    after_seq: int,
    types: Sequence[str] | None = None,
    dialect: str = "sim",
) -> Frames:
    """Read the page of frames after a seq, of some types, in a dialect."""
    cursor = await connection.execute(
        "SELECT * FROM sim_frames(%s, after_seq => %s, max_rows => %s, max_bytes => %s, types => %s, dialect => %s)",
        (
            session_id,
            after_seq,
            MAX_PAGE_ROWS,
            MAX_PAGE_BYTES,
            None if types is None else list(types),
            dialect,
        ),
    )
    row = await cursor.fetchone()
    assert row is not None
    return _frames(row)


async def pages(connection: Connection, positions: Sequence[StreamPosition]) -> list[Frames]:
    """Read a page of frames at each position; many pages are shorter, down to a tenth of the usual rows."""
    session_ids, after_seqs, types, dialects = zip(*positions, strict=True)
    rows = max(MAX_PAGE_ROWS // len(positions), MAX_PAGE_ROWS // 10)
    cursor = await connection.execute(
        """
        SELECT frames.*
        FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::text[])
             WITH ORDINALITY AS page (session, after_seq, types, dialect, position)
        CROSS JOIN LATERAL sim_frames(
             page.session, page.after_seq, %s, %s, string_to_array(page.types, ','), page.dialect) AS frames
        ORDER BY page.position
        """,
        (
            list(session_ids),
            list(after_seqs),
            [None if names is None else ",".join(names) for names in types],
            list(dialects),
            rows,
            MAX_PAGE_BYTES * rows // MAX_PAGE_ROWS,
        ),
    )
    return [_frames(row) for row in await cursor.fetchall()]


def _frames(row: DictRow) -> Frames:
    body = _escape_separators(row["body"] or "")
    return Frames(row["last_seq"], row["events"], body.encode(), row["status"], row["head"], row["written_at"])


async def rewritten(connection: Connection, sent: Sequence[SentEvent]) -> list[int | None]:
    """Return null for each event that is still in its log, else the log's last seq.

    An event is another one if it has the same seq and was written at another time.
    """
    if not sent:
        return []
    ids, seqs, times = zip(*sent, strict=True)
    cursor = await connection.execute(
        """
        SELECT CASE WHEN e.created_at IS DISTINCT FROM p.written_at THEN s.last_seq END AS last_seq
        FROM unnest(%s::uuid[], %s::bigint[], %s::timestamptz[]) WITH ORDINALITY AS p (id, seq, written_at, number)
        LEFT JOIN sim_sessions s ON s.id = p.id AND s.deleted_at IS NULL
        LEFT JOIN sim_events e ON e.session_id = p.id AND e.seq = p.seq
        ORDER BY p.number
        """,
        (list(ids), list(seqs), list(times)),
    )
    return [row["last_seq"] for row in await cursor.fetchall()]


def _escape_separators(body: str) -> str:
    """Escape line separators; `isascii` takes no time, the three `replace` take 1 ms for the longest page."""
    if not body.isascii():
        for separator in _SEPARATORS:
            body = body.replace(separator, f"\\u{ord(separator):04x}")
    return body


async def page(
    connection: Connection,
    session_id: UUID,
    from_seq: int,
    limit: int,
    types: Sequence[str] | None = None,
) -> Page:
    """Read events from a seq (inclusive), in seq order."""
    cursor = await connection.execute(
        "SELECT body, events, last_seq FROM sim_event_page(%s, from_seq => %s, max_rows => %s, types => %s)",
        (session_id, from_seq, limit, None if types is None else list(types)),
    )
    row = await cursor.fetchone()
    assert row is not None
    return Page(f"[{row['body']}]", row["events"], row["last_seq"])


async def rows_between(
    connection: Connection, session_id: UUID, after_seq: int, until_seq: int, types: Sequence[str] | None
) -> tuple[list[Row], int]:
    """Read events in `(after_seq, until_seq]`, at most `MAX_PAGE_ROWS` and `MAX_PAGE_BYTES`, and the last seq read."""
    last_seq = min(until_seq, after_seq + MAX_PAGE_ROWS)
    cursor = await connection.execute(
        "SELECT seq, ts, type, body, matching"
        " FROM sim_event_rows(%s, after_seq => %s, to_seq => %s, max_bytes => %s, types => %s)",
        (session_id, after_seq, last_seq, MAX_PAGE_BYTES, None if types is None else list(types)),
    )
    rows = await cursor.fetchall()
    cut = bool(rows) and len(rows) < rows[0]["matching"]
    return [Row(*list(row.values())[:4]) for row in rows], rows[-1]["seq"] if cut else last_seq


async def seq_of_tail(connection: Connection, session_id: UUID, count: int, types: Sequence[str] | None) -> int:
    """Return the seq of the first of the last `count` events (of some types); 1 if there are fewer."""
    cursor = await connection.execute(
        "SELECT sim_tail_seq(%s, events => %s, types => %s) AS seq",
        (session_id, count, None if types is None else list(types)),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["seq"])


async def digest(connection: Connection, session_id: UUID) -> str:
    """Return the hex SHA-256 of a session's simulated events."""
    row = await (await connection.execute("SELECT sim_log_digest(%s) AS digest", (session_id,))).fetchone()
    assert row is not None
    return str(row["digest"])


async def last_candles(
    connection: Connection, session_id: UUID, symbols: Sequence[str], timeframe: str, *, real: bool = False
) -> dict[str, tuple[int, Decimal]]:
    """Return per symbol openTime (ms) and close of its last candle in the log; with `real` no synthetic ones."""
    cursor = await connection.execute(
        "SELECT symbol, open_time_ms, close FROM sim_last_candles(%s, symbols => %s, timeframe => %s, real_only => %s)",
        (session_id, list(symbols), timeframe, real),
    )
    return {row["symbol"]: (row["open_time_ms"], row["close"]) for row in await cursor.fetchall()}


async def last_long_opens(
    connection: Connection, session_id: UUID, symbols: Sequence[str], timeframes: Sequence[str]
) -> dict[tuple[str, str], int]:
    """Return per symbol and extra timeframe the openTime (ms) of its last candle in the log."""
    opens: dict[tuple[str, str], int] = {}
    for timeframe in timeframes:
        last = await last_candles(connection, session_id, symbols, timeframe)
        opens |= {(symbol, timeframe): open_ms for symbol, (open_ms, _) in last.items()}
    return opens


async def candles_since(connection: Connection, session_id: UUID, ts: int) -> list[Candle]:
    """Return the candles of the log with `openTime >= ts` (ms), in seq order."""
    cursor = await connection.execute(
        "SELECT payload::text AS body FROM sim_candles_since(%s, ts => %s) ORDER BY seq", (session_id, ts)
    )
    return [parse_candle(row["body"]) for row in await cursor.fetchall()]


async def cursor_at(connection: Connection, session: Session, seq: int) -> int | None:
    """Return the cursor at the end of a tick in a full log: its last base candle, or the range's end after a gap."""
    row = await (await connection.execute("SELECT sim_cursor_at(%s, %s) AS cursor_ms", (session.id, seq))).fetchone()
    return None if row is None else row["cursor_ms"]


async def fingerprint(connection: Connection, session_id: UUID, to_seq: int) -> str:
    """Return the fingerprint of the real base candles in a log up to a seq."""
    row = await (await connection.execute("SELECT sim_fingerprint(%s, %s) AS total", (session_id, to_seq))).fetchone()
    assert row is not None
    return format_sum(int(row["total"]))


class Revised(NamedTuple):
    """A candle that differs between the log and the cache: its values in both as text, null where it is absent.

    `total` is the number of such candles of the session.
    """

    symbol: str
    open_time_ms: int
    logged: str | None
    cached: str | None
    total: int


async def revised_candles(connection: Connection, session: Session, limit: int, *, late: bool = True) -> list[Revised]:
    """Return the first real base candles up to the cursor that differ between a full log and the cache.

    With `late` also candles that were stored after the session had passed their time.
    """
    cursor = await connection.execute(
        "SELECT * FROM sim_revised_candles(%s, max_rows => %s, late => %s) ORDER BY open_time_ms, symbol",
        (session.id, limit, late),
    )
    return [Revised(**row) for row in await cursor.fetchall()]


async def get_event(connection: Connection, session_id: UUID, seq: int) -> dict[str, Any] | None:
    """Return ts, type and payload of one event."""
    cursor = await connection.execute(
        "SELECT ts, type, payload FROM sim_events WHERE session_id = %s AND seq = %s", (session_id, seq)
    )
    return await cursor.fetchone()


async def seq_from(connection: Connection, session_id: UUID, ts: int) -> int | None:
    """Return the seq of the first simulated event at or after a time (ms UTC)."""
    row = await (await connection.execute("SELECT sim_seq_at(%s, %s) AS seq", (session_id, ts))).fetchone()
    return None if row is None else row["seq"]


class Difference(NamedTuple):
    """The first position at which the simulated events of two logs differ; seq and event are null after a log's end."""

    place: int
    seq_a: int | None
    seq_b: int | None
    event_a: dict[str, Any] | None
    event_b: dict[str, Any] | None


async def difference(connection: Connection, a: UUID, b: UUID) -> Difference | None:
    """Return the first difference between the simulated events of two sessions; null if they are equal."""
    row = await (await connection.execute("SELECT * FROM sim_diff(%s, %s)", (a, b))).fetchone()
    return None if row is None else Difference(**row)
