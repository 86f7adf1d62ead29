"""Logins of browsers in Postgres: random values in a cookie, stored as hashes, each with an end."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from app.db.pool import Connection
from app.db.tokens import Scope, token_hash

_MAX_PER_USER = 100
"""Most logins of a user; a new one ends the oldest."""
_VALID = """
    l.expires_at > now() AND (l.token_id IS NULL OR EXISTS (
      SELECT FROM sim_tokens t
      WHERE t.id = l.token_id AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())))"""


class Login(NamedTuple):
    """A login as it is stored. It ends at `expires_at`, at the logout, and with its token, if there is one."""

    login_hash: str
    user_id: str
    scope: Scope
    expires_at: datetime


async def create(
    connection: Connection, user_id: str, scope: Scope, expires_at: datetime, token_id: UUID | None
) -> str:
    """Create a login and return the value of its cookie, which is not stored. Logins that have ended are deleted."""
    value = secrets.token_urlsafe(32)
    async with connection.transaction():
        await connection.execute("DELETE FROM sim_logins WHERE expires_at <= now()")
        await connection.execute(
            "INSERT INTO sim_logins (login_hash, user_id, scope, token_id, expires_at) VALUES (%s, %s, %s, %s, %s)",
            (token_hash(value), user_id, scope, token_id, expires_at),
        )
        await connection.execute(
            "DELETE FROM sim_logins WHERE login_hash IN (SELECT login_hash FROM sim_logins WHERE user_id = %s"
            " ORDER BY created_at DESC, login_hash OFFSET %s)",
            (user_id, _MAX_PER_USER),
        )
    return value


async def find_valid(connection: Connection, value: str) -> Login | None:
    """Return the login of a cookie; null if there is none, or it has ended."""
    cursor = await connection.execute(
        f"SELECT login_hash, user_id, scope, expires_at FROM sim_logins l WHERE login_hash = %s AND {_VALID}",
        (token_hash(value),),
    )
    row = await cursor.fetchone()
    return None if row is None else Login(**row)


async def is_valid(connection: Connection, login_hash: str) -> bool:
    """Whether a login exists and has not ended."""
    cursor = await connection.execute(f"SELECT FROM sim_logins l WHERE login_hash = %s AND {_VALID}", (login_hash,))
    return await cursor.fetchone() is not None


async def delete(connection: Connection, value: str) -> str | None:
    """Delete the login of a cookie and return its user; null if there was none."""
    cursor = await connection.execute(
        "DELETE FROM sim_logins WHERE login_hash = %s RETURNING user_id", (token_hash(value),)
    )
    row = await cursor.fetchone()
    return None if row is None else str(row["user_id"])
