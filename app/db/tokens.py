"""Bearer tokens in Postgres, as hashes."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from psycopg.rows import DictRow
from sqlalchemy import func, insert, select, update

from app.db.pool import Connection, execute
from app.db.tables import TOKENS

_t = TOKENS.c


class Token(NamedTuple):
    """A token as it is stored: its hash. Only its holder knows the token itself."""

    id: UUID
    user_id: str
    name: str | None
    token_hash: str
    created_at: datetime
    revoked_at: datetime | None


def token_hash(token: str) -> str:
    """Return the hex SHA-256 a token is stored as; tokens are random, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


async def create(connection: Connection, user_id: str, name: str | None = None) -> tuple[Token, str]:
    """Create a token for a user; return the stored row and the token itself, which is not stored."""
    secret = f"zeon_{secrets.token_urlsafe(32)}"
    values = {"id": uuid4(), "user_id": user_id, "name": name, "token_hash": token_hash(secret)}
    row = await (await execute(connection, insert(TOKENS).values(**values).returning(TOKENS))).fetchone()
    assert row is not None
    return _token(row), secret


async def find_valid(
    connection: Connection, *, token_hash: str | None = None, token_id: UUID | None = None
) -> Token | None:
    """Return the token with this hash or id; null if there is none or it was revoked."""
    wanted = _t.token_hash == token_hash if token_id is None else _t.id == token_id
    row = await (await execute(connection, select(TOKENS).where(wanted, _t.revoked_at.is_(None)))).fetchone()
    return None if row is None else _token(row)


async def list_all(connection: Connection, user_id: str | None = None) -> list[Token]:
    """List tokens, oldest first, of one user or of all."""
    statement = select(TOKENS).order_by(_t.created_at)
    if user_id is not None:
        statement = statement.where(_t.user_id == user_id)
    return [_token(row) for row in await (await execute(connection, statement)).fetchall()]


async def revoke(connection: Connection, token_id: UUID) -> bool:
    """Revoke a token; false if there was no valid token with this id."""
    statement = update(TOKENS).where(_t.id == token_id, _t.revoked_at.is_(None)).values(revoked_at=func.now())
    return (await execute(connection, statement)).rowcount == 1


def _token(row: DictRow) -> Token:
    return Token(**{name: row[name] for name in Token._fields})
