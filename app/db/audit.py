"""The audit trail: who did what that no log of a session says. Entries can be added and read, never changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple

from psycopg.types.json import Jsonb
from sqlalchemy import select

from app.db.pool import Connection, execute
from app.db.tables import AUDIT

Action = Literal[
    "login",
    "login.refused",
    "logout",
    "token.create",
    "token.revoke",
    "share.create",
    "share.revoke",
    "bot-key.create",
    "bot-key.revoke",
    "session.delete",
    "session.export",
    "candles.delete",
    "candles.import",
]
Recording = Callable[[Connection, object, Mapping[str, Any]], Awaitable[None]]
"""Adds the entry of an action, given what it was done to and details: called in the transaction of the action."""
_a = AUDIT.c


class AuditOrigin(NamedTuple):
    """Where something was done: by a call of the API or a command, its address, and the id of the call."""

    via: Literal["http", "command"]
    address: str
    request_id: str | None = None


class AuditEntry(NamedTuple):
    """One entry. `user_id` is null if it is unknown; `subject` is what it was done to."""

    at: datetime
    user_id: str | None
    action: Action
    subject: str | None
    via: str
    address: str
    request_id: str | None
    details: dict[str, Any]


async def record(
    connection: Connection,
    origin: AuditOrigin,
    user_id: str | None,
    action: Action,
    subject: object = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry; `details` must not contain secrets."""
    await connection.execute(
        "INSERT INTO sim_audit (user_id, action, subject, via, address, request_id, details)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (user_id, action, None if subject is None else str(subject), *origin, Jsonb(dict(details or {}))),
    )


def recording(origin: AuditOrigin, user_id: str | None, action: Action) -> Recording:
    """Return what adds the entry of an action that a user is about to do."""

    async def add(connection: Connection, subject: object, details: Mapping[str, Any]) -> None:
        await record(connection, origin, user_id, action, subject, details)

    return add


async def page(
    connection: Connection,
    *,
    user_id: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    limit: int,
) -> list[AuditEntry]:
    """Return the newest entries, newest first; `action` selects that action and, as `token`, all that begin so."""
    statement = select(*(_a[name] for name in AuditEntry._fields)).order_by(_a.id.desc()).limit(limit)
    if user_id is not None:
        statement = statement.where(_a.user_id == user_id)
    if action is not None:
        statement = statement.where((_a.action == action) | _a.action.startswith(f"{action}.", autoescape=True))
    if since is not None:
        statement = statement.where(_a.at >= since)
    return [AuditEntry(**row) for row in await (await execute(connection, statement)).fetchall()]
