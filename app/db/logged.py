"""The log as it is computed again: what the simulation itself wrote, read by the page and held against what comes out.

Events of other types (status, control, note) say what was done to a session; nobody computes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import tuple_row

from app.db.events import candle_of
from app.db.pool import Connection
from app.domain.candle import Candle
from app.domain.event import Event

_new = tuple.__new__
_NUMBER = r"(-?[0-9.]+)"
_CANDLES = re.compile(
    rf' candle \{{"candle":\{{"low":{_NUMBER},"high":{_NUMBER},"open":{_NUMBER},"close":{_NUMBER},"volume":{_NUMBER}'
    r',"openTimeMs":(-?\d+),"closeTimeMs":(-?\d+)\},"symbol":"([A-Z0-9.]+)","timeframe":"(\w+)"\}$',
    re.MULTILINE,
)
"""Real candles as a page spells them, which no text in a payload can, since its quotes are escaped there."""


class Page(NamedTuple):
    """Simulated events in log order, one a line: ts, type, payload; those of candles and equity have no blanks."""

    last_seq: int
    body: str

    @property
    def lines(self) -> list[str]:
        """One text per event."""
        return self.body.split("\n")  # JSON text has no line feed.

    def candles(self) -> list[Candle]:
        """Return the candles of the page, longer and synthetic ones too."""
        found = _CANDLES.findall(self.body)
        if len(found) != self.body.count(" candle {"):  # Nearly all are real; a text of a strategy may look alike.
            return [_candle(body) for _, type_, body in map(_parted, self.lines) if type_ == "candle"]
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
                    False,
                ),
            )
            for low, high, open_, close, volume, open_ms, close_ms, symbol, timeframe in found
        ]


def lines(computed: Iterable[Event]) -> list[str]:
    """Spell events as a page does."""
    return [f"{ts} {type_} {body}" for ts, type_, body in computed]


def same(logged: str, computed: str) -> bool:
    """Whether two lines say the same, however their payloads are spelled."""
    ts, type_, body = _parted(logged)
    other_ts, other_type, other = _parted(computed)
    if ts != other_ts or type_ != other_type:
        return False
    return bool(_spelled(body) == _spelled(other) or _read(body) == _read(other))


def _parted(line: str) -> list[str]:
    return line.split(" ", 2)


def _candle(body: str) -> Candle:
    return candle_of(json.loads(body, parse_float=Decimal))


def _figure(text: str) -> tuple[Decimal]:
    """Keep a number apart from true and false, which Python holds to be 1 and 0."""
    return (Decimal(text),)


_read = json.JSONDecoder(parse_float=_figure, parse_int=_figure).decode
_mark = "\0".__add__  # Keeps a number apart from text, which has no NUL; spelled alike it need not be computed.
_spelled = json.JSONDecoder(parse_float=_mark, parse_int=_mark).decode


async def page(
    connection: Connection, session_id: UUID, after_seq: int, limit: int, to_seq: int | None = None
) -> Page | None:
    """Return the next simulated events behind a seq, and up to another one; null when there are none.

    One text is read in a sixth of the time that so many rows take.
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
    return None if last_seq is None else Page(last_seq, body)


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
