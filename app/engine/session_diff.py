"""Two sessions side by side: where their logs part, how their results differ, what they were asked for differently."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from app.db import events, sessions, stats
from app.db.events import Difference
from app.db.pool import Connection
from app.db.stats import Compared
from app.domain.session import Session


class SessionDiff(NamedTuple):
    """Two sessions, where what they simulated differs first (null: nowhere), and their figures side by side."""

    a: Session
    b: Session
    parting: Difference | None
    results: list[Compared]


async def diff_sessions(connection: Connection, user_id: str, a: UUID, b: UUID) -> SessionDiff:
    """Compare two sessions of a user; raises `NotFoundError`."""
    one, other = await sessions.get(connection, a, user_id), await sessions.get(connection, b, user_id)
    return SessionDiff(one, other, await events.difference(connection, a, b), await stats.compare(connection, a, b))
