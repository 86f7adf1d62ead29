"""The clock of a session: the simulated time, and when the next candle is due."""

from __future__ import annotations

from typing import Literal, NamedTuple
from uuid import UUID

from app.domain.session import CREATED, PAUSED, RUNNING, Session


class SessionClock(NamedTuple):
    """The time of a session, ms UTC: `now_ms` is simulated, `next_due_ms` and `server_ms` are the wall clock's.

    `next_open_ms` is the next slot of the grid, null at the end of the range. `next_due_ms` is null unless the session
    runs at a pace.
    """

    session_id: UUID
    status: str
    mode: Literal["paced", "unpaced", "stepped", "paused", "ended"]
    now_ms: int
    cursor_ms: int | None
    next_open_ms: int | None
    next_due_ms: int | None
    server_ms: int
    last_seq: int
    commands: int


def clock_of(session: Session, server_ms: int, ahead_s: float | None) -> SessionClock:
    """Return the clock of a session; `ahead_s` is when its next tick is due, if this process runs it."""
    spec, cursor_ms = session.spec, session.cursor_ms
    next_open_ms = spec.first_slot_ms if cursor_ms is None else spec.grid.floor(cursor_ms) + spec.grid.ms
    over = spec.last_slot_ms is not None and next_open_ms > spec.last_slot_ms
    return SessionClock(
        session.id,
        session.status,
        _mode(session),
        spec.start_ms if cursor_ms is None else cursor_ms + spec.grid.ms,
        cursor_ms,
        None if over else next_open_ms,
        None if over else _next_due_ms(session, next_open_ms, server_ms, ahead_s),
        server_ms,
        session.last_seq,
        session.commands,
    )


def _mode(session: Session) -> Literal["paced", "unpaced", "stepped", "paused", "ended"]:
    if session.status == RUNNING:
        stepped = session.steps_left is not None
        return "stepped" if stepped else "unpaced" if session.spec.pace.unpaced else "paced"
    return "paused" if session.status in (CREATED, PAUSED) else "ended"


def _next_due_ms(session: Session, next_open_ms: int, server_ms: int, ahead_s: float | None) -> int | None:
    """Return when the next tick is due by pace and market; without `ahead_s` the pace counts from the last tick."""
    if _mode(session) != "paced":
        return None
    spec = session.spec
    pace_ms = int(session.updated_at.timestamp() * 1000) + spec.pace.offset_ns(1, spec.grid) // 1_000_000
    if ahead_s is not None:
        pace_ms = server_ms + max(0, int(ahead_s * 1000))
    return max(pace_ms, spec.due_ms(next_open_ms))
