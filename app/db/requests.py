"""Answers of calls with an Idempotency-Key, so that a repeated call does nothing twice."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from app.db.pool import Connection
from app.errors import KeyReusedError


async def claim(connection: Connection, user_id: str, key: str, body_hash: str) -> Any | None:
    """Claim a key in the caller's transaction; return the stored answer if the key was used before.

    A second call with the key waits here for the first one's transaction. Raises `KeyReusedError` for another body.
    """
    await connection.execute("DELETE FROM sim_requests WHERE created_at < now() - interval '24 hours'")
    taken = await connection.execute(
        "INSERT INTO sim_requests (user_id, key, body_hash) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (user_id, key, body_hash),
    )
    if taken.rowcount == 1:
        return None
    cursor = await connection.execute(
        "SELECT body_hash, answer FROM sim_requests WHERE user_id = %s AND key = %s", (user_id, key)
    )
    row = await cursor.fetchone()
    if row is None or row["body_hash"] != body_hash:
        raise KeyReusedError()
    return row["answer"]


async def answer(connection: Connection, user_id: str, key: str, value: Any) -> None:
    """Store the answer of a call, for when it is repeated."""
    await connection.execute(
        "UPDATE sim_requests SET answer = %s WHERE user_id = %s AND key = %s", (Jsonb(value), user_id, key)
    )
