"""Profiles in Postgres: a strategy with parameters under another name."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb
from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert as upsert

from app.db.pool import CompiledStatement, Connection, execute
from app.db.tables import PROFILES

_p = PROFILES.c


class Profile(NamedTuple):
    """A named strategy and its parameters, which a session can override."""

    slug: str
    strategy: str
    config: dict[str, Any]


async def put(connection: Connection, profile: Profile) -> None:
    """Add a profile, or replace the one with its slug."""
    values = {"strategy": profile.strategy, "config": Jsonb(profile.config)}
    statement = upsert(PROFILES).values(slug=profile.slug, **values)
    await execute(connection, statement.on_conflict_do_update(index_elements=["slug"], set_=values))


async def get(connection: Connection, slug: str) -> Profile | None:
    """Return the profile of a slug."""
    row = await (await _get().run(connection, slug=slug)).fetchone()
    return None if row is None else _profile(row)


@cache
def _get() -> CompiledStatement:
    """Return the statement that reads a profile; creating a session runs it."""
    return CompiledStatement(select(PROFILES).where(_p.slug == bindparam("slug")))


async def list_all(connection: Connection) -> list[Profile]:
    """List the profiles by slug."""
    rows = await (await execute(connection, select(PROFILES).order_by(_p.slug))).fetchall()
    return [_profile(row) for row in rows]


async def remove(connection: Connection, slug: str) -> bool:
    """Delete a profile; false if there was none."""
    return (await execute(connection, delete(PROFILES).where(_p.slug == slug))).rowcount == 1


def _profile(row: DictRow) -> Profile:
    return Profile(row["slug"], row["strategy"], row["config"])
