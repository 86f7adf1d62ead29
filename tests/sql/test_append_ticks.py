"""sim_append_ticks: no holes, only from the present runner, each chunk whole or not at all, none delays another."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.postgres import Database

MINUTE = 60_000


@pytest.fixture
def connection(any_database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(any_database.url, autocommit=True) as connection:
        yield connection


def new_session(connection: psycopg.Connection, **columns: Any) -> UUID:
    values = {
        "user_id": "u", "profile_slug": "none", "venue": "demo", "symbols": ["A"], "timeframe": "1m", "start_ms": 0,
        "lag_ms": 0, "replay_ms_per_candle": 0, "gap_policy": "skip", "gap_grace_ms": 0,
        "status": "running", "epoch": 1,
    } | columns  # fmt: skip
    names = ", ".join(values)
    places = ", ".join(["%s"] * len(values))
    row = connection.execute(
        f"INSERT INTO sim_sessions ({names}) VALUES ({places}) RETURNING id", list(values.values())
    ).fetchone()
    assert row is not None
    return row[0]


def tick(session: UUID, prev: int | None, cursor: int, events: int = 1, epoch: int = 1, payload: Any = None) -> dict:
    return {
        "session": str(session),
        "epoch": epoch,
        "prev": None if prev is None else prev * MINUTE,
        "cursor": cursor * MINUTE,
        "events": [[cursor * MINUTE, "candle", payload or {"n": n}] for n in range(events)],
    }


def chain(session: UUID, first: int, count: int, events: int = 1) -> list[dict]:
    return [tick(session, n - 1 if n else None, n, events) for n in range(first, first + count)]


def append(connection: psycopg.Connection, ticks: list[dict]) -> list[str]:
    rows = connection.execute("SELECT * FROM sim_append_ticks(%s::jsonb)", (json.dumps(ticks),)).fetchall()
    assert [row[0] for row in rows] == list(range(1, len(ticks) + 1))
    assert [str(row[1]) for row in rows] == [tick["session"] for tick in ticks]
    return [row[2] for row in rows]


def append_each(connection: psycopg.Connection, ticks: list[dict]) -> None:
    """Append ticks that follow each other, each in a call of its own."""
    for tick in ticks:
        assert append(connection, [tick]) == ["written"]


def state(connection: psycopg.Connection, session: UUID) -> tuple[int, int | None, list[int]]:
    """last_seq, cursor in minutes, and every seq in the log."""
    row = connection.execute("SELECT last_seq, cursor_ms FROM sim_sessions WHERE id = %s", (session,)).fetchone()
    assert row is not None
    seqs = connection.execute("SELECT seq FROM sim_events WHERE session_id = %s ORDER BY seq", (session,)).fetchall()
    return row[0], None if row[1] is None else row[1] // MINUTE, [seq for (seq,) in seqs]


@pytest.mark.parametrize("events", [1, 2, 500])
def test_chunks_of_any_length_of_many_sessions_go_into_one_call(connection: psycopg.Connection, events: int) -> None:
    sessions = [new_session(connection) for _ in range(5)]
    chunks = [tick(session, None, 7, n) for session, n in zip(sessions, (3, 0, events, 1, 1), strict=True)]
    assert append(connection, chunks) == ["written"] * 5
    for session, last in zip(sessions, (3, 0, events, 1, 1), strict=True):
        assert state(connection, session) == (last, 7, list(range(1, last + 1)))


def test_the_events_of_a_chunk_keep_their_order(connection: psycopg.Connection) -> None:
    session = new_session(connection)
    sent = tick(session, None, 19)
    sent["events"] = [[minute * MINUTE, "candle", {}] for minute in range(20) for _ in range(3)]
    assert append(connection, [sent]) == ["written"]
    stored = connection.execute(
        "SELECT array_agg(ts / 60000 ORDER BY seq) FROM sim_events WHERE session_id = %s", (session,)
    ).fetchone()
    assert stored == ([minute for minute in range(20) for _ in range(3)],)


def test_a_second_chunk_of_a_session_in_one_call_is_busy(connection: psycopg.Connection) -> None:
    a, b = new_session(connection), new_session(connection)
    first, second, third = chain(a, 0, 3)
    assert append(connection, [first, tick(b, None, 0), second, third]) == ["written", "written", "busy", "busy"]
    assert state(connection, a) == (1, 0, [1])
    assert append(connection, [second]) == ["written"]
    assert append(connection, [first, third]) == ["done", "busy"]
    assert append(connection, [third]) == ["written"]
    assert state(connection, a) == (3, 2, [1, 2, 3])


def test_a_repeated_call_answers_done_and_writes_nothing(connection: psycopg.Connection) -> None:
    a, b = new_session(connection), new_session(connection)
    chunks = [tick(a, None, 3, events=2), tick(b, None, 0)]
    assert append(connection, chunks) == ["written", "written"]
    before = state(connection, a), state(connection, b)
    assert append(connection, chunks) == ["done", "done"]
    assert (state(connection, a), state(connection, b)) == before
    assert append(connection, [chunks[0], tick(b, 0, 1)]) == ["done", "written"]


def test_a_chunk_that_does_not_follow_the_cursor_is_refused(connection: psycopg.Connection) -> None:
    session = new_session(connection)
    assert append(connection, [tick(session, 3, 4)]) == ["refused"]
    assert append(connection, [tick(session, None, 0)]) == ["written"]
    assert append(connection, [tick(session, 1, 2)]) == ["refused"]
    assert append(connection, [tick(session, None, 2)]) == ["refused"]
    nowhere = tick(session, 0, 1)
    assert append(connection, [{**nowhere, "cursor": None}]) == ["refused"]
    assert state(connection, session) == (1, 0, [1])


@pytest.mark.parametrize("status", ["created", "paused", "stopped", "finished", "failed"])
def test_a_session_that_does_not_run_takes_no_chunk(connection: psycopg.Connection, status: str) -> None:
    session = new_session(connection, status=status)
    assert append(connection, [tick(session, None, 0)]) == ["refused"]
    assert state(connection, session) == (0, None, [])


def test_a_runner_of_another_epoch_is_refused_even_for_what_is_done(connection: psycopg.Connection) -> None:
    session = new_session(connection, epoch=2)
    assert append(connection, [tick(session, None, 0, epoch=1)]) == ["refused"]
    assert append(connection, [tick(session, None, 0, epoch=2)]) == ["written"]
    assert append(connection, [tick(session, None, 0, epoch=1)]) == ["refused"]
    assert append(connection, [tick(uuid4(), None, 0)]) == ["refused"]


def test_a_chunk_counts_as_as_many_steps_as_it_has_ticks(connection: psycopg.Connection) -> None:
    session = new_session(connection, steps_left=9)
    assert append(connection, [{**tick(session, None, 3, 4), "ticks": 4}]) == ["written"]
    assert append(connection, chain(session, 4, 1)) == ["written"]
    left = "SELECT steps_left, cursor_ms / 60000, last_seq FROM sim_sessions WHERE id = %s"
    assert connection.execute(left, (session,)).fetchone() == (4, 4, 5)


def test_a_late_chunk_of_a_replaced_runner_keeps_none_of_the_next_one_out(connection: psycopg.Connection) -> None:
    session = new_session(connection, epoch=3, cursor_ms=4 * MINUTE)
    late, present = tick(session, 4, 5, epoch=1), tick(session, 4, 5, 2, epoch=3)
    assert append(connection, [late, present]) == ["refused", "busy"]
    assert append(connection, [present]) == ["written"]
    assert append(connection, [late]) == ["refused"]
    assert state(connection, session) == (2, 5, [1, 2])


def test_a_chunk_with_a_pause_pauses_its_session_in_the_same_transaction(connection: psycopg.Connection) -> None:
    paused, other = new_session(connection), new_session(connection)
    sent = [{**tick(paused, None, 0), "pause": "step"}, tick(other, None, 0)]
    assert append(connection, sent) == ["written", "written"]
    assert append(connection, [tick(paused, 0, 1), tick(other, 0, 1)]) == ["refused", "written"]
    log = "SELECT seq, payload ->> 'status', payload ->> 'reason' FROM sim_events WHERE session_id = %s ORDER BY seq"
    assert connection.execute(log, (paused,)).fetchall() == [(1, None, None), (2, "paused", "step")]


def test_a_locked_row_delays_its_own_session_only(connection: psycopg.Connection, any_database: Database) -> None:
    locked, free = new_session(connection), new_session(connection)
    with psycopg.connect(any_database.url) as other:
        other.execute("SELECT 1 FROM sim_sessions WHERE id = %s FOR UPDATE", (locked,))
        assert append(connection, [tick(locked, None, 0), tick(free, None, 0)]) == ["busy", "written"]
        other.rollback()
    assert append(connection, [tick(locked, None, 0)]) == ["written"]


def test_what_postgres_refuses_writes_nothing_of_the_call(connection: psycopg.Connection) -> None:
    bad, good = new_session(connection), new_session(connection)
    text = json.dumps([tick(good, None, 0), tick(bad, None, 0, payload={"text": "NUL"})]).replace("NUL", "\\u0000")
    with pytest.raises(psycopg.DataError):
        connection.execute("SELECT * FROM sim_append_ticks(%s::jsonb)", (text,))
    assert state(connection, good) == (0, None, [])
    assert append(connection, chain(good, 0, 1)) == ["written"]


def test_ts_never_decreases_even_after_a_note_ahead_of_the_next_event(connection: psycopg.Connection) -> None:
    session = new_session(connection)
    append_each(connection, chain(session, 0, 1))
    connection.execute("SELECT sim_append_event(%s, %s, 'note', '{}')", (session, MINUTE))
    trailing = tick(session, 0, 5)
    trailing["events"] = [[0, "gap", {}]]
    assert append(connection, [trailing]) == ["written"]
    times = connection.execute("SELECT ts FROM sim_events WHERE session_id = %s ORDER BY seq", (session,)).fetchall()
    assert times == [(0,), (MINUTE,), (MINUTE,)]


def test_one_notification_names_every_session_or_all_of_them(
    connection: psycopg.Connection, any_database: Database
) -> None:
    with psycopg.connect(any_database.url, autocommit=True) as listener:
        listener.execute("LISTEN sim_events")
        few = [new_session(connection) for _ in range(3)]
        append(connection, [tick(session, None, 0, events=2) for session in few])
        received = [note.payload for note in listener.notifies(timeout=5, stop_after=1)]
        assert sorted(received[0].splitlines()) == sorted(f"{session}:2" for session in few)
        append(connection, [tick(new_session(connection), None, 0) for _ in range(250)])
        assert [note.payload for note in listener.notifies(timeout=5, stop_after=1)] == ["*"]
        append(connection, [tick(few[0], 9, 10)])
        assert not list(listener.notifies(timeout=0.2))


def test_seqs_have_no_hole_under_eight_writers_and_aborted_transactions(
    connection: psycopg.Connection, any_database: Database
) -> None:
    """Writers share sessions through events by hand, each also appends ticks of its own, every third is rolled back."""
    shared = [new_session(connection) for _ in range(3)]
    own = [new_session(connection) for _ in range(8)]
    faults: list[BaseException] = []

    def write(number: int) -> None:
        try:
            with psycopg.connect(any_database.url) as mine:
                minute = 0
                for turn in range(60):
                    mine.execute("SELECT sim_append_event(%s, NULL, 'note', '{}')", (shared[turn % 3],))
                    outcome = append(mine, [tick(own[number], minute - 1 if minute else None, minute, events=2)])
                    assert outcome == ["written"]
                    if turn % 3 == 2:
                        mine.rollback()
                    else:
                        mine.commit()
                        minute += 1
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen = connection.execute("SELECT count(*), max(seq) FROM sim_events GROUP BY session_id").fetchall()
        assert all(count == last for count, last in seen)
        time.sleep(0.005)  # Or looking would take most of the server's time from those who write.
    for thread in threads:
        thread.join()
    assert not faults
    for session in own:
        assert state(connection, session) == (80, 39, list(range(1, 81)))
    totals = [state(connection, session)[0] for session in shared]
    assert sum(totals) == 8 * 40


@pytest.mark.parametrize("ticks", ["absent", None, "3", 3])
def test_a_refused_chunk_is_not_parsed(connection: psycopg.Connection, ticks: Any) -> None:
    session = new_session(connection)
    late, fine = tick(uuid4(), None, 0), tick(session, None, 0)
    late["events"] = [["no time", "candle", {}]]
    if ticks != "absent":
        fine["ticks"] = ticks
    assert append(connection, [late, fine]) == ["refused", "written"]
    assert state(connection, session) == (1, 0, [1])
