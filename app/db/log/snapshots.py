"""Snapshots in Postgres: a cache of the state of long sessions, checked against the log whenever one is read."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from app.db.pool import Connection

_MAX_SNAPSHOTS = 2


class StoredSnapshot(NamedTuple):
    """A snapshot: the session's cursor (ms UTC) and last seq at that moment, the body, and the hash of the body."""

    cursor_ms: int
    seq: int
    body: str
    body_hash: str


async def put(connection: Connection, session_id: UUID, epoch: int, cursor_ms: int, body: str, body_hash: str) -> bool:
    """Store a snapshot if the session has that cursor and epoch, and delete all but the newest two.

    Returns whether it was stored.
    """
    cursor = await connection.execute(
        """
        WITH stored AS (
          INSERT INTO sim_snapshots (session_id, cursor_ms, seq, log_hash, body_hash, body)
          SELECT s.id, s.cursor_ms, s.last_seq, sim_log_hash(s.id, s.last_seq), %(body_hash)s, %(body)s
          FROM sim_sessions s
          WHERE s.id = %(session)s AND s.epoch = %(epoch)s AND s.cursor_ms = %(cursor_ms)s AND s.deleted_at IS NULL
          FOR KEY SHARE OF s
          ON CONFLICT (session_id, cursor_ms) DO UPDATE
          SET seq = EXCLUDED.seq, log_hash = EXCLUDED.log_hash, body_hash = EXCLUDED.body_hash,
              body = EXCLUDED.body, created_at = EXCLUDED.created_at
          RETURNING session_id, cursor_ms
        ), deleted AS (
          DELETE FROM sim_snapshots o USING stored k
          WHERE o.session_id = k.session_id AND o.cursor_ms < (
            SELECT min(n.cursor_ms) FROM (  -- those from before: this statement does not see the new one
              SELECT b.cursor_ms FROM sim_snapshots b WHERE b.session_id = %(session)s AND b.cursor_ms <> %(cursor_ms)s
              ORDER BY b.cursor_ms DESC LIMIT %(others)s) n)
        )
        SELECT FROM stored
        """,
        {
            "session": session_id,
            "epoch": epoch,
            "cursor_ms": cursor_ms,
            "body": body,
            "body_hash": body_hash,
            "others": _MAX_SNAPSHOTS - 1,
        },
    )
    return cursor.rowcount > 0


async def newest(connection: Connection, session_id: UUID, to_cursor_ms: int) -> StoredSnapshot | None:
    """Return the newest snapshot up to a cursor whose log has not changed since; null if there is none."""
    cursor = await connection.execute(
        """
        SELECT k.cursor_ms, k.seq, k.body, k.body_hash
        FROM sim_snapshots k JOIN sim_sessions s ON s.id = k.session_id
        WHERE k.session_id = %s AND k.cursor_ms <= %s AND k.seq <= s.last_seq
          AND k.log_hash = sim_log_hash(s.id, k.seq)
        ORDER BY k.cursor_ms DESC LIMIT 1
        """,
        (session_id, to_cursor_ms),
    )
    row = await cursor.fetchone()
    return None if row is None else StoredSnapshot(**row)


async def forget(connection: Connection, session_id: UUID) -> None:
    """Delete the snapshots of a session."""
    await connection.execute("DELETE FROM sim_snapshots WHERE session_id = %s", (session_id,))
