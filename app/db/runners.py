"""Server processes in Postgres: which are alive, and claims of the sessions of dead ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from app.db.pool import Connection


class Orphan(NamedTuple):
    """A running session that no living process ran, with its new status and the reason."""

    session_id: UUID
    status: str
    reason: str


async def register(connection: Connection, name: str, ttl_ms: int) -> int:
    """Register a process under a name; return its incarnation. The process that had the name before counts as dead."""
    cursor = await connection.execute(
        """
        INSERT INTO sim_runners AS r (name, ttl) VALUES (%s, %s * interval '1 ms')
        ON CONFLICT (name) DO UPDATE
        SET incarnation = r.incarnation + 1, ttl = excluded.ttl, started_at = now(), seen_at = now()
        RETURNING incarnation
        """,
        (name, ttl_ms),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["incarnation"])


async def renew(connection: Connection, name: str, incarnation: int, strategies: Sequence[str] | None = None) -> bool:
    """Renew the sign of life; false if the row is gone or a newer incarnation has the name.

    An older incarnation is what a standby knew that was promoted before it knew this one. `strategies` are those
    that the process knows.
    """
    cursor = await connection.execute(
        """
        UPDATE sim_runners
        SET seen_at = clock_timestamp(), incarnation = %s, strategies = coalesce(%s, strategies)
        WHERE name = %s AND incarnation <= %s
        """,
        (incarnation, None if strategies is None else list(strategies), name, incarnation),
    )
    return cursor.rowcount == 1


async def register_again(connection: Connection, name: str, incarnation: int, ttl_ms: int) -> bool:
    """Write the row of a living process again after it was deleted; false if another process has the name."""
    cursor = await connection.execute(
        "INSERT INTO sim_runners (name, incarnation, ttl) VALUES (%s, %s, %s * interval '1 ms') ON CONFLICT DO NOTHING",
        (name, incarnation, ttl_ms),
    )
    return cursor.rowcount == 1


async def is_alive(connection: Connection, name: str) -> bool:
    """Whether a process of this name has given a sign of life within its TTL."""
    cursor = await connection.execute(
        "SELECT FROM sim_runners WHERE name = %s AND sim_runner_alive(seen_at, ttl)", (name,)
    )
    return cursor.rowcount == 1


async def lock_runner(connection: Connection, name: str, incarnation: int) -> bool:
    """Keep a process from leaving while this transaction claims a session for it; false if it has left."""
    cursor = await connection.execute(
        "SELECT FROM sim_runners WHERE name = %s AND incarnation = %s FOR KEY SHARE", (name, incarnation)
    )
    return cursor.rowcount == 1


async def claim_orphans(connection: Connection, name: str, incarnation: int, *, resume: bool) -> list[Orphan]:
    """Claim running sessions without a runner; take over (`resume`) or pause those of dead processes."""
    cursor = await connection.execute(
        "SELECT * FROM sim_claim_orphans(%s, incarnation => %s, resume => %s, max_rows => 500)",
        (name, incarnation, resume),
    )
    return [Orphan(row["session"], row["status"], row["reason"]) for row in await cursor.fetchall()]


async def any_alive(connection: Connection) -> bool:
    """Whether some process is alive to run sessions."""
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM sim_runners r WHERE sim_runner_alive(r.seen_at, r.ttl)) AS alive"
    )
    row = await cursor.fetchone()
    assert row is not None
    return bool(row["alive"])


async def living(connection: Connection) -> list[str]:
    """Return the names of the living processes."""
    cursor = await connection.execute(
        "SELECT r.name FROM sim_runners r WHERE sim_runner_alive(r.seen_at, r.ttl) ORDER BY r.name"
    )
    return [row["name"] for row in await cursor.fetchall()]


async def any_knows(connection: Connection, profiles: Sequence[str], other_than: str | None) -> bool:
    """Whether some other living process can run sessions of all these profiles, or has not told yet what it knows."""
    cursor = await connection.execute(
        """
        SELECT EXISTS (
          SELECT FROM sim_runners r
          WHERE r.name IS DISTINCT FROM %s AND sim_runner_alive(r.seen_at, r.ttl) AND sim_knows(r.strategies, %s)
        ) AS knows
        """,
        (other_than, list(profiles)),
    )
    row = await cursor.fetchone()
    assert row is not None
    return bool(row["knows"])


async def leave(connection: Connection, name: str, incarnation: int, *, resume: bool) -> int:
    """Release the name and all sessions of this incarnation; return how many sessions.

    They are paused or, with `resume`, remain running without a runner. One transaction; it waits for claims in
    progress.
    """
    async with connection.transaction():
        await connection.execute("DELETE FROM sim_runners WHERE name = %s AND incarnation = %s", (name, incarnation))
        cursor = await connection.execute(
            """
            SELECT sim_transition(
              s.id, from_status => '{running}', to_status => %s, reason => 'server stopped', by => %s)
            FROM (SELECT id FROM sim_sessions WHERE status = 'running' AND runner = %s AND incarnation = %s
                  ORDER BY id FOR NO KEY UPDATE) s
            """,
            ("running" if resume else "paused", name, name, incarnation),
        )
        return cursor.rowcount


async def clock_s(connection: Connection) -> float:
    """Return the clock of the database in seconds since the epoch."""
    cursor = await connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8 AS now")
    row = await cursor.fetchone()
    assert row is not None
    return float(row["now"])
