"""Commands in Postgres: on their way to the process that applies them, refused, and in the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from app.db.pool import Connection
from app.domain.event import render
from app.errors import ClientOrderIdUsedError, KeyReusedError, SimError


class NewCommand(NamedTuple):
    """A command to be added. With `notify` other processes get a NOTIFY, because the session is not in this one."""

    session_id: UUID
    user_id: str
    action: str
    args: Mapping[str, Any]
    client_order_id: str | None = None
    key: str | None = None
    notify: bool = True


class StoredCommand(NamedTuple):
    """A command in its table. `answer` is null while it waits, `answered_seq` also if it was refused."""

    id: int
    session_id: UUID
    user_id: str
    action: str
    args: dict[str, Any]
    answered_seq: int | None = None
    answer: dict[str, Any] | None = None


class WaitingSession(NamedTuple):
    """A session with unanswered commands: its status (null: deleted), the living process that has it, and the wait."""

    session_id: UUID
    status: str | None
    runner: str | None
    waited_ms: int


class LoggedCommand(NamedTuple):
    """A command in a log: its seq, its number in the session, and the cursor at which it was applied."""

    seq: int
    number: int
    cursor_ms: int | None
    action: str
    args: dict[str, Any]


_COLUMNS = "id, session_id, user_id, action, args, answered_seq, answer"


async def add(connection: Connection, new: Sequence[NewCommand]) -> list[StoredCommand | SimError]:
    """Add commands in one transaction; return the row of each, in order.

    For a key that was used before it is the row of then, or `KeyReusedError` if that was another command. A
    clientOrderId that was used before is a `ClientOrderIdUsedError`.
    """
    columns = list(zip(*new, strict=True))
    cursor = await connection.execute(
        f"""
        WITH sent AS (
          SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::jsonb[], %s::text[], %s::text[], %s::boolean[])
            WITH ORDINALITY AS s (session_id, user_id, action, args, client_order_id, idempotency_key, notify, place)
        ), notified AS (
          SELECT sim_notify('sim_control', s.session_id || ':command') FROM sent s WHERE s.notify
        )
        INSERT INTO sim_commands (session_id, user_id, action, args, client_order_id, idempotency_key)
        SELECT s.session_id, s.user_id, s.action, s.args, s.client_order_id, s.idempotency_key
        FROM sent s
        WHERE (SELECT count(*) FROM notified) >= 0
        ORDER BY s.place
        ON CONFLICT DO NOTHING
        RETURNING {_COLUMNS}, client_order_id, idempotency_key
        """,
        (*map(list, columns[:3]), [Jsonb(args, dumps=render) for args in columns[3]], *map(list, columns[4:])),
    )
    added = iter(await cursor.fetchall())
    rows: list[StoredCommand | SimError] = []
    following = next(added, None)
    for command in new:
        wanted = command.session_id, command.client_order_id, command.key
        if following is not None and tuple(following[n] for n in ("session_id", *_UNIQUE)) == wanted:
            rows.append(_stored(following))
            following = next(added, None)
        else:
            rows.append(await _known(connection, command))
    return rows


_UNIQUE = ("client_order_id", "idempotency_key")


def _stored(row: Mapping[str, Any]) -> StoredCommand:
    return StoredCommand(*(row[name] for name in StoredCommand._fields))


async def _known(connection: Connection, command: NewCommand) -> StoredCommand | SimError:
    """Return the earlier command with the same key; the error if it is another one, or has only the same order id."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS}, args IS NOT DISTINCT FROM %s AS same FROM sim_commands"
        " WHERE session_id = %s AND idempotency_key = %s",
        (Jsonb(command.args, dumps=render), command.session_id, command.key),
    )
    row = await cursor.fetchone()
    if row is None:
        return ClientOrderIdUsedError(f"clientOrderId: an order of this session has {command.client_order_id} already.")
    return _stored(row) if row["same"] and row["action"] == command.action else KeyReusedError()


async def waiting(connection: Connection, session_id: UUID, limit: int = 1000) -> list[StoredCommand]:
    """Return the unanswered commands of a session, oldest first."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM sim_commands WHERE session_id = %s AND answer IS NULL ORDER BY id LIMIT %s",
        (session_id, limit),
    )
    return [_stored(row) for row in await cursor.fetchall()]


async def get(connection: Connection, ids: Sequence[int]) -> dict[int, StoredCommand]:
    """Return commands by their ids."""
    cursor = await connection.execute(f"SELECT {_COLUMNS} FROM sim_commands WHERE id = ANY (%s)", (list(ids),))
    return {row["id"]: _stored(row) for row in await cursor.fetchall()}


async def refuse(connection: Connection, command_id: int, error: SimError) -> bool:
    """Answer a waiting command with an error, and free its key and clientOrderId; false if it was answered already."""
    cursor = await connection.execute(
        "UPDATE sim_commands SET answer = %s, client_order_id = NULL, idempotency_key = NULL"
        " WHERE id = %s AND answer IS NULL",
        (Jsonb(refusal(error)), command_id),
    )
    return cursor.rowcount == 1


def refusal(error: SimError) -> dict[str, Any]:
    """Return the answer of a refused command."""
    return {"error": error.message, "status": error.status, "code": error.code}


async def waiting_sessions(connection: Connection) -> list[WaitingSession]:
    """Return the sessions with unanswered commands; usually there are none."""
    cursor = await connection.execute("SELECT session, status, runner, waited_ms FROM sim_waiting_commands()")
    return [WaitingSession(*row.values()) for row in await cursor.fetchall()]


async def count_until(connection: Connection, session_id: UUID, seq: int) -> int:
    """Count the commands in a log up to a seq."""
    row = await (await connection.execute("SELECT sim_commands_until(%s, %s) AS count", (session_id, seq))).fetchone()
    return 0 if row is None else row["count"]


async def logged(
    connection: Connection, session_id: UUID, after_seq: int, to_seq: int, limit: int
) -> list[LoggedCommand]:
    """Return the commands of a log in `(after_seq, to_seq]`, in order."""
    cursor = await connection.execute(
        "SELECT * FROM sim_logged_commands(%s, after_seq => %s, to_seq => %s, max_rows => %s)",
        (session_id, after_seq, to_seq, limit),
    )
    return [LoggedCommand(*row.values()) for row in await cursor.fetchall()]


async def order_id_of(connection: Connection, session_id: UUID, client_order_id: str) -> int | None:
    """Return the id of the order that a command with this clientOrderId placed; null if there is none."""
    cursor = await connection.execute(
        "SELECT (answer #>> '{orders,0,orderId}')::bigint AS id FROM sim_commands"
        " WHERE session_id = %s AND client_order_id = %s AND answered_seq IS NOT NULL",
        (session_id, client_order_id),
    )
    row = await cursor.fetchone()
    return None if row is None else row["id"]


class CommandDifference(NamedTuple):
    """The first command that differs between two logs: seqs and payloads are null where a log does not have it."""

    command: int
    seq_a: int | None
    seq_b: int | None
    payload_a: dict[str, Any] | None
    payload_b: dict[str, Any] | None


async def difference(connection: Connection, a: UUID, b: UUID) -> CommandDifference | None:
    """Return the first command that differs between two logs; null if they have the same commands."""
    row = await (await connection.execute("SELECT * FROM sim_diff_command(%s, %s)", (a, b))).fetchone()
    return None if row is None else CommandDifference(**row)


class OrderRow(NamedTuple):
    """An order as its log has it: its last event, what is filled and its cost, and the command that placed it."""

    order_id: int
    seq: int
    ts: int
    placed_ts: int
    symbol: str
    side: str
    type: str
    qty: Decimal | None
    sizing: dict[str, Any] | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    status: str
    reason: str
    tag: str | None
    filled: Decimal
    cost: Decimal
    command_id: int | None
    command_seq: int | None
    client_order_id: str | None


async def orders(
    connection: Connection, session_id: UUID, *, only_open: bool = False, after_id: int = 0, limit: int | None = None
) -> list[OrderRow]:
    """Return the orders of a session with ids after one, oldest first."""
    cursor = await connection.execute(
        "SELECT * FROM sim_orders(%s, only_open => %s, after_id => %s, max_rows => %s)",
        (session_id, only_open, after_id, limit),
    )
    return [OrderRow(**row) for row in await cursor.fetchall()]
