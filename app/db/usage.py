"""What a user keeps in the database."""

from __future__ import annotations

from typing import NamedTuple

from app.db.pool import Connection


class Usage(NamedTuple):
    """Numbers of sessions, events and bytes: what a user keeps, or may keep."""

    sessions: int
    events: int
    bytes: int


async def usage(connection: Connection, user_id: str) -> Usage:
    """Return what a user keeps."""
    row = await (await connection.execute("SELECT * FROM sim_usage(%s)", (user_id,))).fetchone()
    assert row is not None
    return Usage(**row)
