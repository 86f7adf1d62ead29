"""sim_append_ticks with commands: their number must match like the cursor, and answers come with their events."""

from __future__ import annotations

import json
import threading
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.sql.test_append_ticks import MINUTE, append, connection, new_session, state, tick
from tests.support.postgres import Database

__all__ = ["connection"]


def command(session: UUID, cursor: int | None, number: int, row: int | None = None, **more: Any) -> dict[str, Any]:
    at = None if cursor is None else cursor * MINUTE
    payload = {"action": "order", "command": number, "cursorMs": at, "args": {}, "by": "u"}
    chunk = {"session": str(session), "epoch": 1, "prev": at, "cursor": at, "commands": number, "ticks": 0}
    control = {} if row is None else {"command": row, "answer": {"orders": [number]}}
    return {**chunk, "events": [[0, "control", payload], [0, "order", {"orderId": number}]], **control, **more}


def waiting(connection: psycopg.Connection, session: UUID) -> int:
    row = connection.execute(
        "INSERT INTO sim_commands (session_id, user_id, action, args) VALUES (%s, 'u', 'order', '{}') RETURNING id",
        (session,),
    ).fetchone()
    assert row is not None
    return int(row[0])


def answer(connection: psycopg.Connection, row: int) -> tuple[int | None, Any] | None:
    return connection.execute("SELECT answered_seq, answer FROM sim_commands WHERE id = %s", (row,)).fetchone()


@pytest.mark.parametrize("status", ["created", "running", "paused"])
def test_a_command_is_written_and_answered_and_moves_no_cursor(connection: psycopg.Connection, status: str) -> None:
    session = new_session(connection, status=status)
    row = waiting(connection, session)
    sent = command(session, None, 1, row)
    assert append(connection, [sent]) == ["written"]
    assert answer(connection, row) == (1, {"orders": [1]})
    assert append(connection, [sent]) == ["done"]
    assert state(connection, session) == (2, None, [1, 2])


@pytest.mark.parametrize("status", ["stopped", "finished", "failed"])
def test_an_ended_session_takes_no_command(connection: psycopg.Connection, status: str) -> None:
    session = new_session(connection, status=status)
    assert append(connection, [command(session, None, 1)]) == ["refused"]


def test_slots_that_were_computed_before_a_command_are_refused_behind_it(connection: psycopg.Connection) -> None:
    session = new_session(connection)
    assert append(connection, [tick(session, None, 0)]) == ["written"]
    assert append(connection, [command(session, 0, 1)]) == ["written"]
    assert append(connection, [tick(session, 0, 1)]) == ["refused"]
    assert append(connection, [{**tick(session, 0, 1), "commands": 1}]) == ["written"]
    assert append(connection, [{**tick(session, 0, 1), "commands": 1}]) == ["done"]


def test_a_command_fits_one_place_only(connection: psycopg.Connection) -> None:
    session = new_session(connection)
    for wrong in (
        command(session, None, 2),
        command(session, None, 0),
        command(session, 3, 1),
        command(session, None, 1, epoch=2),
    ):
        assert append(connection, [wrong]) == ["refused"]
    assert append(connection, [command(session, None, 1), command(session, None, 2)]) == ["written", "busy"]


def test_a_command_that_was_taken_back_is_not_applied(connection: psycopg.Connection) -> None:
    session = new_session(connection)
    row = waiting(connection, session)
    connection.execute("UPDATE sim_commands SET answer = '{}' WHERE id = %s", (row,))
    assert append(connection, [command(session, None, 1, row)]) == ["refused"]
    assert state(connection, session) == (0, None, [])


def test_another_command_of_a_number_that_is_taken_is_refused(connection: psycopg.Connection) -> None:
    session = new_session(connection)
    first, second = waiting(connection, session), waiting(connection, session)
    assert append(connection, [command(session, None, 1, first)]) == ["written"]
    assert append(connection, [command(session, None, 1, second)]) == ["refused"]
    assert append(connection, [command(session, None, 2, second)]) == ["written"]
    assert append(connection, [command(session, None, 1, first)]) == ["done"]


def test_a_command_is_applied_or_taken_back_never_both(connection: psycopg.Connection, any_database: Database) -> None:
    session = new_session(connection)
    row = waiting(connection, session)
    results: list[str] = []

    def apply() -> None:
        with psycopg.connect(any_database.url, autocommit=True) as other:
            results.extend(append(other, [command(session, None, 1, row)]))

    with psycopg.connect(any_database.url) as taking:
        taking.execute("UPDATE sim_commands SET answer = '{}' WHERE id = %s AND answer IS NULL", (row,))
        thread = threading.Thread(target=apply)
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
    thread.join(10)
    assert results == ["refused"]


def test_a_command_that_ends_a_run_pauses_the_session_with_it(connection: psycopg.Connection) -> None:
    session = new_session(connection, steps_left=5)
    assert append(connection, [command(session, None, 1, pause="runUntil")]) == ["written"]
    row = connection.execute("SELECT status, commands FROM sim_sessions WHERE id = %s", (session,)).fetchone()
    assert row == ("paused", 1)


@pytest.mark.parametrize("action", ["order", "cancel", "close"])
def test_nobody_writes_a_command_by_hand(connection: psycopg.Connection, action: str) -> None:
    session = new_session(connection)
    with pytest.raises(psycopg.Error, match="sim_order") as refused:
        connection.execute(
            "SELECT sim_append_event(%s, NULL, 'control', %s)", (session, json.dumps({"action": action, "command": 1}))
        )
    assert refused.value.sqlstate == "ZN003"


def test_the_end_of_a_block_is_found_from_each_of_its_events(connection: psycopg.Connection) -> None:
    session = new_session(connection)
    append(connection, [tick(session, None, 0, events=2)])
    append(connection, [command(session, 0, 1)])
    append(connection, [command(session, 0, 2)])
    append(connection, [{**tick(session, 0, 1), "commands": 2}])
    rows = connection.execute("SELECT sim_tick_end(%s, n), sim_commands_until(%s, n) FROM generate_series(1, 7) n",
                              (session, session)).fetchall()  # fmt: skip
    assert rows == [(2, 0), (2, 0), (4, 1), (4, 1), (6, 2), (6, 2), (7, 2)]


def test_one_process_at_a_time_has_the_lease(connection: psycopg.Connection) -> None:
    session = new_session(connection, status="paused")

    def lease(name: str) -> list[Any]:
        return connection.execute("SELECT runner, epoch FROM sim_lease(%s, %s, 1)", (session, name)).fetchall()

    assert lease("one") == [("one", 2)]  # It is not alive, so another may take it.
    connection.execute("INSERT INTO sim_runners (name, ttl) VALUES ('two', '1 min'), ('one', '1 min')")
    assert lease("two") == []
    assert lease("one") == [("one", 3)]
    connection.execute("UPDATE sim_sessions SET status = 'running' WHERE id = %s", (session,))
    assert lease("one") == []


def test_an_order_from_psql_needs_a_session_that_takes_orders_and_a_living_server(
    connection: psycopg.Connection,
) -> None:
    session = new_session(connection)
    statement = 'SELECT sim_order(%s, \'{"clientOrderId": "mine"}\')'

    def refused(id_: Any) -> str | None:
        with pytest.raises(psycopg.Error) as error:
            connection.execute(statement, (id_,))
        return error.value.sqlstate

    assert refused(session) == "ZN004"
    assert refused(UUID(int=1)) == "ZN001"
    assert refused(new_session(connection, status="finished")) == "ZN002"
    connection.execute("INSERT INTO sim_runners (name, ttl) VALUES ('one', '1 min')")
    assert connection.execute(statement, (session,)).fetchone() is not None
    assert refused(session) == "ZN002"
    shown = connection.execute("SELECT status, client_order_id FROM sim_view_orders").fetchall()
    assert shown == [("waiting", "mine")]
