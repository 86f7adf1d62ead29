"""Each way a statement can fail has its own error: a lock that is held is not a database that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from app.db.errors import BY_SQLSTATE, error_class
from app.db.pool import Connection, Database
from app.errors import (
    BusyError,
    DatabaseAwayError,
    DatabaseFullError,
    Recovery,
    SimError,
    TooSlowError,
    UnavailableError,
)
from tests.support import postgres

EXAMPLES = {
    "08": "08006",
    "57P": "57P01",
    "53": "53100",
}
"""An SQLSTATE for each entry of the map that is a prefix."""
CODES = ("database_away", "database_full", "database_read_only", "busy", "too_slow")


@pytest.fixture
async def pool(database: postgres.Database) -> AsyncIterator[Database]:
    pool = Database(database.url, size=1)
    await pool.open()
    yield pool
    await pool.close()


async def fail_with(connection: Connection, sqlstate: str) -> None:
    await connection.execute(f"DO $$ BEGIN RAISE 'What happened.' USING ERRCODE = '{sqlstate}'; END $$")


@pytest.mark.parametrize("prefix", BY_SQLSTATE)
async def test_each_sqlstate_of_the_map_is_raised_as_its_error(pool: Database, prefix: str) -> None:
    with pytest.raises(BY_SQLSTATE[prefix]) as raised:
        await pool.run(fail_with, EXAMPLES.get(prefix, prefix))
    assert (raised.value.status, raised.value.recovery) == (503, Recovery.RETRY)
    assert raised.value.code in CODES
    assert "What happened" not in raised.value.message


def test_each_own_sqlstate_is_one_error_with_its_own_message() -> None:
    own = [kind for kind in subclasses(SimError) if "sqlstate" in vars(kind)]
    assert sorted(str(kind.sqlstate) for kind in own) == ["ZN001", "ZN002", "ZN003", "ZN004"]
    assert [error_class(kind.sqlstate) for kind in own] == own


@pytest.mark.parametrize("sqlstate", ["ZN001", "ZN002", "ZN003", "ZN004"])
async def test_an_error_of_our_own_keeps_the_sentence_it_was_raised_with(pool: Database, sqlstate: str) -> None:
    with pytest.raises(SimError, match=r"^What happened\.$") as raised:
        await pool.run(fail_with, sqlstate)
    assert raised.value.sqlstate == sqlstate


async def test_a_refused_value_is_not_translated(pool: Database) -> None:
    async def divide(connection: Connection) -> None:
        await connection.execute("SELECT 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        await pool.run(divide)


async def test_a_lock_that_another_transaction_holds_is_busy(pool: Database, database: postgres.Database) -> None:
    async def lock(connection: Connection) -> None:
        await connection.execute("SET lock_timeout = '50ms'")
        await connection.execute("SELECT pg_advisory_lock(1)")

    with psycopg.connect(database.url) as other:
        other.execute("SELECT pg_advisory_lock(1)")
        with pytest.raises(BusyError, match="holds a lock"):
            await pool.run(lock)


async def test_a_statement_that_takes_too_long_is_too_slow(pool: Database) -> None:
    async def sleep(connection: Connection) -> None:
        await connection.execute("SET statement_timeout = '50ms'")
        await connection.execute("SELECT pg_sleep(5)")

    with pytest.raises(TooSlowError):
        await pool.run(sleep)


async def test_a_connection_that_is_cut_is_a_database_that_is_away(pool: Database, database: postgres.Database) -> None:
    async def sleep(connection: Connection) -> None:
        cutting = asyncio.to_thread(cut, database.admin_url, connection.info.backend_pid)
        await asyncio.gather(connection.execute("SELECT pg_sleep(30)"), cutting)

    with pytest.raises(DatabaseAwayError):
        await pool.run(sleep)


def cut(admin_url: str, pid: int) -> None:
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (pid,))


async def test_a_pool_whose_connections_are_all_in_use_is_busy(database: postgres.Database) -> None:
    pool, taken, done = Database(database.url, size=1, wait_s=0.2), asyncio.Event(), asyncio.Event()

    async def hold(_: Connection) -> None:
        taken.set()
        await done.wait()

    async def nothing(_: Connection) -> None:
        """Only take a connection."""

    await pool.open()
    holding = asyncio.create_task(pool.run(hold))
    await taken.wait()
    with pytest.raises(BusyError, match="All connections"):
        await pool.run(nothing)
    done.set()
    await holding
    await pool.run(nothing)
    await pool.close()
    with pytest.raises(UnavailableError, match="shutting down"):
        await pool.run(nothing)


async def test_a_pool_that_may_not_grow_is_busy_and_a_database_without_a_free_connection_is_full(
    database: postgres.Database,
) -> None:
    """With 10,000 sessions launched at once, connections were in use but not all that the pool may have."""
    pool, taken, done = Database(database.url, size=4, wait_s=0.3), asyncio.Semaphore(0), asyncio.Event()
    full = Database(database.url, size=2, wait_s=0.3, open_s=0.3)

    async def hold(_: Connection) -> None:
        taken.release()
        await done.wait()

    async def short(_: Connection) -> None:
        await asyncio.sleep(0.02)

    await pool.open()
    limit_connections(database, 2)
    holding = [asyncio.create_task(pool.run(hold)) for _ in range(2)]
    for _ in holding:
        await taken.acquire()
    with pytest.raises(BusyError, match="All connections"):
        await pool.run(short)
    with pytest.raises(DatabaseFullError):
        await full.open()
    done.set()
    await asyncio.gather(*holding)
    crowd = await asyncio.gather(*(pool.run(short) for _ in range(100)), return_exceptions=True)
    kinds = {type(result) for result in crowd}
    assert {type(None)} < kinds <= {type(None), BusyError, DatabaseFullError}  # Never that it is away.
    limit_connections(database, -1)
    await pool.close()


def limit_connections(database: postgres.Database, count: int) -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT {count}")


OTHERS = "DEALLOCATE ALL; PREPARE _pg3_0 (int) AS SELECT $1; PREPARE _pg3_1 (int) AS SELECT $1"


@pytest.mark.parametrize(
    "command", ["DEALLOCATE ALL", "PREPARE _pg3_0 AS SELECT 2", OTHERS, "ALTER TABLE pg_temp.t ADD b int"]
)
async def test_a_statement_prepared_on_another_connection_is_sent_again(pool: Database, command: str) -> None:
    """What a pooler in transaction mode does to a connection, done behind the driver's back."""
    await pool.run(lambda connection: connection.execute("CREATE TEMPORARY TABLE t (a int)"))

    async def read(connection: Connection) -> int:
        await connection.execute("CREATE TEMPORARY TABLE IF NOT EXISTS t (a int)")
        return len((await connection.execute("SELECT * FROM t")).description or ())

    async def behind(connection: Connection) -> None:
        result = connection.pgconn.exec_(command.encode())
        assert not result.error_message, result.error_message

    for _ in range(0 if command.startswith("PREPARE") else 8):
        await pool.run(read)
    await pool.run(behind)
    for _ in range(8):
        assert await pool.run(read) in (1, 2)
    assert pool.prepares == ("ALTER" in command)


async def test_internal_errors_of_postgres_are_worth_another_try(pool: Database) -> None:
    with pytest.raises(UnavailableError, match=r"^The database failed: What happened\.$"):
        await pool.run(fail_with, "XX000")


async def test_what_postgres_calls_a_violation_of_the_protocol_is_not_a_database_that_is_away(pool: Database) -> None:
    with pytest.raises(UnavailableError, match=r"^The database failed: What happened\.$") as raised:
        await pool.run(fail_with, "08P01")
    assert not isinstance(raised.value, DatabaseAwayError)


async def test_a_pool_that_waited_in_vain_for_a_database_that_answers_is_busy_not_away(
    database: postgres.Database,
) -> None:
    """So it is when this process was suspended, or when the pool has not yet tried again after an outage."""
    pool = Database(database.url, size=1, wait_s=0.2)
    await pool.open()
    async with pool._pool.connection():  # Nothing was ever lent to a call.
        for refused in (None, psycopg.OperationalError("connection refused")):
            pool._note_refusal(refused)
            with pytest.raises(BusyError, match="All connections"):
                await pool.run(lambda connection: connection.execute("SELECT 1"))
        limit_connections(database, 0)
        pool._last_lent_s = -1e9
        with pytest.raises(DatabaseFullError):
            await pool.run(lambda connection: connection.execute("SELECT 1"))
        limit_connections(database, -1)
    await pool.close()


async def test_a_pool_that_gets_no_connection_says_that_the_database_is_away() -> None:
    pool = Database("postgresql://nobody@127.0.0.1:1/nothing", size=1, open_s=0.5)
    with pytest.raises(DatabaseAwayError):
        await pool.open()


def subclasses(kind: type[SimError]) -> list[type[SimError]]:
    return [error_class for child in kind.__subclasses__() for error_class in (child, *subclasses(child))]
