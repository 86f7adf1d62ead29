"""Bearer tokens, and keys of one session, in Postgres as hashes."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from functools import cache
from typing import Literal, NamedTuple, get_args
from uuid import UUID, uuid4

from psycopg.rows import DictRow
from sqlalchemy import bindparam, func, insert, or_, select, update

from app.db.pool import CompiledStatement, Connection, execute
from app.db.tables import TOKENS

Kind = Literal["token", "share", "bot"]
Scope = Literal["read", "trade"]
SCOPES = get_args(Scope)

_PREFIXES: dict[Kind, str] = {"token": "zeon_", "share": "zeon_share_", "bot": "zeon_bot_"}
_BYTES: dict[Kind, int] = {"token": 32, "share": 32, "bot": 16}
"""Random bytes; a bot key is in every address of a bot, so it is shorter."""
_t = TOKENS.c
_VALID = (_t.revoked_at.is_(None), or_(_t.expires_at.is_(None), _t.expires_at > func.now()))


class Token(NamedTuple):
    """A token or key as it is stored: its hash. Only its holder knows the secret itself.

    `session_id` is the only session a key is good for; null for tokens. `expires_at` null means that it has no end.
    """

    id: UUID
    user_id: str
    name: str | None
    token_hash: str
    created_at: datetime
    revoked_at: datetime | None
    kind: Kind
    scope: Scope
    session_id: UUID | None
    expires_at: datetime | None


def token_hash(secret: str) -> str:
    """Return the hex SHA-256 a secret is stored as; secrets are random, so no salt is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def create(
    connection: Connection,
    user_id: str,
    name: str | None = None,
    *,
    kind: Kind = "token",
    scope: Scope = "trade",
    session_id: UUID | None = None,
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """Create a token or key for a user; return the stored row and the secret itself, which is not stored."""
    secret = f"{_PREFIXES[kind]}{secrets.token_urlsafe(_BYTES[kind])}"
    values = {
        "id": uuid4(),
        "user_id": user_id,
        "name": name,
        "token_hash": token_hash(secret),
        "kind": kind,
        "scope": scope,
        "session_id": session_id,
        "expires_at": expires_at,
    }
    row = await (await execute(connection, insert(TOKENS).values(**values).returning(TOKENS))).fetchone()
    assert row is not None
    return _token(row), secret


async def find_valid(connection: Connection, secret: str, kind: Kind) -> Token | None:
    """Return the token or key with this secret; null if there is none of this kind, or it was revoked or has ended."""
    cursor = await _find_valid().run(connection, token_hash=token_hash(secret), kind=kind)
    row = await cursor.fetchone()
    return None if row is None else _token(row)


@cache
def _find_valid() -> CompiledStatement:
    """Return the statement that finds the valid token with a hash."""
    wanted = (_t.token_hash == bindparam("token_hash"), _t.kind == bindparam("kind"))
    return CompiledStatement(select(TOKENS).where(*wanted, *_VALID))


async def is_valid(connection: Connection, token_id: UUID) -> bool:
    """Whether a token or key exists, was not revoked and has not ended."""
    statement = select(_t.id).where(_t.id == token_id, *_VALID)
    return await (await execute(connection, statement)).fetchone() is not None


async def list_all(connection: Connection, user_id: str | None = None) -> list[Token]:
    """List tokens and keys, oldest first, of one user or of all."""
    statement = select(TOKENS).order_by(_t.created_at, _t.id)
    if user_id is not None:
        statement = statement.where(_t.user_id == user_id)
    return [_token(row) for row in await (await execute(connection, statement)).fetchall()]


async def lock_keys(connection: Connection, session_id: UUID) -> None:
    """Let no other transaction count or create keys of a session until this one ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(sim_lock_key('keys', %s))", (str(session_id),))


async def list_keys(connection: Connection, session_id: UUID, kind: Kind) -> list[Token]:
    """List the valid keys of a session, oldest first."""
    wanted = (_t.session_id == session_id, _t.kind == kind)
    statement = select(TOKENS).where(*wanted, *_VALID).order_by(_t.created_at, _t.id)
    return [_token(row) for row in await (await execute(connection, statement)).fetchall()]


async def revoke(
    connection: Connection, token_id: UUID, *, kind: Kind | None = None, session_id: UUID | None = None
) -> Token | None:
    """Revoke a token or key, if it is of this kind and session; null if there was no valid one."""
    wanted = [_t.id == token_id, _t.revoked_at.is_(None)]
    if kind is not None:
        wanted.append(_t.kind == kind)
    if session_id is not None:
        wanted.append(_t.session_id == session_id)
    statement = update(TOKENS).where(*wanted).values(revoked_at=func.now()).returning(TOKENS)
    row = await (await execute(connection, statement)).fetchone()
    return None if row is None else _token(row)


def _token(row: DictRow) -> Token:
    return Token(**{name: row[name] for name in Token._fields})
