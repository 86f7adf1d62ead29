"""Append chunks to the logs: those of many sessions in one call and one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from app.db.pool import Connection
from app.domain.event import Event


class Chunk(NamedTuple):
    """Computed ticks, or one command, of a session that one append writes; times in ms.

    `prev_cursor_ms` is the cursor before the ticks, `rows` are their events from `events_to_json`, `events` and
    `ticks` count events and ticks. `pause` is the reason to pause the session in the same transaction. `hash` is the
    fingerprint of all candles used so far. `commands` is the number of commands in the log before the ticks. A command
    has both cursors equal, no ticks, its own number as `commands`, and the row it answers with the `answer` as JSON.
    """

    session_id: str
    epoch: int
    prev_cursor_ms: int | None
    cursor_ms: int | None
    rows: str
    events: int
    pause: str | None = None
    hash: str | None = None
    ticks: int = 1
    commands: int = 0
    command: int | None = None
    answer: str | None = None


class AppendOutcome(NamedTuple):
    """The log's answer to a chunk, and the session's last seq then (null for an unknown session).

    `written`; `done` if the log has the chunk already; `refused` if the session is no longer this runner's; `busy` if
    its row is locked, or for a second chunk of one session.
    """

    answer: str
    last_seq: int


def events_to_json(events: Iterable[Event]) -> str:
    """Render events as the `rows` of a chunk; their payloads are JSON text already."""
    return ",".join([f'[{ts},"{type_}",{body}]' for ts, type_, body in events])


async def append_chunks(connection: Connection, chunks: Sequence[Chunk]) -> list[AppendOutcome]:
    """Write chunks of different sessions in one transaction; return the outcome of each, in order."""
    cursor = await connection.execute(
        "SELECT string_agg(outcome || ' ' || coalesce(last_seq, 0), ' ' ORDER BY tick) AS outcomes"
        " FROM sim_append_ticks(%s::jsonb)",
        (encode_chunks(chunks),),
    )
    row = await cursor.fetchone()
    assert row is not None
    words = str(row["outcomes"]).split()
    return [AppendOutcome(answer, int(last_seq)) for answer, last_seq in zip(words[::2], words[1::2], strict=True)]


def encode_chunks(chunks: Sequence[Chunk]) -> str:
    """Render chunks as the JSON argument of `sim_append_ticks`, copying their rows once."""
    parts: list[str] = []
    for chunk in chunks:
        prev = "null" if chunk.prev_cursor_ms is None else chunk.prev_cursor_ms
        cursor = "null" if chunk.cursor_ms is None else chunk.cursor_ms
        pause = "" if chunk.pause is None else f',"pause":"{chunk.pause}"'
        hash_ = "" if chunk.hash is None else f',"hash":"{chunk.hash}"'
        ticks = "" if chunk.ticks == 1 else f',"ticks":{chunk.ticks}'
        commands = f',"commands":{chunk.commands}' if chunk.commands else ""
        if chunk.command is not None:
            commands += f',"command":{chunk.command},"answer":{chunk.answer}'
        parts += (
            f'{"," if parts else "["}{{"session":"{chunk.session_id}","epoch":{chunk.epoch},"prev":{prev},'
            f'"cursor":{cursor},"events":[',
            chunk.rows,
            f']{pause}{hash_}{ticks}{commands},"bytes":{len(chunk.rows)}}}',
        )
    parts.append("]" if parts else "[]")
    return "".join(parts)
