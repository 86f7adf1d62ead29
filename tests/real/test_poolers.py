"""Servers behind a real PgBouncer, in both modes, with and without a direct connection to listen on."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator

import pytest

from app.db.pool import Connection
from app.db.setup.location import ANSWER_S
from tests.support.cli import Cli
from tests.support.client import call, connect, follow, run_unpaced
from tests.support.pooler import pgbouncer, pooled
from tests.support.postgres import DEBIAN_15, Database, PrivatePostgres, open_pool
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.server_process import QUICK, ServerProcess, StartServer, until
from tests.support.session_log import digest, read_log, row

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
CANDLES = 300
REQUEST = {"endMs": START_MS + CANDLES * MINUTE, "profileSlug": "sma_cross", "config": {"fast": 3, "slow": 8}}


@pytest.fixture(scope="module")
def server_15() -> Iterator[PrivatePostgres]:
    """Debian's Postgres 15 if it is installed, else the bundled one."""
    programs = {"bin_path": DEBIAN_15} if DEBIAN_15.is_dir() else {}
    postgres = PrivatePostgres("behind a pooler", **programs)
    yield postgres
    postgres.stop()


@pytest.fixture
def direct(server_15: PrivatePostgres) -> Iterator[Database]:
    database = server_15.new_database()
    yield database
    server_15.drop(database)


def ready(server: ServerProcess) -> dict[str, str]:
    with urllib.request.urlopen(f"{server.url}/readyz") as answer:
        return dict(json.load(answer)["data"])


@pytest.mark.parametrize(
    ("mode", "listens", "notifications"),
    [
        ("session", "through it", "arrive"),
        ("transaction", "directly", "arrive"),
        ("transaction", "through it", "lost"),
    ],
)
async def test_sessions_run_to_their_end_behind_a_pooler_and_a_killed_server_starts_again(
    direct: Database,
    server_15: PrivatePostgres,
    start_server: StartServer,
    mode: str,
    listens: str,
    notifications: str,
) -> None:
    async with open_pool(direct) as side:
        await store(side, count=CANDLES)
    with pgbouncer(server_15, mode) as port:
        database = pooled(direct, port)
        listen = {} if listens == "through it" else {"ZEON_LISTEN_URL": direct.url}
        server = start_server(database, **{**QUICK, "ZEON_RUNNER_TTL_MS": 2000}, **listen)
        assert ready(server)["notifications"] == notifications
        assert ("Notifications do not reach" in server.output) == (notifications == "lost")
        assert "A pooler between this server and Postgres drops settings" in server.output
        async with connect(server) as client:
            undisturbed = (await client.finished(**REQUEST))["id"]
            ids = [(await client.create(**REQUEST, replayMsPerCandle=10))["id"] for _ in range(10)]
            following = [asyncio.create_task(follow(client, session_id)) for session_id in ids]
            for session_id in ids:
                await call(client, session_id, "start")
            await until(lambda: row(direct, ids[0], "last_seq") > 50)
            server.kill()
            await asyncio.to_thread(server.start)
            await until(lambda: {row(direct, session_id, "status") for session_id in ids} == {"paused"})
            for session_id in ids:
                await call(client, session_id, "resume")
                await run_unpaced(client, session_id)
            seen = [[event["seq"] for event in events] for events in await asyncio.gather(*following)]
        assert seen == [[event["seq"] for event in read_log(direct, session_id)] for session_id in ids]
        assert {digest(direct, session_id) for session_id in ids} == {digest(direct, undisturbed)}
        states = {row_["check"]: row_["state"] for row_ in doctor(database, listen, code=int(notifications == "lost"))}
        assert states["connections"] == "warning"
        assert states["notifications"] == ("ok" if notifications == "arrive" else "wrong")
        server.kill()


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_nothing_is_prepared_behind_a_pooler(direct: Database, server_15: PrivatePostgres, mode: str) -> None:
    """Two clients of a pooler give different statements one name, and with 26000 it was already too late."""
    with pgbouncer(server_15, mode, default_pool_size=2) as port:
        async with open_pool(pooled(direct, port)) as behind, open_pool(direct) as before:

            async def prepared(connection: Connection) -> list[dict[str, str]]:
                for _ in range(7):
                    await connection.execute("SELECT %s::int", (1,))
                rows = await connection.execute("SELECT name FROM pg_prepared_statements", prepare=False)
                return await rows.fetchall()

            assert await behind.run(prepared) == []
            assert await before.run(prepared) != []


def doctor(database: Database, env: dict[str, str], code: int) -> list[dict[str, str]]:
    return list(json.loads(Cli(database, **env).run("doctor", "--json", code=code).stdout))


def test_an_address_whose_search_path_is_lost_is_refused_in_one_sentence(
    direct: Database, server_15: PrivatePostgres
) -> None:
    with pgbouncer(server_15, "transaction") as port:
        lost = Cli(DATABASE_URL=f"{pooled(direct, port).url}&options=-csearch_path%3Dsim")
        assert "The search_path sim of the address does not reach Postgres" in lost.error("serve")


def test_a_pooler_that_refuses_the_settings_is_named(direct: Database, server_15: PrivatePostgres) -> None:
    with pgbouncer(server_15, "transaction", ignore_startup_parameters=None) as port:
        refused = Cli(DATABASE_URL=pooled(direct, port).url)
        assert "ignore_startup_parameters = options" in refused.error("serve")


def test_a_database_that_is_away_behind_a_pooler_that_is_there_is_told_in_one_sentence(
    direct: Database, server_15: PrivatePostgres
) -> None:
    with pgbouncer(server_15, "transaction", query_wait_timeout=2, server_login_retry=1) as port:
        database = pooled(direct, port)
        database.query("SELECT 1")
        server_15.shut_down("fast")
        try:
            assert "The database cannot be reached: " in Cli(DATABASE_URL=database.url).error("serve")
        finally:
            server_15.start()


def test_a_server_does_not_wait_for_a_pooler_that_waits_for_postgres(
    direct: Database, server_15: PrivatePostgres
) -> None:
    """PgBouncer holds a statement for 120 s by default while Postgres is away."""
    with pgbouncer(server_15, "transaction", server_login_retry=1) as port:
        database = pooled(direct, port)
        database.query("SELECT 1")
        server_15.shut_down("fast")
        try:
            began = time.monotonic()
            assert f"no answer within {ANSWER_S} s" in Cli(DATABASE_URL=database.url).error("serve")
            assert time.monotonic() - began < 3 * ANSWER_S
        finally:
            server_15.start()


def test_a_fetch_through_a_pooler_leaves_no_lock_behind(direct: Database, server_15: PrivatePostgres) -> None:
    """A lock of the session stayed with a connection of the pooler, and nobody could fetch the series any more."""
    with pgbouncer(server_15, "transaction") as port:
        cli = Cli(pooled(direct, port))
        what = ("candles", "fetch", "BTCUSDT", "--timeframe", "1m", "--venue", "demo", "--source", "synthetic")
        for end in ("2024-01-02", "2024-01-03"):
            cli(*what, "--start", "2024-01-01", "--end", end)
        held = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
        assert direct.query(f"{held} WHERE datname = current_database() AND locktype = 'advisory'") == [(0,)]
        assert direct.query("SELECT (SELECT count(*) FROM market_fetches), count(*) FROM market_candles") == [(0, 2880)]


def test_a_pooler_without_a_free_connection_is_full_and_not_away(
    direct: Database, server_15: PrivatePostgres, start_server: StartServer
) -> None:
    with pgbouncer(server_15, "session", max_client_conn=3) as port:
        server = start_server(pooled(direct, port), wait=False, ZEON_LISTEN_URL=direct.url)
        asyncio.run(until(lambda: not server.alive()))
        assert "out of disk space, memory or connections" in server.output
