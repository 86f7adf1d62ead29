"""The log in Postgres: append single events, read events and ready-made frames."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from app.db.pool import Connection
from app.domain.event import render
from app.domain.market.candle import Candle
from app.domain.market.fingerprint import spelled
from app.domain.session import Session

MAX_PAGE_ROWS = 1000
MAX_PAGE_BYTES = 1 << 19


class Frames(NamedTuple):
    """A page of the log as text/event-stream bytes.

    `last_seq` is how far it looked, null when nothing lay there; `status` and `head` (the session's last seq)
    are of the same moment, null when the session is gone.
    """

    last_seq: int | None
    events: int
    body: bytes
    status: str | None
    head: int | None


class StreamPosition(NamedTuple):
    """Where a page of frames begins: behind a seq of a session, of some types only or in the market dialect."""

    session_id: UUID
    after_seq: int
    types: tuple[str, ...] | None = None
    market: bool = False


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
        "SELECT sim_append_event(%s, %s, %s, %s) AS seq", (session_id, ts, type_, Jsonb(payload, dumps=render))
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["seq"])


async def frames(
    connection: Connection,
    session_id: UUID,
    after_seq: int,
    types: Sequence[str] | None = None,
    market: bool = False,
) -> Frames:
    """Read the page of frames behind a seq, of some types only or in the market dialect."""
    cursor = await connection.execute(
        "SELECT * FROM sim_frames(%s, %s, %s, %s, %s, %s)",
        (session_id, after_seq, MAX_PAGE_ROWS, MAX_PAGE_BYTES, None if types is None else list(types), market),
    )
    row = await cursor.fetchone()
    assert row is not None
    return _frames(row)


async def pages(connection: Connection, places: Sequence[StreamPosition]) -> list[Frames]:
    """Read a page of frames at each place; many at once are shorter ones, none below a tenth of the usual rows."""
    session_ids, after_seqs, types, markets = zip(*places, strict=True)
    rows = max(MAX_PAGE_ROWS // len(places), MAX_PAGE_ROWS // 10)
    cursor = await connection.execute(
        """
        SELECT f.* FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::boolean[])
                        WITH ORDINALITY AS p (session, after_seq, types, market, place)
        CROSS JOIN LATERAL sim_frames(p.session, p.after_seq, %s, %s, string_to_array(p.types, ','), p.market) AS f
        ORDER BY p.place
        """,
        (
            list(session_ids),
            list(after_seqs),
            [None if each is None else ",".join(each) for each in types],
            list(markets),
            rows,
            MAX_PAGE_BYTES * rows // MAX_PAGE_ROWS,
        ),
    )
    return [_frames(row) for row in await cursor.fetchall()]


def _frames(row: DictRow) -> Frames:
    return Frames(row["last_seq"], row["events"], (row["body"] or "").encode(), row["status"], row["head"])


async def page(
    connection: Connection,
    session_id: UUID,
    from_seq: int,
    limit: int,
    types: Sequence[str] | None = None,
) -> Page:
    """Read events from a seq (inclusive), in seq order."""
    cursor = await connection.execute(
        """
        SELECT coalesce(string_agg(e.frame, ',' ORDER BY e.seq), '') AS body, count(*) AS events, max(e.seq) AS last_seq
        FROM (
          SELECT seq, '{"seq":' || seq || ',"ts":' || ts || ',"type":"' || type || '","payload":'
                 || payload::text || '}' AS frame
          FROM sim_events
          WHERE session_id = %s AND seq >= %s AND (%s::text[] IS NULL OR type = ANY (%s))
          ORDER BY seq LIMIT %s) e
        """,
        (session_id, from_seq, *(2 * [None if types is None else list(types)]), limit),
    )
    row = await cursor.fetchone()
    assert row is not None
    return Page(f"[{row['body']}]", row["events"], row["last_seq"])


async def rows_between(
    connection: Connection, session_id: UUID, after_seq: int, until_seq: int, types: Sequence[str] | None
) -> tuple[list[Row], int]:
    """Read events in `(after_seq, until_seq]`, at most `MAX_PAGE_ROWS` and `MAX_PAGE_BYTES`, and how far it looked.

    The seqs bound it, so that no estimate makes Postgres sort a whole log.
    """
    last_seq = min(until_seq, after_seq + MAX_PAGE_ROWS)
    cursor = await connection.execute(
        """
        SELECT seq, ts, type, body, found FROM (
          SELECT seq, ts, type, body, row_number() OVER w AS number, sum(octet_length(body)) OVER w AS bytes,
                 count(*) OVER () AS found
          FROM (
            SELECT seq, ts, type, payload::text AS body FROM sim_events
            WHERE session_id = %s AND seq > %s AND seq <= %s AND (%s::text[] IS NULL OR type = ANY (%s))) page
          WINDOW w AS (ORDER BY seq)) measured
        WHERE bytes <= %s OR number = 1
        ORDER BY seq
        """,
        (session_id, after_seq, last_seq, *(2 * [None if types is None else list(types)]), MAX_PAGE_BYTES),
    )
    rows = await cursor.fetchall()
    cut = bool(rows) and len(rows) < rows[0]["found"]
    return [Row(*list(row.values())[:4]) for row in rows], rows[-1]["seq"] if cut else last_seq


async def seq_of_tail(connection: Connection, session_id: UUID, count: int, types: Sequence[str] | None) -> int:
    """Return the seq at which the last `count` events (of some types) begin, 1 when there are fewer."""
    cursor = await connection.execute(
        """
        SELECT seq FROM sim_events
        WHERE session_id = %s AND (%s::text[] IS NULL OR type = ANY (%s))
        ORDER BY seq DESC OFFSET %s LIMIT 1
        """,
        (session_id, *(2 * [None if types is None else list(types)]), count - 1),
    )
    row = await cursor.fetchone()
    return 1 if row is None else int(row["seq"])


async def digest(connection: Connection, session_id: UUID) -> str:
    """Return the hex SHA-256 of a session's simulated events."""
    row = await (await connection.execute("SELECT sim_log_digest(%s) AS digest", (session_id,))).fetchone()
    assert row is not None
    return str(row["digest"])


async def last_candles(
    connection: Connection, session_id: UUID, symbols: Sequence[str], timeframe: str, *, real: bool = False
) -> dict[str, tuple[int, str]]:
    """Return per symbol openTime (ms) and close of its last candle in the log, with `real` of the last real one."""
    cursor = await connection.execute(
        """
        SELECT s.symbol, (c.candle ->> 'openTimeMs')::bigint AS open_time_ms, c.candle ->> 'close' AS close
        FROM unnest(%s::text[]) AS s (symbol)
        CROSS JOIN LATERAL (
          SELECT e.payload -> 'candle' AS candle FROM sim_events e
          WHERE e.session_id = %s AND e.type = 'candle' AND e.payload ->> 'symbol' = s.symbol
            AND e.payload ->> 'timeframe' = %s AND NOT (%s AND e.payload ? 'synthetic')
          ORDER BY e.seq DESC LIMIT 1) c
        """,
        (list(symbols), session_id, timeframe, real),
    )
    return {row["symbol"]: (row["open_time_ms"], row["close"]) for row in await cursor.fetchall()}


async def last_long_opens(
    connection: Connection, session_id: UUID, symbols: Sequence[str], timeframes: Sequence[str]
) -> dict[tuple[str, str], int]:
    """Return per symbol and extra timeframe the openTime (ms) of its last candle in the log."""
    found: dict[tuple[str, str], int] = {}
    for timeframe in timeframes:
        last = await last_candles(connection, session_id, symbols, timeframe)
        found |= {(symbol, timeframe): open_ms for symbol, (open_ms, _) in last.items()}
    return found


async def candles_since(connection: Connection, session_id: UUID, ts: int) -> list[Candle]:
    """Return the candles of the log with `openTime >= ts` (ms), in seq order."""
    cursor = await connection.execute(
        """
        WITH found AS MATERIALIZED (  -- or Postgres would rather walk the whole log than sort what it finds by its time
          SELECT seq, payload::text AS body FROM sim_events WHERE session_id = %s AND ts >= %s AND type = 'candle')
        SELECT body FROM found ORDER BY seq
        """,
        (session_id, ts),
    )
    return [candle_of(json.loads(row["body"], parse_float=Decimal)) for row in await cursor.fetchall()]


async def cursor_at(connection: Connection, session: Session, seq: int) -> int | None:
    """Return the cursor a full log had at the end of a tick: its last base candle, or the range's end behind a gap."""
    cursor = await connection.execute(
        """
        SELECT e.type, (e.payload #>> '{candle,openTimeMs}')::bigint AS open_time_ms FROM sim_events e
        WHERE e.session_id = %s AND e.seq <= %s
          AND (e.type = 'gap' OR (e.type = 'candle' AND e.payload ->> 'timeframe' = %s))
        ORDER BY e.seq DESC LIMIT 1
        """,
        (session.id, seq, session.spec.timeframe),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    return session.spec.last_slot_ms if row["type"] == "gap" else int(row["open_time_ms"])


async def fingerprint(connection: Connection, session_id: UUID, to_seq: int) -> str:
    """Return the fingerprint of the real base candles in a log up to a seq."""
    row = await (await connection.execute("SELECT sim_fingerprint(%s, %s) AS total", (session_id, to_seq))).fetchone()
    assert row is not None
    return spelled(int(row["total"]))


def candle_of(payload: dict[str, Any]) -> Candle:
    """Return the candle of a candle event's payload, its numbers parsed as exact decimals."""
    fields = payload["candle"]
    open_, high, low, close, volume = (Decimal(fields[name]) for name in ("open", "high", "low", "close", "volume"))
    return Candle(
        payload["symbol"],
        payload["timeframe"],
        fields["openTimeMs"],
        fields["closeTimeMs"],
        open_,
        high,
        low,
        close,
        volume,
        synthetic=payload.get("synthetic", False),
    )


class Revised(NamedTuple):
    """A candle that the log and the cache do not agree on: their values as text, null where it is absent.

    `total` counts all of the session's candles like it.
    """

    symbol: str
    open_time_ms: int
    logged: str | None
    cached: str | None
    total: int


async def revised(connection: Connection, session: Session, limit: int, *, late: bool = True) -> list[Revised]:
    """Return the first real base candles up to the cursor that differ between a full log and the cache.

    With `late` also those that came into the cache after the session had passed their place.
    """
    spec = session.spec
    cursor = await connection.execute(
        """
        WITH logged AS (
          SELECT payload ->> 'symbol' AS symbol, (c ->> 'openTimeMs')::bigint AS open_time_ms,
                 concat_ws(' ', c ->> 'open', c ->> 'high', c ->> 'low', c ->> 'close', c ->> 'volume') AS logged
          FROM sim_events CROSS JOIN LATERAL (SELECT payload -> 'candle' AS c) one
          WHERE session_id = %s AND seq <= %s AND type = 'candle' AND payload ->> 'timeframe' = %s
            AND NOT payload ? 'synthetic'
        ), cached AS (
          SELECT symbol, open_time_ms, concat_ws(' ', trim_scale(open), trim_scale(high), trim_scale(low),
                                                 trim_scale(close), trim_scale(volume)) AS cached
          FROM market_candles
          WHERE venue = %s AND symbol = ANY (%s) AND timeframe = %s AND open_time_ms BETWEEN %s AND %s
        )
        SELECT symbol, open_time_ms, logged, cached, count(*) OVER () AS total
        FROM logged FULL JOIN cached USING (symbol, open_time_ms)
        WHERE logged IS DISTINCT FROM cached AND (%s OR logged IS NOT NULL)
        ORDER BY open_time_ms, symbol LIMIT %s
        """,
        (
            session.id,
            session.last_seq,
            spec.timeframe,
            spec.venue,
            list(spec.symbols),
            spec.timeframe,
            spec.start_ms,
            session.cursor_ms,
            late,
            limit,
        ),
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
    cursor = await connection.execute(
        "SELECT min(seq) AS seq FROM sim_events"
        " WHERE session_id = %s AND ts >= %s AND type NOT IN ('status', 'control', 'note')",
        (session_id, ts),
    )
    row = await cursor.fetchone()
    return None if row is None else row["seq"]


class Difference(NamedTuple):
    """Where two logs part: the place among simulated events, and on each side seq and event, null behind its end."""

    place: int
    seq_a: int | None
    seq_b: int | None
    event_a: dict[str, Any] | None
    event_b: dict[str, Any] | None


async def difference(connection: Connection, a: UUID, b: UUID) -> Difference | None:
    """Return where what two sessions simulated differs first; null when it does not."""
    row = await (await connection.execute("SELECT * FROM sim_diff(%s, %s)", (a, b))).fetchone()
    return None if row is None else Difference(**row)
