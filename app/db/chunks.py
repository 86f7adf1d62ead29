"""Chunks on their way into the log: those of many sessions in one call and one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from app.db.pool import Connection
from app.domain.event import Event


class Chunk(NamedTuple):
    """Computed ticks of one session that one append takes; times in ms, `prev_cursor_ms` is the cursor before them.

    `rows` are their events from `events_to_json`, `events` is the number of these. `pause` is why the session is to be
    paused with them, in the same transaction; `hash` is the fingerprint of the candles used up to them; `ticks` is how
    many ticks there are.
    """

    session_id: str
    epoch: int
    prev_cursor_ms: int | None
    cursor_ms: int
    rows: str
    events: int
    pause: str | None = None
    hash: str | None = None
    ticks: int = 1


def events_to_json(events: Iterable[Event]) -> str:
    """Render events, whose payloads are JSON text already, as a chunk carries them."""
    return ",".join([f'[{ts},"{type_}",{body}]' for ts, type_, body in events])


async def append_chunks(connection: Connection, chunks: Sequence[Chunk]) -> list[str]:
    """Write chunks of different sessions in one transaction; answers each with its outcome, in order.

    `written`; `done`, when the log has it already; `refused`, when the session is no longer this runner's; `busy`, when
    its row is locked, or for a second chunk of one session.
    """
    cursor = await connection.execute(
        "SELECT string_agg(outcome, ' ' ORDER BY tick) AS outcomes FROM sim_append_ticks(%s::jsonb)",
        (encode_chunks(chunks),),
    )
    row = await cursor.fetchone()
    assert row is not None
    return str(row["outcomes"]).split()


def encode_chunks(chunks: Sequence[Chunk]) -> str:
    """Render chunks as the JSON argument of `sim_append_ticks`, copying their rows once."""
    parts: list[str] = []
    for chunk in chunks:
        prev = "null" if chunk.prev_cursor_ms is None else chunk.prev_cursor_ms
        pause = "" if chunk.pause is None else f',"pause":"{chunk.pause}"'
        hash_ = "" if chunk.hash is None else f',"hash":"{chunk.hash}"'
        ticks = "" if chunk.ticks == 1 else f',"ticks":{chunk.ticks}'
        parts += (
            f'{"," if parts else "["}{{"session":"{chunk.session_id}","epoch":{chunk.epoch},"prev":{prev},'
            f'"cursor":{chunk.cursor_ms},"events":[',
            chunk.rows,
            f"]{pause}{hash_}{ticks}}}",
        )
    parts.append("]" if parts else "[]")
    return "".join(parts)
