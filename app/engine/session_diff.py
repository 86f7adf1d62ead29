"""Compare two sessions: the first simulated event that differs, and their results."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from app.db import sessions
from app.db.log import events, stats
from app.db.log.events import Difference
from app.db.log.stats import FigureDiff
from app.db.pool import Connection
from app.domain.session import Session


class SessionDiff(NamedTuple):
    """Two sessions, the first difference of their simulated events (null: none), and their figures side by side."""

    a: Session
    b: Session
    first_difference: Difference | None
    results: list[FigureDiff]


async def diff_sessions(connection: Connection, user_id: str, a: UUID, b: UUID) -> SessionDiff:
    """Compare two sessions of a user; raises `NotFoundError`."""
    session_a, session_b = await sessions.get(connection, a, user_id), await sessions.get(connection, b, user_id)
    return SessionDiff(
        session_a, session_b, await events.difference(connection, a, b), await stats.compare(connection, a, b)
    )
