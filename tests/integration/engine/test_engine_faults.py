"""Faults of the database and of other processes, met by an engine in the test's own process."""

from __future__ import annotations

import asyncio
import socket
import time

import psycopg
import pytest
from psycopg.rows import dict_row

from app.clock import Clock
from app.db import runners, sessions
from app.db.log import events
from app.db.log.chunks import AppendOutcome, Chunk, append_chunks, events_to_json
from app.db.pool import Connection
from app.domain.event import Event
from app.domain.session import Pace
from app.engine import supervisor
from app.engine.replay.writer import SessionLostError, Writer
from app.engine.supervisor import Supervisor
from app.errors import RunnerNameTakenError, SimError, UnavailableError
from app.metrics import EngineMetrics
from tests.support.postgres import Database, PrivatePostgres, open_pool
from tests.support.running_engine import START_MS, USER, Engine, running_engine, settings, store
from tests.support.session_log import open_minutes


async def follow_tail(engine: Engine, session_id: object, after_seq: int = 0) -> list[int]:
    """Follow a session to its end and return the seqs seen."""
    seen: list[int] = []
    with engine.supervisor.hub.tail(session_id, after_seq) as tail:  # type: ignore[arg-type]
        while True:
            try:
                frames = await tail.next(5)
            except SimError:
                await asyncio.sleep(0.05)
                continue
            assert frames is not None, seen[-1:]
            seen += [int(line[4:]) for line in frames.body.decode().splitlines() if line.startswith("id: ")]
            if frames.status in ("finished", "failed", None) and tail.after_seq >= (frames.head or 0):
                return seen


async def test_a_tail_from_any_seq_gives_the_same_suffix(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(pace=Pace(3))
        live = asyncio.gather(*(follow_tail(engine, session.id) for _ in range(20)))
        await engine.finished(session.id)
        assert await live == [list(range(1, 103))] * 20
        for after in (0, 1, 50, 101):
            assert await follow_tail(engine, session.id, after) == list(range(after + 1, 103))


async def test_without_notifications_everything_works_only_slower(database: Database) -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {database.name} SET zeon.notify = 'off'")
    often = {"poll_ms": 50, "runner_ttl_ms": 3000}
    async with running_engine(database, **often) as engine, running_engine(database, runner="two", **often) as other:
        await store(engine.pool)
        session = await engine.start(pace=Pace(10), end_ms=None, gap_policy="skip")
        live = asyncio.ensure_future(follow_tail(other, session.id))
        await engine.until(session.id, lambda s: s.last_seq > 5)
        await other.act(session.id, "pace", Pace(0))
        await engine.until(session.id, lambda s: s.cursor_ms == START_MS + 99 * 60_000)
        await store(engine.pool, count=110)
        await engine.until(session.id, lambda s: s.cursor_ms == START_MS + 109 * 60_000)
        paused = await other.act(session.id, "pause")
        await engine.idle()
        assert (await engine.get(session.id)).last_seq == paused.last_seq
        await engine.pool.run(runners.register, "psql", 1)
        assert database.query("SELECT sim_resume(%s)", session.id) == [("running",)]
        await engine.until(session.id, lambda s: s.runner is not None)
        await engine.act(session.id, "stop")
        live.cancel()


async def test_a_locked_row_delays_its_own_session_only(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        held, free = await engine.start(pace=Pace(50)), await engine.start(pace=Pace(2))
        with psycopg.connect(database.url) as other:
            other.execute("SELECT 1 FROM sim_sessions WHERE id = %s FOR UPDATE", (held.id,))
            await engine.finished(free.id)
            assert (await engine.get(held.id)).status == "running"
        await engine.act(held.id, "pace", Pace(0))
        await engine.finished(held.id)
        assert open_minutes(await engine.log(held.id)) == list(range(100))


async def test_a_payload_postgres_refuses_fails_its_own_session_only(database: Database) -> None:
    async with running_engine(database, poll_ms=60_000) as engine:
        ids = [(await engine.create()).id for _ in range(9)]
        database.query("UPDATE sim_sessions SET status = 'running', epoch = 1, runner = 'one', incarnation = 1")
        writer = Writer(engine.pool, EngineMetrics())
        body = ['{"n":1}'] * 9
        body[4] = '{"n":"\\u0000"}'
        pending = [
            writer.append(Chunk(str(session), 1, None, START_MS, events_to_json([Event(START_MS, "candle", text)]), 1))
            for session, text in zip(ids, body, strict=True)
        ]
        running = asyncio.ensure_future(writer.run())
        results = await asyncio.gather(*pending, return_exceptions=True)
        running.cancel()
        assert [isinstance(result, AppendOutcome) for result in results] == [n != 4 for n in range(9)]
        assert "unicode" in str(results[4]).lower()


async def test_a_session_continues_when_its_prepared_statements_are_gone(database: Database) -> None:
    """A pooler in transaction mode gives each statement another connection; SQLSTATE 26000 ended such sessions."""

    async def forget(connection: Connection) -> None:
        await asyncio.sleep(0.02)  # Each call gets another connection of the pool.
        connection.pgconn.exec_(b"DEALLOCATE ALL")

    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(pace=Pace(5))
        await engine.until(session.id, lambda s: s.last_seq > 30)
        await asyncio.gather(*(engine.pool.run(forget) for _ in range(8)))
        done = await engine.finished(session.id)
        assert (done.status, done.error) == ("finished", None)
        assert open_minutes(await engine.log(done.id)) == list(range(100))
        assert not engine.pool.prepares


async def test_a_runner_that_was_replaced_is_refused(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(pace=Pace(60_000))
        await engine.until(session.id, lambda s: s.last_seq == 2)
        writer = Writer(engine.pool, EngineMetrics())
        running = asyncio.ensure_future(writer.run())
        await engine.act(session.id, "pause")
        late = Chunk(
            str(session.id),
            session.epoch,
            START_MS,
            START_MS + 60_000,
            events_to_json([Event(START_MS, "candle", "{}")]),
            1,
        )
        with pytest.raises(SessionLostError):
            await writer.append(late)
        running.cancel()
        assert (await engine.get(session.id)).last_seq == 3


@pytest.mark.parametrize(("refusals", "status"), [(2, "finished"), (3, "failed")])
async def test_a_runner_whose_tick_is_refused_starts_again_from_the_log_and_fails_the_third_time(
    database: Database, refusals: int, status: str
) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        append, left = engine.supervisor.writer.append, list(range(refusals))

        def refusing(chunk: Chunk, **options: bool) -> asyncio.Future[None]:
            if left and (chunk.prev_cursor_ms or 0) > START_MS:
                left.pop()
                chunk = chunk._replace(prev_cursor_ms=START_MS - 1)
            return append(chunk, **options)

        engine.supervisor.writer.append = refusing  # type: ignore[method-assign, assignment]
        done = await engine.finished((await engine.start(pace=Pace(1))).id)
        assert (done.status, left) == (status, [])
        seen = open_minutes(await engine.log(done.id))
        assert seen == list(range(100 if status == "finished" else len(seen)))


async def test_a_session_this_process_has_claimed_and_does_not_run_is_found(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.create()
        name, incarnation = engine.supervisor.owner
        claim = "SELECT sim_transition(%s, '{created}', 'running', 'started', 'x', %s, %s)"
        database.query(claim, session.id, name, incarnation)
        assert (await engine.finished(session.id)).status == "finished"
        assert [x["payload"]["reason"] for x in await engine.log(session.id) if x["type"] == "status"] == [
            "started", "end of range",
        ]  # fmt: skip


async def test_an_older_claim_that_arrives_late_does_not_replace_the_present_runner(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        older = await engine.start(pace=Pace(60_000))
        await engine.act(older.id, "pause")
        await engine.act(older.id, "resume")
        engine.supervisor.run_claimed(older)
        await engine.act(older.id, "pace", Pace(0))
        assert (await engine.finished(older.id)).status == "finished"


async def test_each_tick_is_answered_and_a_second_one_of_a_session_has_to_wait(database: Database) -> None:
    def tick(session: object, prev: int | None, cursor: int, epoch: int = 1) -> Chunk:
        before = None if prev is None else START_MS + prev
        return Chunk(str(session), epoch, before, START_MS + cursor, events_to_json([Event(START_MS, "plot", "{}")]), 1)

    async with running_engine(database, poll_ms=60_000) as engine:
        a, b = [(await engine.create()).id for _ in range(2)]
        database.query("UPDATE sim_sessions SET status = 'running', epoch = 1, runner = 'one', incarnation = 1")
        sent = [tick(a, None, 0), tick(a, 0, 1), tick(b, None, 0, 2)]
        outcomes = await engine.pool.run(append_chunks, sent)
        assert outcomes == [AppendOutcome("written", 1), AppendOutcome("busy", 0), AppendOutcome("refused", 0)]
        pausing = [tick(a, None, 0), tick(b, None, 0)._replace(pause="step")]
        assert await engine.pool.run(append_chunks, pausing) == [AppendOutcome("done", 1), AppendOutcome("written", 1)]
        assert [(await engine.get(session_id)).last_seq for session_id in (a, b)] == [1, 2]
        assert (await engine.get(b)).status == "paused"


async def test_a_process_that_comes_back_under_its_name_finds_what_it_left(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.create()
        database.query("SELECT sim_transition(%s, '{created}', 'running', 'started', 'x', 'two', 7)", session.id)
        paused = await engine.until(session.id, lambda s: s.status == "paused")
        assert [event["payload"]["reason"] for event in await engine.log(paused.id)] == ["started", "runner lost"]
        await engine.act(session.id, "resume")
        await engine.finished(session.id)


async def test_orphans_are_taken_over_with_on_orphan_resume(database: Database) -> None:
    async with running_engine(database, on_orphan="resume") as engine:
        await store(engine.pool)
        session = await engine.create()
        database.query("SELECT sim_transition(%s, '{created}', 'running', 'started', 'x', 'two', 7)", session.id)
        done = await engine.finished(session.id)
        assert done.status == "finished"
        assert open_minutes(await engine.log(session.id)) == list(range(100))


async def test_a_process_that_stood_still_claims_no_orphans_before_others_could_renew(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.create()
        other = ("two", await engine.pool.run(runners.register, "two", 1000))
        database.query("SELECT sim_transition(%s, '{created}', 'running', 'started', 'x', %s, %s)", session.id, *other)
        time.sleep(1.5)  # noqa: ASYNC251 - as long as that neither of the two could renew.
        for _ in range(5):
            await asyncio.sleep(0.3)
            assert (await engine.get(session.id)).status == "running"
            assert await engine.pool.run(runners.renew, *other)
        assert (await engine.until(session.id, lambda s: s.status == "paused")).runner is None


async def test_a_process_that_closes_pauses_its_sessions(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(pace=Pace(60_000))
    status = "SELECT status FROM sim_sessions WHERE id = %s"
    assert database.query(status, session.id) == [("paused",)]
    assert database.query("SELECT count(*) FROM sim_runners") == [(0,)]


async def test_a_process_that_closes_waits_for_what_it_is_claiming_and_claims_nothing_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_RELEASE_S", 30)
    async with running_engine(database) as engine:
        await store(engine.pool)
        session, other = await engine.create(), await engine.create()
        async with await psycopg.AsyncConnection.connect(database.url, row_factory=dict_row) as claiming:
            assert await runners.lock_runner(claiming, *engine.supervisor.owner)
            closing = asyncio.create_task(engine.supervisor.close())
            await asyncio.sleep(0.2)
            assert not closing.done()
            owner = engine.supervisor.owner
            await sessions.transition(claiming, session.id, "start", reason="started", by=USER, runner=owner)
        await closing
        assert (await engine.get(session.id)).status == "paused"
        with pytest.raises(UnavailableError):
            await engine.act(other.id, "start")
        assert (await engine.get(other.id)).status == "created"


async def test_renewing_a_name_after_it_was_released_is_no_error(database: Database) -> None:
    async with running_engine(database) as engine:
        await engine.supervisor.close()
        await engine.supervisor._renew_once()
        assert not engine.supervisor.failed.done()


async def test_a_process_that_closes_releases_its_sessions_where_orphans_are_resumed(database: Database) -> None:
    async with running_engine(database, runner="two", on_orphan="resume") as other:
        async with running_engine(database, on_orphan="resume") as engine:
            await store(engine.pool)
            session = await engine.start(pace=Pace(20))
            await engine.until(session.id, lambda s: s.last_seq > 3)
        done = await other.finished(session.id)
        assert done.status == "finished"
        assert open_minutes(await other.log(session.id)) == list(range(100))


async def test_a_process_ends_soon_although_the_database_is_away(private_postgres: PrivatePostgres) -> None:
    database = private_postgres.new_database()
    async with running_engine(database, runner_ttl_ms=20_000) as engine:
        await store(engine.pool)
        await engine.start(pace=Pace(60_000))
        await asyncio.to_thread(private_postgres.shut_down)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 5


async def test_an_opening_that_is_cancelled_while_its_listener_connects_does_not_go_on(database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # Connections come up and are never answered.
        address = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/zeon"
        async with open_pool(database) as side:
            opened = Supervisor(side, settings(database), listen_url=address, clock=Clock())
            opening = asyncio.ensure_future(opened.open())
            await asyncio.sleep(0.2)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            await opened.close()


async def test_a_process_whose_row_was_deleted_registers_again_and_continues(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(pace=Pace(10))
        registered = database.query("SELECT name, incarnation, strategies FROM sim_runners")
        database.query("DELETE FROM sim_runners")
        await engine.finished(session.id)
        assert registered[0][:2] == tuple(engine.supervisor.owner)
        assert database.query("SELECT name, incarnation, strategies FROM sim_runners") == registered
        database.query("UPDATE sim_runners SET incarnation = 0")  # A standby was promoted that knew an older one.
        await asyncio.sleep(0.2)
        assert database.query("SELECT incarnation FROM sim_runners") == [(engine.supervisor.incarnation,)]
        assert not engine.supervisor.failed.done()


async def test_a_lock_that_a_dead_process_left_behind_does_not_keep_its_name(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(database.url, autocommit=True) as pooler:
        pooler.execute("SELECT pg_advisory_lock(sim_lock_key('runner', 'one'))")
        async with running_engine(database, runner_ttl_ms=300) as engine:
            await store(engine.pool)
            assert (await engine.finished((await engine.start()).id)).status == "finished"
    assert "of a server that is gone holds the lock of the name one" in caplog.text


async def test_only_one_living_process_has_a_runner_name(database: Database) -> None:
    async with running_engine(database) as engine:
        with pytest.raises(RunnerNameTakenError):
            async with running_engine(database):
                pass
        await store(engine.pool)
        assert (await engine.finished((await engine.start()).id)).status == "finished"


async def test_a_pause_in_sql_stops_a_session_of_any_process(database: Database) -> None:
    async with running_engine(database, runner_ttl_ms=3000) as engine:
        await store(engine.pool)
        session = await engine.start(pace=Pace(200))
        await engine.until(session.id, lambda s: s.last_seq > 3)
        assert database.query("SELECT sim_pause(%s)", session.id) == [("paused",)]
        last_seq = (await engine.get(session.id)).last_seq
        await engine.idle()
        assert (await engine.get(session.id)).last_seq == last_seq
        database.query("SELECT sim_resume(%s)", session.id)
        await engine.act(session.id, "pace", Pace(0))
        await engine.finished(session.id)
        assert open_minutes(await engine.log(session.id)) == list(range(100))


async def test_reading_a_backlog_uses_the_index_of_the_log(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.finished((await engine.start()).id)
        frames = await engine.pool.run(events.frames, session.id, 50)
        assert (frames.last_seq, frames.events) == (102, 52)
    with psycopg.connect(database.url) as connection:
        plan = connection.execute(
            "EXPLAIN SELECT seq FROM sim_events WHERE session_id = %s AND seq > 50 ORDER BY seq LIMIT 10", (session.id,)
        ).fetchall()
    assert "Index" in str(plan)
    assert "Sort" not in str(plan)


async def test_meaningless_notifications_by_hand_break_nothing(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(pace=Pace(3))
        live = asyncio.ensure_future(follow_tail(engine, session.id))
        for channel in ("sim_events", "sim_control", "market_candles"):
            for hint in ("hello", f"{session.id}", f"{session.id}:x", ":", "", "nobody:running"):
                database.query("SELECT pg_notify(%s, %s)", channel, hint)
        await engine.finished(session.id)
        assert await live == list(range(1, 103))
        assert not engine.supervisor.failed.done()
