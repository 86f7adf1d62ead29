"""The log as it is computed again: what the simulation itself wrote, by the stretch, to be held against what comes out.

Events of other types (status, control, note) say what was done to a session; nobody computes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import tuple_row

from app.db.events import candle_of
from app.db.pool import Connection
from app.domain.event import Event
from app.domain.market.candle import Candle

_new = tuple.__new__
_NUMBER = r"(-?[0-9.]+)"
_CANDLES = re.compile(
    rf' candle \{{"candle":\{{"low":{_NUMBER},"high":{_NUMBER},"open":{_NUMBER},"close":{_NUMBER},"volume":{_NUMBER}'
    r',"openTimeMs":(-?\d+),"closeTimeMs":(-?\d+)\},"symbol":"([^"\\]+)",("synthetic":true,)?"timeframe":"(\w+)"\}$',
    re.MULTILINE,
)
"""Candles as a stretch spells them, which no text in a payload can, since its quotes are escaped there."""


class EventChunk(NamedTuple):
    """Simulated events in log order, one a line: ts, type, payload; those of candles and equity have no blanks."""

    last_seq: int
    body: str

    @property
    def lines(self) -> list[str]:
        """One text per event."""
        return self.body.split("\n")  # JSON text has no line feed.

    def candles(self) -> list[Candle]:
        """Return the candles of the stretch, longer and synthetic ones too."""
        found = _CANDLES.findall(self.body)
        if len(found) != self.body.count(" candle {"):  # A text of a strategy looks alike, or a number unlike ours.
            return list(_candles(self.lines))
        return [
            _new(
                Candle,
                (
                    symbol,
                    timeframe,
                    int(open_ms),
                    int(close_ms),
                    Decimal(open_),
                    Decimal(high),
                    Decimal(low),
                    Decimal(close),
                    Decimal(volume),
                    synthetic != "",
                ),
            )
            for low, high, open_, close, volume, open_ms, close_ms, symbol, synthetic, timeframe in found
        ]


def event_lines(computed: Iterable[Event]) -> list[str]:
    """Spell events as the lines of a stretch."""
    return [f"{ts} {type_} {body}" for ts, type_, body in computed]


def line_equals(line: str, computed: Event) -> bool:
    """Whether a line of the log says what was computed, however its payload is spelled."""
    head = f"{computed.ts} {computed.type} "
    if not line.startswith(head):
        return False
    body = line[len(head) :]
    try:
        return bool(_texts(body) == _texts(computed.body) or _numbers(body) == _numbers(computed.body))
    except ValueError:  # Its type was changed into more than a word.
        return False


def _candles(lines: Iterable[str]) -> Iterator[Candle]:
    """Yield the candles among lines; one that somebody spoiled is left out here and found where lines are compared."""
    for line in lines:
        type_, _, body = line.partition(" ")[2].partition(" ")
        if type_ == "candle":
            with suppress(ValueError, ArithmeticError, LookupError, TypeError):
                yield candle_of(json.loads(body, parse_float=Decimal))


def _figure(text: str) -> tuple[Decimal]:
    """Keep a number apart from true and false, which Python holds to be 1 and 0."""
    return (Decimal(text),)


_numbers = json.JSONDecoder(parse_float=_figure, parse_int=_figure).decode
_texts = json.JSONDecoder(parse_float=str.encode, parse_int=str.encode).decode
"""Leaves numbers as they are spelled, as bytes, which no text or truth equals: nearly all are spelled alike."""


async def read_chunk(
    connection: Connection, session_id: UUID, after_seq: int, limit: int, to_seq: int | None = None
) -> EventChunk | None:
    """Return the next simulated events behind a seq, and up to another one; null when there are none.

    To read one text costs this process a quarter of what so many rows do; Postgres takes as long for either.
    """
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(
        """
        SELECT max(seq), string_agg(line, E'\\n' ORDER BY seq) FROM (
          SELECT seq, ts || ' ' || type || ' ' ||
                 CASE WHEN type IN ('candle', 'equity')  -- which have no text that a comma or colon could stand in
                      THEN replace(replace(payload::text, '": ', '":'), ', ', ',') ELSE payload::text END AS line
          FROM sim_events
          WHERE session_id = %s AND seq > %s AND type NOT IN ('status', 'control', 'note')
            AND (%s::bigint IS NULL OR seq <= %s)
          ORDER BY seq LIMIT %s
        ) found
        """,
        (session_id, after_seq, to_seq, to_seq, limit),
    )
    last_seq, body = await cursor.fetchone() or (None, None)
    return None if last_seq is None else EventChunk(last_seq, body)


async def seq_of(connection: Connection, session_id: UUID, number: int, after_seq: int = 0) -> int:
    """Return the seq of the simulated event number `number` (from 1) behind a seq."""
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(
        "SELECT seq FROM sim_events WHERE session_id = %s AND seq > %s AND type NOT IN ('status', 'control', 'note')"
        " ORDER BY seq OFFSET %s LIMIT 1",
        (session_id, after_seq, number - 1),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def count(connection: Connection, session_id: UUID, to_seq: int) -> int:
    """Count the simulated events up to a seq."""
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(
        "SELECT count(*) FROM sim_events"
        " WHERE session_id = %s AND seq <= %s AND type NOT IN ('status', 'control', 'note')",
        (session_id, to_seq),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def difference(connection: Connection, session_id: UUID, seq: int, computed: Event) -> dict[str, Any] | None:
    """Return both sides of an event, when Postgres too finds that they differ."""
    cursor = await connection.execute(
        """
        SELECT e.seq, jsonb_build_object('ts', e.ts, 'type', e.type, 'payload', e.payload) AS logged,
               jsonb_build_object('ts', c.ts, 'type', c.type, 'payload', c.payload) AS computed
        FROM sim_events e CROSS JOIN (VALUES (%s::bigint, %s, %s::jsonb)) AS c (ts, type, payload)
        WHERE e.session_id = %s AND e.seq = %s AND (e.ts, e.type, e.payload) IS DISTINCT FROM (c.ts, c.type, c.payload)
        """,
        (*computed, session_id, seq),
    )
    return await cursor.fetchone()
