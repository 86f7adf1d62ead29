"""Moves, notes, deletion, digest, frames and the sweep, as psql sees them."""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.sql.test_append_ticks import MINUTE, append, append_each, chain, connection, new_session, state, tick

__all__ = ["connection"]

MOVES = {
    "sim_pause": ({"running"}, "paused"),
    "sim_stop": ({"created", "running", "paused", "failed"}, "stopped"),
    "sim_resume": ({"paused"}, "running"),
}


def alive(connection: psycopg.Connection, name: str = "r", seen: str = "now()", ttl: str = "1 hour") -> None:
    connection.execute(f"INSERT INTO sim_runners (name, ttl, seen_at) VALUES (%s, %s, {seen})", (name, ttl))


def row(connection: psycopg.Connection, session: UUID, columns: str) -> tuple:
    result = connection.execute(f"SELECT {columns} FROM sim_sessions WHERE id = %s", (session,)).fetchone()
    assert result is not None
    return result


@pytest.mark.parametrize("function", MOVES)
@pytest.mark.parametrize("status", ["created", "running", "paused", "stopped", "finished", "failed"])
def test_a_move_by_hand_follows_the_status_machine(connection: psycopg.Connection, function: str, status: str) -> None:
    alive(connection)
    session = new_session(connection, status=status)
    sources, target = MOVES[function]
    if status in sources:
        assert connection.execute(f"SELECT {function}(%s)", (session,)).fetchone() == (target,)
        assert row(connection, session, "status, epoch, last_seq, last_ts") == (target, 2, 1, 0)
        event = connection.execute(
            "SELECT type, payload ->> 'status' FROM sim_events WHERE session_id = %s", (session,)
        )
        assert event.fetchall() == [("status", target)]
    elif status == target:
        assert connection.execute(f"SELECT {function}(%s)", (session,)).fetchone() == (target,)
        assert row(connection, session, "epoch, last_seq") == (1, 0)
    else:
        with pytest.raises(psycopg.Error) as raised:
            connection.execute(f"SELECT {function}(%s)", (session,))
        assert raised.value.sqlstate == "ZN002"
        assert row(connection, session, "status, last_seq") == (status, 0)


def test_a_digest_is_stored_from_the_end_of_a_log_until_the_session_runs_again(connection: psycopg.Connection) -> None:
    alive(connection)
    session = new_session(connection, status="running")
    append_each(connection, chain(session, 0, 3))
    keep = "SELECT sim_keep_digest(%s)"
    assert connection.execute(keep, (session,)).fetchone() == (None,)
    connection.execute("SELECT sim_transition(%s, '{running}', 'failed', 'r', 'b', error => 'e')", (session,))
    digest = connection.execute("SELECT sim_log_digest(%s)", (session,)).fetchone()
    assert connection.execute(keep, (session,)).fetchone() == digest == row(connection, session, "digest")
    connection.execute("SELECT sim_transition(%s, '{failed}', 'running', 'r', 'b')", (session,))
    assert row(connection, session, "digest, error") == (None, None)
    assert connection.execute(keep, (uuid4(),)).fetchone() == (None,)


@pytest.mark.parametrize(
    ("start", "end", "cursor", "percent"),
    [
        (1, 5 * MINUTE // 2, None, 0),
        (1, 5 * MINUTE // 2, MINUTE, 50),
        (1, 5 * MINUTE // 2, 2 * MINUTE, 100),
        (1, 2, None, 100),
        (0, 3 * MINUTE, 0, Decimal("33.3")),
        (0, None, MINUTE, None),
    ],
)
def test_percent_counts_slots(
    connection: psycopg.Connection, start: int, end: int | None, cursor: int | None, percent: Decimal | int | None
) -> None:
    session = new_session(connection, start_ms=start, end_ms=end, cursor_ms=cursor)
    result = connection.execute("SELECT percent FROM sim_view_sessions WHERE id = %s", (session,)).fetchone()
    assert result == (percent,)


def test_moves_of_no_session_say_so(connection: psycopg.Connection) -> None:
    alive(connection)
    for function in MOVES:
        with pytest.raises(psycopg.Error) as raised:
            connection.execute(f"SELECT {function}(%s)", (uuid4(),))
        assert raised.value.sqlstate == "ZN001"


def test_resume_by_hand_needs_a_living_process(connection: psycopg.Connection) -> None:
    session = new_session(connection, status="paused")
    alive(connection, seen="now() - interval '1 day'")
    with pytest.raises(psycopg.Error) as raised:
        connection.execute("SELECT sim_resume(%s)", (session,))
    assert raised.value.sqlstate == "ZN004"
    assert row(connection, session, "status") == ("paused",)


def test_resume_by_hand_of_a_created_session_says_how_to_start_it(connection: psycopg.Connection) -> None:
    alive(connection)
    session = new_session(connection, status="created")
    with pytest.raises(psycopg.Error) as raised:
        connection.execute("SELECT sim_resume(%s)", (session,))
    assert raised.value.sqlstate == "ZN002"
    assert "zeon sessions start" in (raised.value.diag.message_hint or "")


@pytest.mark.parametrize(
    ("arguments", "sqlstate"),
    [
        ((-1, "note", "{}"), "ZN003"),
        ((3 * MINUTE, "note", "{}"), "ZN003"),
        ((None, "candle", "{}"), "ZN003"),
        ((None, None, "{}"), "ZN003"),
        ((None, "note", "[]"), "ZN003"),
        ((None, "note", None), "ZN003"),
        ((None, "note", '{"a":"' + "x" * 70_000 + '"}'), "ZN003"),
    ],
)
def test_a_note_the_log_does_not_take_is_refused(
    connection: psycopg.Connection, arguments: tuple, sqlstate: str
) -> None:
    session = new_session(connection)
    append_each(connection, chain(session, 0, 2))
    with pytest.raises(psycopg.Error) as raised:
        connection.execute("SELECT sim_append_event(%s, %s, %s, %s)", (session, *arguments))
    assert raised.value.sqlstate == sqlstate
    assert state(connection, session)[0] == 2


def test_a_note_may_lie_anywhere_in_the_cursors_slot(connection: psycopg.Connection) -> None:
    session = new_session(connection, status="paused")
    for ts in (None, 0):
        connection.execute("SELECT sim_append_event(%s, %s, 'note', '{}')", (session, ts))
    connection.execute("UPDATE sim_sessions SET status = 'running' WHERE id = %s", (session,))
    append_each(connection, chain(session, 0, 2))
    for ts in (None, MINUTE, MINUTE + 1, 2 * MINUTE):
        connection.execute("SELECT sim_append_event(%s, %s, 'note', '{}')", (session, ts))
    assert state(connection, session)[0] == 8


def test_deletion_leaves_a_whole_log_after_every_chunk_and_nothing_at_the_end(connection: psycopg.Connection) -> None:
    session = new_session(connection, status="paused", last_seq=120_000)
    connection.execute(
        "INSERT INTO sim_events SELECT %s, n, 0, 'note', '{}' FROM generate_series(1, 120000) n", (session,)
    )
    left = []
    while not connection.execute("SELECT sim_delete_session(%s, 'u')", (session,)).fetchone()[0]:  # type: ignore[index]
        left.append(row(connection, session, "last_seq, deleted_at IS NOT NULL"))
        count = connection.execute("SELECT count(*), max(seq) FROM sim_events WHERE session_id = %s", (session,))
        assert count.fetchone() == (left[-1][0], left[-1][0])
    assert left == [(70_000, True), (20_000, True)]
    assert connection.execute("SELECT count(*) FROM sim_events").fetchone() == (0,)


@pytest.mark.parametrize(("status", "user", "sqlstate"), [("running", "u", "ZN002"), ("paused", "other", "ZN001")])
def test_a_running_or_foreign_session_is_not_deleted(
    connection: psycopg.Connection, status: str, user: str, sqlstate: str
) -> None:
    session = new_session(connection, status=status)
    with pytest.raises(psycopg.Error) as raised:
        connection.execute("SELECT sim_delete_session(%s, %s)", (session, user))
    assert raised.value.sqlstate == sqlstate


@pytest.mark.parametrize("statement", ["UPDATE sim_events SET ts = 1", "DELETE FROM sim_events", "TRUNCATE sim_events"])
def test_the_serving_role_can_only_add_events(connection: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_the_digest_is_the_published_formula_without_who_steered(connection: psycopg.Connection) -> None:
    session = new_session(connection)
    append_each(connection, chain(session, 0, 3, events=2))
    connection.execute("SELECT sim_append_event(%s, NULL, 'note', '{\"a\": 1}')", (session,))
    connection.execute("SELECT sim_pause(%s)", (session,))
    rows = connection.execute(
        "SELECT ts, type, payload::text FROM sim_events WHERE session_id = %s AND type = 'candle' ORDER BY seq",
        (session,),
    ).fetchall()
    parts = b"".join(sha256(f"{ts} {kind} {payload}".encode()).digest() for ts, kind, payload in rows)
    assert connection.execute("SELECT sim_log_digest(%s)", (session,)).fetchone() == (sha256(parts).hexdigest(),)
    assert connection.execute("SELECT sim_log_digest(%s)", (uuid4(),)).fetchone() == (sha256(b"").hexdigest(),)


def frames(connection: psycopg.Connection, *arguments: object, dialect: str = "sim") -> tuple:
    result = connection.execute("SELECT * FROM sim_frames(%s, %s, %s, %s, %s, %s)", (*arguments, dialect)).fetchone()
    assert result is not None
    created = "SELECT created_at FROM sim_events WHERE session_id = %s AND seq = %s"
    last_event = connection.execute(created, (arguments[0], result[0])).fetchone()
    assert result[5:] == (last_event or (None,)), "written_at is the created_at of the last event read"
    return result[:5]


def test_frames_are_the_events_of_a_page_as_a_stream_spells_them(connection: psycopg.Connection) -> None:
    session = new_session(connection)
    append_each(connection, chain(session, 0, 5))
    assert frames(connection, session, 3, 10, 1000, None) == (
        5, 2,
        'id: 4\ndata: {"seq":4,"ts":180000,"type":"candle","payload":{"n": 0}}\n\n'
        'id: 5\ndata: {"seq":5,"ts":240000,"type":"candle","payload":{"n": 0}}\n\n',
        "running", 5,
    )  # fmt: skip
    assert frames(connection, session, 5, 10, 1000, None) == (None, 0, None, "running", 5)
    assert frames(connection, uuid4(), 0, 10, 1000, None) == (None, 0, None, None, None)


def test_a_page_of_frames_ends_at_its_rows_or_bytes_but_never_stands_still(connection: psycopg.Connection) -> None:
    session = new_session(connection)
    append_each(connection, [tick(session, n - 1 if n else None, n, payload={"text": "x" * 1000}) for n in range(5)])
    assert frames(connection, session, 0, 2, 100_000, None)[:2] == (2, 2)
    assert frames(connection, session, 0, 100, 2500, None)[:2] == (2, 2)
    assert frames(connection, session, 0, 100, 10, None)[:2] == (1, 1)


def test_frames_of_some_types_move_past_the_others(connection: psycopg.Connection) -> None:
    session = new_session(connection)
    append_each(connection, chain(session, 0, 5))
    connection.execute("SELECT sim_append_event(%s, NULL, 'note', '{}')", (session,))
    assert frames(connection, session, 0, 3, 10_000, ["note"])[:3] == (5, 0, None)
    assert frames(connection, session, 5, 10, 10_000, ["note"])[:2] == (6, 1)
    assert frames(connection, session, 0, 3, 10_000, ["gap"])[:3] == (6, 0, None)


def test_a_dialect_has_its_own_frames_whether_they_fit_or_not(connection: psycopg.Connection) -> None:
    session = new_session(connection)
    payload = {"candle": {}, "symbol": "BTCUSDT", "timeframe": "1m"}
    append_each(connection, [tick(session, n - 1 if n else None, n, payload=payload) for n in range(5)])
    connection.execute("SELECT sim_append_event(%s, NULL, 'note', '{}')", (session,))
    assert frames(connection, session, 0, 10, 10_000, None, dialect="market")[:2] == (6, 5)
    last_seq, events, body, *_ = frames(connection, session, 0, 10, 200, None, dialect="market")
    assert (last_seq, events) == (1, 1)
    assert body.startswith(f'id: 1\ndata: {{"type":"candle","sessionId":"{session}",')
    assert frames(connection, session, 0, 10, 10_000, ["note"], dialect="market")[:3] == (6, 0, None)
    assert frames(connection, session, 0, 10, 10_000, None, dialect="unknown")[:3] == (6, 0, None)


def sweep(connection: psycopg.Connection, *, resume: bool = False) -> list[tuple]:
    return connection.execute("SELECT status, reason FROM sim_claim_orphans('me', 1, %s, 100)", (resume,)).fetchall()


def test_the_sweep_ignores_living_runners_and_its_own_runner(connection: psycopg.Connection) -> None:
    alive(connection, "other")
    alive(connection, "me", seen="now() - interval '1 day'")
    new_session(connection, runner="other", incarnation=1)
    new_session(connection, runner="me", incarnation=1)
    assert sweep(connection) == []


def test_the_sweep_pauses_what_a_dead_process_left(connection: psycopg.Connection) -> None:
    alive(connection, "me")
    alive(connection, "silent", seen="now() - interval '1 day'", ttl="1 ms")
    sessions = [
        new_session(connection, runner="silent", incarnation=1),
        new_session(connection, runner="gone", incarnation=1),
        new_session(connection, runner="me", incarnation=0),
    ]
    assert sweep(connection) == [("paused", "runner lost")] * 3
    assert {row(connection, session, "status, runner, epoch") for session in sessions} == {("paused", None, 2)}


def test_the_sweep_sees_a_dead_process_although_the_clock_was_set_back(connection: psycopg.Connection) -> None:
    alive(connection, "me")
    alive(connection, "dead", seen="now() + interval '3 hours'", ttl="1 ms")
    new_session(connection, runner="dead", incarnation=1)
    assert sweep(connection) == [("paused", "runner lost")]


def test_a_process_that_has_left_or_was_replaced_sweeps_nothing(connection: psycopg.Connection) -> None:
    session = new_session(connection, runner="gone", incarnation=1)
    assert sweep(connection, resume=True) == []
    alive(connection, "me")
    connection.execute("UPDATE sim_runners SET incarnation = 2")
    assert sweep(connection, resume=True) == []
    assert row(connection, session, "status, runner") == ("running", "gone")


def test_the_sweep_takes_over_three_times_then_gives_up_unless_the_cursor_moves(connection: psycopg.Connection) -> None:
    alive(connection, "me")
    session = new_session(connection, runner="gone", incarnation=1)

    def lose() -> None:
        connection.execute("UPDATE sim_sessions SET runner = 'gone' WHERE id = %s", (session,))

    for _ in range(2):
        assert sweep(connection, resume=True) == [("running", "taken over")]
        assert row(connection, session, "runner, incarnation") == ("me", 1)
        lose()
    epoch = row(connection, session, "epoch")[0]
    assert append(connection, [tick(session, None, 0, epoch=epoch)]) == ["written"]
    for _ in range(3):
        assert sweep(connection, resume=True) == [("running", "taken over")]
        lose()
    assert sweep(connection, resume=True) == [("failed", "crash loop")]
    assert row(connection, session, "status")[0] == "failed"


def test_the_sweep_claims_what_is_up_for_a_claim(connection: psycopg.Connection) -> None:
    alive(connection, "me")
    session = new_session(connection, runner=None)
    assert sweep(connection) == [("running", "claimed")]
    assert row(connection, session, "runner, incarnation, epoch") == ("me", 1, 2)


def test_notifications_can_be_switched_off(connection: psycopg.Connection) -> None:
    session = new_session(connection)
    connection.execute("LISTEN sim_events")
    connection.execute("SET zeon.notify = 'off'")
    append_each(connection, chain(session, 0, 1))
    assert not list(connection.notifies(timeout=0.2))
    connection.execute("RESET zeon.notify")
    append_each(connection, chain(session, 1, 1))
    assert len(list(connection.notifies(timeout=2, stop_after=1))) == 1
