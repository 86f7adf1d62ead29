"""The append: ticks of many sessions go into the log in one call and one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from app.db.pool import Connection
from app.domain.event import Event


class Tick(NamedTuple):
    """A chunk: one or more consecutive ticks of a session; times in ms, computed from the cursor `prev_cursor_ms`.

    `rows` are its events from `events_to_json`, `events` is their number. `pause` is why the session is to be paused
    with it, in the same transaction; `hash` is the fingerprint of the candles used up to it, given with the last tick
    of a batch. `ticks` is how many were joined in it.
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
    """Render events, whose payloads are JSON text already, as a tick carries them."""
    return ",".join([f'[{ts},"{type_}",{body}]' for ts, type_, body in events])


async def append_ticks(connection: Connection, ticks: Sequence[Tick]) -> list[str]:
    """Write ticks of different sessions in one transaction; answers each with its outcome, in order.

    `written`; `done`, when the log has it already; `refused`, when the session is no longer this runner's; `busy`, when
    its row is locked, or for a second tick of one session.
    """
    cursor = await connection.execute(
        "SELECT string_agg(outcome, ' ' ORDER BY tick) AS outcomes FROM sim_append_ticks(%s::jsonb)",
        (encode_ticks(ticks),),
    )
    row = await cursor.fetchone()
    assert row is not None
    return str(row["outcomes"]).split()


def encode_ticks(ticks: Sequence[Tick]) -> str:
    """Render ticks as the JSON argument of `sim_append_ticks`, copying their rows once."""
    parts: list[str] = []
    for tick in ticks:
        prev = "null" if tick.prev_cursor_ms is None else tick.prev_cursor_ms
        pause = "" if tick.pause is None else f',"pause":"{tick.pause}"'
        hashed = "" if tick.hash is None else f',"hash":"{tick.hash}"'
        merged = "" if tick.ticks == 1 else f',"ticks":{tick.ticks}'
        parts += (
            f'{"," if parts else "["}{{"session":"{tick.session_id}","epoch":{tick.epoch},"prev":{prev},'
            f'"cursor":{tick.cursor_ms},"events":[',
            tick.rows,
            f"]{pause}{hashed}{merged}}}",
        )
    parts.append("]" if parts else "[]")
    return "".join(parts)
