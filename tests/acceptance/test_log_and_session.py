"""The log and the live session, as processes, clients and psql see them; its tests are the list of what must hold.

What is missing here has a file of its own: market dialect, self test, malformed requests, README.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.paths import ROOT
from tests.support.cli import Cli
from tests.support.client import SESSIONS, Client, call, connect, run_unpaced
from tests.support.postgres import Database, PrivatePostgres, open_pool
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.running_server import running_server
from tests.support.scenarios.killed_commands import killed_between_command_and_tick
from tests.support.scenarios.kills import killed_at_random
from tests.support.server_process import QUICK, StartServer, until
from tests.support.session_log import digest, open_times, read_log, row

ENDLESS = {"endMs": None, "gapPolicy": "skip"}
REAL = ROOT.parent / "shared" / "data" / "BTCUSDT-15m.csv.gz"


async def store_candles(database: Database, count: int = 100, **more: Any) -> None:
    async with open_pool(database) as side:
        await store(side, count=count, **more)


def minutes(count: int) -> list[int]:
    return [START_MS + n * MINUTE for n in range(count)]


async def quiet(database: Database, session_id: str, seconds: float = 0.3) -> None:
    """Fail when an event is added to a log within so many seconds."""
    before = row(database, session_id, "last_seq")
    await asyncio.sleep(seconds)
    assert row(database, session_id, "last_seq") == before


async def test_created_and_started_its_candles_are_in_sim_events_and_on_the_stream_the_same_in_the_same_order(
    database: Database, start_server: StartServer
) -> None:
    await store_candles(database)
    async with connect(start_server(database, **QUICK)) as client:
        session_id = (await client.create(replayMsPerCandle=5))["id"]
        assert read_log(database, session_id) == []
        async with client.stream(session_id) as stream:
            await call(client, session_id, "start")
            await stream.rest()
    assert stream.events == read_log(database, session_id)
    assert open_times(stream.events) == minutes(100)


async def test_a_stream_from_any_from_seq_gives_the_same_suffix(database: Database) -> None:
    async with running_server(database) as server:
        session_id = (await server.finished())["id"]
        whole = read_log(database, session_id)
        for first in range(1, len(whole) + 1):
            async with server.stream(session_id, f"?fromSeq={first}") as stream:
                await stream.rest()
            assert stream.events == whole[first - 1 :]


async def test_100_clients_that_drop_at_random_and_come_back_each_end_with_exactly_1_to_last_seq(
    database: Database, start_server: StartServer
) -> None:
    await store_candles(database)

    async def come_and_go(client: Client, session_id: str, number: int) -> list[int]:
        draw, seen = random.Random(number), []
        while len(seen) < 102:
            back = {"Last_Event_ID": str(seen[-1])} if seen and number % 2 else {}
            async with client.stream(session_id, "" if back else f"?fromSeq={len(seen) + 1}", **back) as stream:
                for _ in range(draw.randrange(1, 30)):
                    try:
                        await stream.next(30)
                    except StopAsyncIteration:
                        break
                seen += [event["seq"] for event in stream.events]
        return seen

    async with connect(start_server(database, **QUICK)) as client:
        session_id = (await client.create(replayMsPerCandle=10))["id"]
        clients = [asyncio.create_task(come_and_go(client, session_id, number)) for number in range(100)]
        await call(client, session_id, "start")
        for seen in await asyncio.gather(*clients):
            assert seen == list(range(1, 103))


async def test_count_is_max_seq_at_any_moment_under_8_writers_and_aborted_transactions(
    database: Database, start_server: StartServer
) -> None:
    """Eight psql users write notes into sessions that a server runs, and take every third one back."""
    await store_candles(database, 300)
    faults: list[BaseException] = []

    def write(ids: list[str], number: int) -> None:
        try:
            with psycopg.connect(database.url) as mine:
                for turn in range(40):
                    note = (ids[(turn + number) % len(ids)],)
                    mine.execute("SELECT sim_append_event(%s, NULL, 'note', '{}')", note)
                    (mine.rollback if turn % 3 == 2 else mine.commit)()
        except BaseException as error:
            faults.append(error)

    async with connect(start_server(database, **QUICK)) as client:
        ids = [(await client.create(replayMsPerCandle=3, endMs=START_MS + 300 * MINUTE))["id"] for _ in range(4)]
        for session_id in ids:
            await call(client, session_id, "start")
        writers = [threading.Thread(target=write, args=(ids, number)) for number in range(8)]
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            seen = database.query("SELECT count(*), max(seq) FROM sim_events GROUP BY session_id")
            assert all(count == last for count, last in seen)
        for session_id in ids:
            await client.until(f"{SESSIONS}/{session_id}", "finished")
    assert not faults
    logs = [read_log(database, session_id) for session_id in ids]
    assert all(open_times(events) == minutes(300) for events in logs)
    assert sum(event["type"] == "note" for events in logs for event in events) == 8 * 27
    assert len({digest(database, session_id) for session_id in ids}) == 1


async def test_a_row_held_by_a_psql_user_delays_that_session_only(
    database: Database, start_server: StartServer
) -> None:
    await store_candles(database)
    async with connect(start_server(database, **QUICK)) as client:
        held, free = [(await client.create(replayMsPerCandle=2))["id"] for _ in range(2)]
        for session_id in (held, free):
            await call(client, session_id, "start")
        with psycopg.connect(database.url) as user:
            user.execute("SELECT FROM sim_sessions WHERE id = %s FOR UPDATE", (held,))
            await client.until(f"{SESSIONS}/{free}", "finished")
            await quiet(database, held)
        await client.until(f"{SESSIONS}/{held}", "finished")
    assert digest(database, held) == digest(database, free)


async def test_a_payload_postgres_refuses_fails_its_own_session_only(
    database: Database, start_server: StartServer
) -> None:
    await store_candles(database)
    async with connect(start_server(database, **QUICK)) as client:
        ids = [(await client.create())["id"] for _ in range(8)]
        with psycopg.connect(database.owner_url, autocommit=True) as owner:
            owner.execute(f"ALTER TABLE sim_events ADD CHECK (session_id <> '{ids[3]}' OR type <> 'candle')")
        for started in asyncio.as_completed([call(client, session_id, "start") for session_id in ids]):
            await started
        for session_id in ids:
            await client.until(f"{SESSIONS}/{session_id}", "failed" if session_id == ids[3] else "finished")
        refused = await client.data("GET", f"{SESSIONS}/{ids[3]}")
    assert refused["error"].startswith("Postgres refused the tick: ")
    assert open_times(read_log(database, ids[3])) == []


async def test_killed_by_sigkill_at_random_and_resumed_the_digest_equals_an_undisturbed_run_s(
    database: Database, start_server: StartServer
) -> None:
    await killed_at_random(database, start_server, times=5, seed=1)


async def test_postgres_restarted_under_load_the_server_recovers_streams_go_on_nothing_is_lost_or_doubled(
    private_postgres: PrivatePostgres, start_server: StartServer
) -> None:
    database = private_postgres.new_database()
    await store_candles(database, 1000)
    async with connect(start_server(database, **QUICK | {"ZEON_RUNNER_TTL_MS": 20_000})) as client:
        ids = [(await client.create(replayMsPerCandle=3, endMs=START_MS + 1000 * MINUTE))["id"] for _ in range(4)]
        for session_id in ids:
            await call(client, session_id, "start")

        async def whole(session_id: str) -> list[dict[str, Any]]:
            """Follow on one connection, never a second one."""
            async with client.stream(session_id) as stream:
                await stream.rest(60)
            return stream.events

        followed = [asyncio.create_task(whole(session_id)) for session_id in ids * 2]
        for mode in ("immediate", "fast"):
            await asyncio.sleep(0.7)
            await asyncio.to_thread(private_postgres.restart, mode)
        streamed = await asyncio.gather(*followed)
    for session_id, events in zip(ids * 2, streamed, strict=True):
        assert events == read_log(database, session_id)
        assert open_times(events) == minutes(1000)


async def test_the_listener_connection_cut_20_times_nothing_is_lost_or_doubled(
    database: Database, start_server: StartServer
) -> None:
    await store_candles(database, 1000)
    slow = {"ZEON_POLL_MS": 60_000, "ZEON_RUNNER_TTL_MS": 30_000}
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'zeon listener' AND datname = current_database()"
    )
    async with connect(start_server(database, **QUICK | slow)) as client:
        session_id = (await client.create(replayMsPerCandle=3, endMs=START_MS + 1000 * MINUTE))["id"]
        async with client.stream(session_id) as stream:
            await call(client, session_id, "start")
            with psycopg.connect(database.admin_url, autocommit=True) as admin:
                for _ in range(20):
                    await until(lambda: admin.execute(cut).rowcount)
            await stream.rest()
    assert stream.events == read_log(database, session_id)
    assert open_times(stream.events) == minutes(1000)


async def test_after_pause_answers_no_candle_is_added_and_a_second_call_changes_nothing(
    database: Database, start_server: StartServer
) -> None:
    await store_candles(database, 2000)
    async with connect(start_server(database, **QUICK)) as client:
        session_id = (await client.create(replayMsPerCandle=5, endMs=START_MS + 2000 * MINUTE))["id"]

        async def twice(name: str) -> dict[str, Any]:
            await call(client, session_id, name)
            return await call(client, session_id, name)

        await twice("start")
        for _ in range(20):
            await asyncio.sleep(random.random() * 0.03)
            paused = await twice("pause")
            await quiet(database, session_id, 0.03)
            assert row(database, session_id, "last_seq") == paused["lastSeq"]
            await twice("resume")
        await twice("stop")
        await quiet(database, session_id)
    statuses = [event["payload"]["status"] for event in read_log(database, session_id) if event["type"] == "status"]
    assert statuses == ["running", *["paused", "running"] * 20, "stopped"]


@pytest.mark.parametrize(("beyond_ms", "count"), [(0, 10), (1, 11), (59_999, 11)])
async def test_with_an_end_it_finishes_off_the_grid_too(database: Database, beyond_ms: int, count: int) -> None:
    async with running_server(database) as server:
        session = await server.finished(endMs=START_MS + 10 * MINUTE + beyond_ms)
    assert open_times(read_log(database, session["id"])) == minutes(count)
    assert session["progress"] == {"done": count, "total": count, "pct": 100}


@pytest.mark.alone
async def test_without_an_end_it_waits_and_goes_on_within_a_second_after_a_candle_is_stored_and_due(
    database: Database, start_server: StartServer
) -> None:
    await store_candles(database, 10)
    async with connect(start_server(database, **QUICK | {"ZEON_POLL_MS": 60_000})) as client:
        session_id = (await client.create(**ENDLESS))["id"]
        await call(client, session_id, "start")
        await until(lambda: row(database, session_id, "cursor_ms") == START_MS + 9 * MINUTE)
        await quiet(database, session_id)
        late_s = []
        for count in (11, 12, 13):  # One fast run is enough: another process may slow down the machine.
            await store_candles(database, count)
            begun = time.monotonic()
            await until(lambda count=count: row(database, session_id, "cursor_ms") == START_MS + (count - 1) * MINUTE)
            late_s.append(time.monotonic() - begun)
        assert min(late_s) < 1
        late_s = await asyncio.gather(*(_late_s(database, client, symbol) for symbol in ("SOLUSDT", "ADAUSDT")))
        assert 0 <= min(late_s) < 1


async def _late_s(database: Database, client: Client, symbol: str) -> float:
    """Return how much later than due, in seconds, an endless session had a candle that had been stored before."""
    now_ms = time.time_ns() // 1_000_000
    last_ms = now_ms - now_ms % MINUTE - MINUTE
    await store_candles(database, 5, start_ms=last_ms - 4 * MINUTE, symbol=symbol)
    due_ms = now_ms + 2000
    live = {"symbol": symbol, "startMs": last_ms - 4 * MINUTE, "lagMs": due_ms - last_ms}
    session_id = (await client.create(**ENDLESS, **live))["id"]
    await call(client, session_id, "start")
    await until(lambda: row(database, session_id, "cursor_ms") == last_ms)
    return (time.time_ns() // 1_000_000 - due_ms) / 1000


async def test_after_a_restart_nothing_says_running_without_a_runner(
    database: Database, start_server: StartServer
) -> None:
    await store_candles(database)
    unrun = (
        "SELECT count(*) FROM sim_sessions s WHERE status = 'running' AND NOT EXISTS ("
        "SELECT FROM sim_runners r WHERE (r.name, r.incarnation) = (s.runner, s.incarnation))"
    )
    server = start_server(database, **QUICK)
    async with connect(server) as client:
        ids = [(await client.create(replayMsPerCandle=1000))["id"] for _ in range(3)]
        for session_id in ids:
            await call(client, session_id, "start")
        server.kill()
        assert {row(database, session_id, "status") for session_id in ids} == {"running"}
        await asyncio.to_thread(server.start)
        await until(lambda: database.query(unrun) == [(0,)])
        assert {row(database, session_id, "status") for session_id in ids} == {"paused"}
        await until(lambda: "paused 3 sessions: runner lost" in server.output)
        await call(client, ids[0], "resume")
        assert server.stop() == 0
    assert {row(database, session_id, "status") for session_id in ids} == {"paused"}
    assert read_log(database, ids[0])[-1]["payload"]["reason"] == "server stopped"


async def test_gaps_fail_the_session_answer_422_and_are_listed(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        await store(server.served.sim.database, without={3, 4, 50}.__contains__)
        path = f"{SESSIONS}/{(await server.create())['id']}"
        answer = await server.refused(422, "POST", f"{path}/start")
        gap = {"symbol": "BTCUSDT", "timeframe": "1m"}
        assert answer["details"] == {
            "gaps": [
                {**gap, "fromMs": START_MS + 3 * MINUTE, "toMs": START_MS + 5 * MINUTE, "missing": 2},
                {**gap, "fromMs": START_MS + 50 * MINUTE, "toMs": START_MS + 51 * MINUTE, "missing": 1},
            ],
            "missing": 3,
        }
        failed = await server.data("GET", path)
        assert (failed["status"], failed["errorDetails"]) == ("failed", answer["details"])


async def test_in_a_database_with_other_tables_a_whole_run_writes_nothing_there(
    database: Database, start_server: StartServer
) -> None:
    await store_candles(database)
    others = ("operations", "balances", "vaults")
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        for table in others:
            owner.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, amount numeric)")
            owner.execute(f"INSERT INTO {table} SELECT n, n FROM generate_series(1, 3) n")
            owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO PUBLIC")
        contents = {table: owner.execute(f"SELECT xmin, ctid, * FROM {table}").fetchall() for table in others}
        server = start_server(database, **QUICK)
        async with connect(server) as client:
            session_id = (await client.create(replayMsPerCandle=60_000))["id"]
            await call(client, session_id, "start")
            await call(client, session_id, "pause")
            await call(client, session_id, "resume")
            await run_unpaced(client, session_id)
            await client.until(f"{SESSIONS}/{session_id}", "finished")
            await client.data("DELETE", f"{SESSIONS}/{session_id}")
        server.stop()
        Cli(database)("migrate")
        for table, before in contents.items():
            assert owner.execute(f"SELECT xmin, ctid, * FROM {table}").fetchall() == before
        owner.execute("SELECT pg_stat_force_next_flush()")
        touched = owner.execute(
            "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE relname = ANY (%s)",
            (list(others),),
        ).fetchone()
    assert touched == (9,)


async def test_no_route_field_message_or_openapi_text_outside_the_command_line_holds_history_or_backtest(
    database: Database,
) -> None:
    async with running_server(database, candles=0) as server:
        described = (await server.call("GET", "/openapi.json")).text
        page = (await server.call("GET", "/")).text
    files = [file for folder in ("app", "sql", "migrations") for file in (ROOT / folder).rglob("*.*")]
    # The libraries of the page are from npm; `zeon backtest` is a command.
    ours = [file for file in files if not {"vendor", "cli"} & set(file.parts)]
    sources = [file.read_text() for file in ours if file.suffix in (".py", ".sql", ".html", ".js", ".css")]
    for text in (described, page, *sources):
        without = text.replace("history.replaceState", "")  # The browser's own name.
        assert not re.search("history|backtest", without, re.IGNORECASE)


@pytest.mark.skipif(not REAL.is_file(), reason=f"{REAL.name} is not beside this checkout")
async def test_a_real_file_is_imported_replayed_followed_paused_killed_and_found_in_psql_without_a_hole(
    database: Database, start_server: StartServer, tmp_path: Path
) -> None:
    cli = Cli(database)
    report = cli.json("candles", "import", REAL, "--symbol", "BTCUSDT", "--timeframe", "15m")
    first_ms, last_ms = report["firstMs"], report["lastMs"]
    server, followed = start_server(database, **QUICK), tmp_path / "stream"
    request = {
        "venue": "binance",
        "timeframe": "15m",
        "startMs": first_ms,
        "endMs": last_ms + 1,
        "replayMsPerCandle": 1,
    }
    async with connect(server) as client:
        session_id = (await client.create(**request))["id"]
        await call(client, session_id, "start")
        await until(lambda: row(database, session_id, "last_seq") > 1000)
        paused = await call(client, session_id, "pause")
        await quiet(database, session_id)
        await call(client, session_id, "resume")
        await run_unpaced(client, session_id)
        await until(lambda: row(database, session_id, "last_seq") > paused["lastSeq"] + 5000)
        server.kill()
        await asyncio.to_thread(server.start)
        await until(lambda: row(database, session_id, "status") != "running")
        if row(database, session_id, "status") == "paused":  # On a slow machine it may be at its end by then.
            await call(client, session_id, "resume")
        with followed.open("wb") as file:
            url = f"{server.url}{SESSIONS}/{session_id}/stream"
            await asyncio.to_thread(subprocess.run, ["curl", "-sN", url], stdout=file, check=True, timeout=60)
    events = read_log(database, session_id)
    streamed = (json.loads(line[6:]) for line in followed.read_text().splitlines() if line.startswith("data: "))
    assert [event for event in streamed if "seq" in event] == events
    with gzip.open(REAL, "rt") as file:
        rows = [line.split(",") for line in file.read().splitlines()[1:]]
    assert len(rows) == report["new"]
    assert open_times(events, timeframe="15m") == [int(row[0]) for row in rows]
    written = database.query(
        "SELECT payload -> 'candle' ->> 'close' FROM sim_events WHERE session_id = %s AND type = 'candle' ORDER BY seq",
        session_id,
    )
    assert [close for (close,) in written] == [row[4] for row in rows]


async def test_killed_between_a_command_and_its_tick_every_answered_order_is_in_the_log_once(
    database: Database, start_server: StartServer
) -> None:
    await killed_between_command_and_tick(database, start_server, times=2, seed=1)
