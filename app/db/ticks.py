"""Ticks on their way into the log: many sessions' in one call and one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from app.db.pool import Connection
from app.domain.event import Event


class Tick(NamedTuple):
    """A computed tick on its way into the log; times in ms, `prev_cursor_ms` is what it was computed from.

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
    """Render events, whose payloads are JSON text already, as a tick carries them: ahead of its turn in Postgres."""
    return ",".join([f'[{ts},"{type_}",{body}]' for ts, type_, body in events])


async def append_ticks(connection: Connection, ticks: Sequence[Tick]) -> list[str]:
    """Write ticks in one transaction; answers each with `written`, `done`, `refused` or `busy`, in order.

    Neighbours that follow each other in one session go in as one, so what was not written of them may not be mixed
    with what was.
    """
    chains = _chains(ticks)
    cursor = await connection.execute(
        "SELECT string_agg(outcome, ' ' ORDER BY tick) AS outcomes FROM sim_append_ticks(%s::jsonb)",
        (encode_ticks([join_ticks(chain) for chain in chains]),),
    )
    row = await cursor.fetchone()
    assert row is not None
    outcomes = str(row["outcomes"]).split()
    return [outcome for chain, outcome in zip(chains, outcomes, strict=True) for _ in chain]


def join_ticks(ticks: Sequence[Tick]) -> Tick:
    """Join ticks of one session that go into the log in one transaction: what lies between them need not be sent."""
    first, last = ticks[0], ticks[-1]
    if first is last:
        return first
    return last._replace(
        prev_cursor_ms=first.prev_cursor_ms,
        rows=",".join([tick.rows for tick in ticks if tick.rows]),
        events=sum(tick.events for tick in ticks),
        ticks=sum(tick.ticks for tick in ticks),
    )


def _chains(ticks: Sequence[Tick]) -> list[list[Tick]]:
    """Group neighbours that follow each other in one session; what pauses it ends its group."""
    chains: list[list[Tick]] = []
    for tick in ticks:
        if chains and _follows(chains[-1][-1], tick):
            chains[-1].append(tick)
        else:
            chains.append([tick])
    return chains


def _follows(before: Tick, tick: Tick) -> bool:
    same = (before.session_id, before.epoch, before.cursor_ms) == (tick.session_id, tick.epoch, tick.prev_cursor_ms)
    return same and before.pause is None and tick.cursor_ms > before.cursor_ms


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
