"""The simulated events of a log, for comparison with recomputed ones.

Other events (status, control, note) record what users and servers did; they cannot be recomputed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import tuple_row

from app.db.pool import Connection
from app.domain import candle_event
from app.domain.event import Event
from app.domain.market.candle import Candle


class EventPage(NamedTuple):
    """Simulated events in log order, one per line: ts, type, payload; candle and equity payloads have no spaces."""

    last_seq: int
    body: str

    @property
    def lines(self) -> list[str]:
        """One text per event."""
        return self.body.split("\n")  # JSON text has no line feed.

    def candles(self) -> list[Candle]:
        """Return the candles among the events, including longer and synthetic ones."""
        return candle_event.decode_lines(self.body, self.lines)


def event_lines(computed: Iterable[Event]) -> list[str]:
    """Render events as the lines of a page."""
    return [f"{ts} {type_} {body}" for ts, type_, body in computed]


def line_equals(line: str, computed: Event) -> bool:
    """Whether a line of the log equals a computed event, however its payload is formatted."""
    head = f"{computed.ts} {computed.type} "
    if not line.startswith(head):
        return False
    body = line[len(head) :]
    try:
        return bool(_texts(body) == _texts(computed.body) or _numbers(body) == _numbers(computed.body))
    except ValueError:  # The stored type was changed by hand to more than one word.
        return False


def _number(text: str) -> tuple[Decimal]:
    """Wrap a number, because Python takes true and false for 1 and 0."""
    return (Decimal(text),)


_numbers = json.JSONDecoder(parse_float=_number, parse_int=_number).decode
_texts = json.JSONDecoder(parse_float=str.encode, parse_int=str.encode).decode
"""Keeps numbers as their bytes, which equal no text and no boolean; nearly all equal numbers have equal bytes."""


async def read_page(
    connection: Connection, session_id: UUID, after_seq: int, limit: int, to_seq: int | None = None
) -> EventPage | None:
    """Return the next simulated events after a seq, up to another one; null if there are none."""
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(
        "SELECT last_seq, body FROM sim_simulated_lines(%s, after_seq => %s, max_rows => %s, to_seq => %s)",
        (session_id, after_seq, limit, to_seq),
    )
    last_seq, body = await cursor.fetchone() or (None, None)
    return None if last_seq is None else EventPage(last_seq, body)


async def seq_of(connection: Connection, session_id: UUID, number: int, after_seq: int = 0) -> int:
    """Return the seq of the simulated event number `number` (from 1) after a seq."""
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute("SELECT sim_simulated_seq(%s, number => %s, after_seq => %s)", (session_id, number, after_seq))
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def count(connection: Connection, session_id: UUID, to_seq: int) -> int:
    """Count the simulated events up to a seq."""
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute("SELECT sim_simulated_count(%s, to_seq => %s)", (session_id, to_seq))
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def difference(connection: Connection, session_id: UUID, seq: int, computed: Event) -> dict[str, Any] | None:
    """Return an event as logged and as computed, if they differ for Postgres too; else null."""
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
