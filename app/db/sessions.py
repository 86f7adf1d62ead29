"""Sessions in Postgres: create, read, change and delete them, and change their status."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID, uuid4

from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb
from sqlalchemy import Select, Text, any_, bindparam, cast, func, literal, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql import insert as upsert

from app.db import commands
from app.db.audit import Recording
from app.db.pool import CompiledStatement, Connection, execute
from app.db.tables import SESSIONS
from app.domain.event import render
from app.domain.lineage import Ancestor, parse_ancestor
from app.domain.session import ENDED, MOVES, RUNNING, SETTINGS, Pace, Session, SessionSpec, setting_from_json
from app.domain.setting import build, flatten, setting_fields
from app.domain.trading.settings import Sizing, sizing_to_json
from app.errors import BadInputError, KeyReusedError, NotFoundError

_s = SESSIONS.c
_NOT_COLUMNS = ("spec", "lineage", "fetching", "checking", "waiting")
"""Fields of a session that no column holds as they are."""


def new_id() -> UUID:
    """Return a UUID of version 7 (RFC 9562): ms since the epoch, then 74 random bits.

    So the logs of new sessions are at the end of the indexes on events; random ids make these a third larger.
    """
    return UUID(int=time.time_ns() // 1_000_000 << 80 | 7 << 76 | uuid4().int & (1 << 76) - 1)


async def create(
    connection: Connection,
    user_id: str,
    spec: SessionSpec,
    *,
    key: str | None = None,
    request_hash: str | None = None,
) -> tuple[Session, bool]:
    """Insert a session; return it and whether it is new. A key that was used before returns its session.

    Raises `KeyReusedError` if the key was used with another body.
    """
    values = {"id": new_id(), "user_id": user_id, "idempotency_key": key, "request_hash": request_hash}
    row = await (await _insert().run(connection, **values, **_columns(spec))).fetchone()
    if row is not None:
        return _session(row), True
    existing = await execute(connection, select(SESSIONS).where(_s.user_id == user_id, _s.idempotency_key == key))
    session = _session(_present(await existing.fetchone()))
    if session.request_hash != request_hash:
        raise KeyReusedError()
    return session, False


async def get(connection: Connection, session_id: UUID, user_id: str | None = None) -> Session:
    """Return one session; with `user_id` only if it is theirs. Raises `NotFoundError`."""
    values = {"id": session_id} | ({} if user_id is None else {"user_id": user_id})
    return _session(_present(await (await _get(*values).run(connection, **values)).fetchone()))


async def get_all(connection: Connection, wanted: Sequence[tuple[UUID, str]]) -> list[Session | NotFoundError]:
    """Return for each (session, user) the session, or the error if the user has no such session."""
    ids = list({session_id for session_id, _ in wanted})
    rows = await (await _get_all().run(connection, ids=ids)).fetchall()
    found = {(session.id, session.user_id): session for session in map(_session, rows)}
    return [found.get(key) or NotFoundError("There is no such session.") for key in wanted]


@cache
def _get_all() -> CompiledStatement:
    """Return the statement that reads sessions by their ids."""
    return CompiledStatement(_visible().where(_s.id == any_(bindparam("ids", type_=ARRAY(PG_UUID)))))


@cache
def _insert() -> CompiledStatement:
    """Return the statement that inserts a session; it returns no row for a key that was used before."""
    names = ("id", "user_id", "idempotency_key", "request_hash", *(field.name for field in SETTINGS))
    statement = upsert(SESSIONS).values({name: bindparam(name) for name in names})
    no_conflict = statement.on_conflict_do_nothing(index_elements=["user_id", "idempotency_key"])
    return CompiledStatement(no_conflict.returning(SESSIONS))


@cache
def _get(*columns: str) -> CompiledStatement:
    """Return the statement that reads the session with some values."""
    return CompiledStatement(_visible().where(*(_s[name] == bindparam(name) for name in columns)))


async def ids_with_digits(connection: Connection, user_id: str, digits: str) -> list[UUID]:
    """Return up to 3 ids of the user's sessions that start or end with some hexadecimal digits, newest first."""
    hex_id = func.replace(cast(_s.id, Text), "-", "")
    fits = or_(hex_id.startswith(digits), hex_id.endswith(digits))
    statement = select(_s.id).where(_s.user_id == user_id, _s.deleted_at.is_(None), fits)
    rows = await execute(connection, statement.order_by(_s.created_at.desc()).limit(3))
    return [row["id"] for row in await rows.fetchall()]


async def page(
    connection: Connection,
    user_id: str | None,
    *,
    kind: str | None = None,
    status: str | None = None,
    tag: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> tuple[list[Session], str | None]:
    """Return sessions, newest first, and the cursor of the next page (null on the last)."""
    statement = _visible().order_by(_s.created_at.desc(), _s.id.desc()).limit(limit + 1)
    for column, value in ((_s.user_id, user_id), (_s.kind, kind), (_s.status, status)):
        if value is not None:
            statement = statement.where(column == value)
    if tag is not None:
        statement = statement.where(literal(tag) == any_(_s.tags))
    if cursor is not None:
        statement = statement.where(tuple_(_s.created_at, _s.id) < tuple_(*_decode_cursor(cursor)))
    rows = [_session(row) for row in await (await execute(connection, statement)).fetchall()]
    return rows[:limit], _encode_cursor(rows[limit - 1]) if len(rows) > limit else None


async def describe(connection: Connection, session_id: UUID, user_id: str, changes: dict[str, Any]) -> Session:
    """Set `name` or `tags` of a session; raises `NotFoundError`."""
    values = {name: list(value) if name == "tags" else value for name, value in changes.items()}
    statement = (
        update(SESSIONS)
        .where(_s.id == session_id, _s.user_id == user_id, _s.deleted_at.is_(None))
        .values(**values, updated_at=func.now())
        .returning(SESSIONS)
    )
    return _session(_present(await (await execute(connection, statement)).fetchone()))


async def pace(connection: Connection, session_id: UUID, pace: Pace, by: str) -> Session:
    """Change the pace and log it; raises `NotFoundError`, or `WrongStatusError` when finished or stopped."""
    values = flatten(pace)
    named = SQL(", ").join(SQL("{} => %s").format(Identifier(name)) for name in values)
    cursor = await connection.execute(
        SQL("SELECT * FROM sim_pace(%s, {}, actor => %s)").format(named), (session_id, *values.values(), by)
    )
    return _session(_present(await cursor.fetchone()))


async def transition(
    connection: Connection,
    session_id: UUID,
    call: str,
    *,
    reason: str,
    by: str,
    runner: tuple[str, int] | None = None,
    epoch: int | None = None,
    error: str | None = None,
    error_details: Any = None,
) -> Session | None:
    """Make the transition named `call` (see `MOVES`) in one UPDATE, with its status event.

    Returns the session after it, or null if its status (or its epoch, if given) does not allow it.
    `runner` is (name, incarnation) of the process that claims the session with the transition.
    """
    from_status, to_status = MOVES[call]
    name, incarnation = runner or (None, None)
    cursor = await connection.execute(
        """
        SELECT * FROM sim_transition(
          %(session)s, from_status => %(from_status)s, to_status => %(to_status)s, reason => %(reason)s, by => %(by)s,
          runner => %(runner)s, incarnation => %(incarnation)s, expected_epoch => %(epoch)s, error => %(error)s,
          error_details => %(details)s)
        """,
        {
            "session": session_id,
            "from_status": list(from_status),
            "to_status": to_status,
            "reason": reason,
            "by": by,
            "runner": name,
            "incarnation": incarnation,
            "epoch": epoch,
            "error": error,
            "details": None if error_details is None else Jsonb(error_details),
        },
    )
    row = await cursor.fetchone()
    return None if row is None else _session(row)


async def tick_end(connection: Connection, session_id: UUID, seq: int) -> int | None:
    """Return the last seq of the tick that contains a seq, in a full log; null after its end."""
    row = await (await connection.execute("SELECT sim_tick_end(%s, %s) AS seq", (session_id, seq))).fetchone()
    return None if row is None else row["seq"]


async def fork(
    connection: Connection, child: Session, parent: Session, fork_seq: int, cursor_ms: int | None
) -> Session:
    """Copy a parent's log up to `fork_seq` into a created, empty session, and store its lineage."""
    to_command = await commands.count_until(connection, parent.id, fork_seq) if parent.commands else 0
    lineage = Jsonb([ancestor.as_json() for ancestor in _lineage(parent, fork_seq, cursor_ms, to_command)])
    await execute(connection, update(SESSIONS).where(_s.id == child.id).values(lineage=lineage))
    cursor = await connection.execute(
        "SELECT * FROM sim_fork(%s, parent => %s, fork_seq => %s, cursor_ms => %s, actor => %s)",
        (child.id, parent.id, fork_seq, cursor_ms, child.user_id),
    )
    return _session(_present(await cursor.fetchone()))


def _lineage(parent: Session, fork_seq: int, cursor_ms: int | None, to_command: int) -> list[Ancestor]:
    """Return the ancestors that wrote a parent's log up to `fork_seq`, the one that wrote this seq last."""
    spec = parent.spec
    who = spec.profile_slug, spec.config, spec.trading, parent.strategy_hash
    own = Ancestor(parent.id, fork_seq, cursor_ms, *who, to_command)
    earlier = [ancestor for ancestor in parent.lineage if ancestor.to_seq < fork_seq]
    later = parent.lineage[len(earlier) :]
    last = later[0]._replace(to_seq=fork_seq, to_cursor_ms=cursor_ms, to_command=to_command) if later else own
    return [*earlier, last]


async def remember_hashes(connection: Connection, session_id: UUID, **hashes: str) -> None:
    """Store hashes of a session's inputs: `strategy_hash`, `warmup_hash`, `candles_hash`."""
    if hashes:
        await _update(*hashes).run(connection, session_id=session_id, **hashes)


@cache
def _update(*columns: str) -> CompiledStatement:
    """Return the statement that sets some columns of a session."""
    values: dict[str, Any] = {name: bindparam(name) for name in columns}
    return CompiledStatement(update(SESSIONS).where(_s.id == bindparam("session_id")).values(values))


async def store_settings(connection: Connection, session: Session) -> None:
    """Store the settings of a session, which its strategy has completed."""
    await execute(connection, update(SESSIONS).where(_s.id == session.id).values(**_columns(session.spec)))


async def store_code(connection: Connection, session: Session) -> None:
    """Store the hashes of the code of a session's strategies, its own and those of its ancestors."""
    lineage = Jsonb([ancestor.as_json() for ancestor in session.lineage])
    values = {"strategy_hash": session.strategy_hash, "lineage": lineage}
    await execute(connection, update(SESSIONS).where(_s.id == session.id).values(**values))


async def keep_digest(connection: Connection, session_id: UUID) -> str | None:
    """Return the digest of an ended log, computed once; null if the log has not ended or another call computes it."""
    row = await (await connection.execute("SELECT sim_keep_digest(%s) AS digest", (session_id,))).fetchone()
    return None if row is None else row["digest"]


async def run_until(
    connection: Connection,
    session_id: UUID,
    *,
    steps: int | None,
    until_ms: int | None,
    until_type: str | None,
    by: str,
    runner: tuple[str, int] | None,
    jump: bool = False,
) -> Session | None:
    """Run a session for `steps` ticks, up to `until_ms`, or to an event of a type; then it pauses by itself.

    A `jump` ignores the pace up to `until_ms`. Returns the session after the transition, or null if its status does
    not allow it.
    """
    name, incarnation = runner or (None, None)
    cursor = await connection.execute(
        "SELECT * FROM sim_run_until(%s, steps => %s, until_ms => %s, until_type => %s, actor => %s,"
        " runner => %s, incarnation => %s, jump => %s)",
        (session_id, steps, until_ms, until_type, by, name, incarnation, jump),
    )
    row = await cursor.fetchone()
    return None if row is None else _session(row)


async def jump(connection: Connection, session_id: UUID, time_ms: int, by: str) -> Session:
    """Let a running session run without pauses up to a time (ms UTC); raises `WrongStatusError`."""
    cursor = await connection.execute(
        "SELECT * FROM sim_jump(%s, time_ms => %s, actor => %s)", (session_id, time_ms, by)
    )
    return _session(_present(await cursor.fetchone()))


async def lease(connection: Connection, session_id: UUID, runner: tuple[str, int]) -> Session | None:
    """Take the epoch of a created or paused session for a process (name, incarnation).

    Returns null if the session runs, has ended, or another living process has it; raises `NotFoundError`.
    """
    row = await (await connection.execute("SELECT * FROM sim_lease(%s, %s, %s)", (session_id, *runner))).fetchone()
    if row is None:
        await get(connection, session_id)
    return None if row is None else _session(row)


async def heads(connection: Connection, session_ids: list[UUID]) -> dict[UUID, tuple[int, bool]]:
    """Return per session its last seq and whether it has ended, without deleted sessions."""
    rows = await connection.execute("SELECT id, last_seq, status FROM sim_sessions WHERE id = ANY (%s)", (session_ids,))
    return {row["id"]: (row["last_seq"], row["status"] in ENDED) for row in await rows.fetchall()}


async def run_by(connection: Connection, name: str, incarnation: int) -> dict[UUID, tuple[int, Pace]]:
    """Return epoch and pace of every session that an incarnation of a process runs."""
    pace = [_s[field.name] for field in setting_fields(Pace)]
    statement = select(_s.id, _s.epoch, *pace).where(
        _s.status == RUNNING, _s.runner == name, _s.incarnation == incarnation
    )
    rows = await (await execute(connection, statement)).fetchall()
    return {row["id"]: (row["epoch"], build(Pace, row)) for row in rows}


async def count_running(connection: Connection, user_id: str) -> int:
    """Count the running sessions of a user."""
    return int(_present(await (await _count_running().run(connection, user_id=user_id)).fetchone())["count_1"])


@cache
def _count_running() -> CompiledStatement:
    """Return the statement that counts the running sessions of a user."""
    return CompiledStatement(select(func.count()).where(_s.user_id == bindparam("user_id"), _s.status == RUNNING))


async def using_candles(
    connection: Connection, venue: str, symbol: str, timeframes: Sequence[str], statuses: Sequence[str]
) -> list[tuple[UUID, str]]:
    """Return (id, status) of all users' sessions with a symbol, one of the timeframes and statuses, oldest first."""
    statement = (
        select(_s.id, _s.status)
        .where(_s.venue == venue, literal(symbol) == any_(_s.symbols), _s.timeframe.in_(timeframes))
        .where(_s.status.in_(statuses), _s.deleted_at.is_(None))
        .order_by(_s.created_at, _s.id)
    )
    return [(row["id"], row["status"]) for row in await (await execute(connection, statement)).fetchall()]


async def delete_part(
    connection: Connection, session_id: UUID, user_id: str, recording: Recording | None = None
) -> bool:
    """Delete the newest part of a session's log, and with the last part the session; return whether that is done.

    `recording` adds its entry in the same transaction. Raises `NotFoundError`, or `WrongStatusError` while it runs.
    """
    async with connection.transaction():
        row = await (
            await connection.execute("SELECT sim_delete_session(%s, %s) AS done", (session_id, user_id))
        ).fetchone()
        if recording is not None:
            await recording(connection, session_id, {})
    return bool(_present(row)["done"])


async def half_deleted(connection: Connection) -> list[tuple[UUID, str]]:
    """Return (id, user) of sessions whose deletion was started but not finished."""
    rows = await execute(connection, select(_s.id, _s.user_id).where(_s.deleted_at.is_not(None)))
    return [(row["id"], row["user_id"]) for row in await rows.fetchall()]


def _visible() -> Select[Any]:
    return select(SESSIONS).where(_s.deleted_at.is_(None))


def _present(row: DictRow | None) -> DictRow:
    if row is None:
        raise NotFoundError("There is no such session.")
    return row


def _columns(spec: SessionSpec) -> dict[str, Any]:
    return {name: _column(value) for name, value in flatten(spec).items()}


def _column(value: Any) -> Any:
    """Return the value of a setting for its column."""
    if isinstance(value, dict):
        return Jsonb(value)
    if isinstance(value, Sizing):
        return Jsonb(sizing_to_json(value), dumps=render)
    return list(value) if isinstance(value, tuple) else value


def _session(row: DictRow) -> Session:
    spec = build(SessionSpec, {field.name: setting_from_json(field, row[field.name]) for field in SETTINGS})
    same = (name for name in Session.__dataclass_fields__ if name not in _NOT_COLUMNS)
    lineage = tuple(parse_ancestor(ancestor) for ancestor in row["lineage"])
    return Session(spec=spec, lineage=lineage, **{name: row[name] for name in same})


def _encode_cursor(session: Session) -> str:
    return base64.urlsafe_b64encode(f"{session.created_at.isoformat()}|{session.id}".encode()).decode()


def _decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        created_at, _, session_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        return datetime.fromisoformat(created_at), UUID(session_id)
    except (ValueError, binascii.Error):
        raise BadInputError(
            "cursor: is not a cursor that a list returned; leave it out to get the first page"
        ) from None
