"""Append chunks to the logs: those of many sessions in one call and one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from app.db.pool import Connection
from app.domain.event import Event


class Chunk(NamedTuple):
    """Computed ticks of one session that one append writes; times in ms.

    `prev_cursor_ms` is the cursor before the ticks, `rows` are their events from `events_to_json`, `events` and
    `ticks` count events and ticks. `pause` is the reason to pause the session in the same transaction. `hash` is the
    fingerprint of all candles used so far.
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
    """Render events as the `rows` of a chunk; their payloads are JSON text already."""
    return ",".join([f'[{ts},"{type_}",{body}]' for ts, type_, body in events])


async def append_chunks(connection: Connection, chunks: Sequence[Chunk]) -> list[str]:
    """Write chunks of different sessions in one transaction; return the outcome of each, in order.

    `written`; `done` if the log has the chunk already; `refused` if the session is no longer this runner's; `busy` if
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
            f']{pause}{hash_}{ticks},"bytes":{len(chunk.rows)}}}',
        )
    parts.append("]" if parts else "[]")
    return "".join(parts)
