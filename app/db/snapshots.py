"""Snapshots in Postgres: a cache of where long sessions stand, held against the log whenever one is read."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from app.db.pool import Connection

_LAST_EVENTS = 200
_KEPT = 2
_LOG_HASH = """
    SELECT encode(sha256(convert_to(string_agg(concat_ws(' ', e.seq, e.ts, e.type, e.payload), E'\\n' ORDER BY e.seq),
                                    'UTF8')), 'hex')
    FROM (SELECT seq, ts, type, payload FROM sim_events
          WHERE session_id = s.id AND seq > {seq} - {count} AND seq <= {seq}) e
"""


class StoredSnapshot(NamedTuple):
    """A snapshot: the cursor it was taken at (ms UTC), the last seq of the log then, its body and that one's hash."""

    cursor_ms: int
    seq: int
    body: str
    body_hash: str


async def put(connection: Connection, session_id: UUID, epoch: int, cursor_ms: int, body: str, body_hash: str) -> bool:
    """Keep a snapshot if the session stands at that cursor under that epoch, and forget all but the newest two.

    Returns whether it was kept.
    """
    log_hash = _LOG_HASH.format(seq="s.last_seq", count=_LAST_EVENTS)
    cursor = await connection.execute(
        f"""
        WITH kept AS (
          INSERT INTO sim_snapshots (session_id, cursor_ms, seq, log_hash, body_hash, body)
          SELECT s.id, s.cursor_ms, s.last_seq, ({log_hash}), %(body_hash)s, %(body)s FROM sim_sessions s
          WHERE s.id = %(session)s AND s.epoch = %(epoch)s AND s.cursor_ms = %(cursor_ms)s AND s.deleted_at IS NULL
          FOR KEY SHARE OF s
          ON CONFLICT (session_id, cursor_ms) DO UPDATE
          SET seq = EXCLUDED.seq, log_hash = EXCLUDED.log_hash, body_hash = EXCLUDED.body_hash,
              body = EXCLUDED.body, created_at = EXCLUDED.created_at
          RETURNING session_id, cursor_ms
        ), forgotten AS (
          DELETE FROM sim_snapshots o USING kept k
          WHERE o.session_id = k.session_id AND o.cursor_ms < (
            SELECT min(n.cursor_ms) FROM (  -- what was there before, since this does not see what is kept now
              SELECT b.cursor_ms FROM sim_snapshots b WHERE b.session_id = %(session)s AND b.cursor_ms <> %(cursor_ms)s
              ORDER BY b.cursor_ms DESC LIMIT %(others)s) n)
        )
        SELECT FROM kept
        """,
        {
            "session": session_id,
            "epoch": epoch,
            "cursor_ms": cursor_ms,
            "body": body,
            "body_hash": body_hash,
            "others": _KEPT - 1,
        },
    )
    return cursor.rowcount > 0


async def newest(connection: Connection, session_id: UUID, to_cursor_ms: int) -> StoredSnapshot | None:
    """Return the newest snapshot up to a cursor whose log is still the session's; null when there is none."""
    log_hash = _LOG_HASH.format(seq="k.seq", count=_LAST_EVENTS)
    cursor = await connection.execute(
        f"""
        SELECT k.cursor_ms, k.seq, k.body, k.body_hash
        FROM sim_snapshots k JOIN sim_sessions s ON s.id = k.session_id
        WHERE k.session_id = %s AND k.cursor_ms <= %s AND k.seq <= s.last_seq
          AND k.log_hash = ({log_hash})
        ORDER BY k.cursor_ms DESC LIMIT 1
        """,
        (session_id, to_cursor_ms),
    )
    row = await cursor.fetchone()
    return None if row is None else StoredSnapshot(**row)


async def forget(connection: Connection, session_id: UUID) -> None:
    """Drop the snapshots of a session."""
    await connection.execute("DELETE FROM sim_snapshots WHERE session_id = %s", (session_id,))
