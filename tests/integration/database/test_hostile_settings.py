"""Settings of roles and databases, their encodings and names: none changes what a session writes, some are refused."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from app.db.pool import Connection
from app.db.setup.connection_settings import FIXED, LIMITS
from app.db.setup.install import install
from app.db.setup.location import existing_location, installed_location
from app.errors import SimError
from app.settings import load
from tests.support.postgres import Database, Postgres, as_url, open_pool
from tests.support.running_engine import running_engine, settings, store

HOSTILE = {
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kathmandu",
    "client_encoding": "LATIN1",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "exit_on_error": "on",
    "row_security": "off",
    "idle_session_timeout": "20ms",
    "lock_timeout": "1ms",
    "statement_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "quote_all_identifiers": "on",
    "backslash_quote": "off",
    "plan_cache_mode": "force_custom_plan",
}


def set_hostile(database: Database, roles: tuple[str, ...]) -> None:
    """Give each setting its hostile value: one half in the database, one for the roles in it."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        for number, (name, value) in enumerate(newer(admin).items()):
            for role in roles if number % 2 else ("",):
                holder = sql.SQL("ROLE {} IN ").format(sql.Identifier(role)) if role else sql.SQL("")
                statement = sql.SQL("ALTER {}DATABASE {} SET {} = {}")
                names = sql.Identifier(database.name), sql.Identifier(name)
                admin.execute(statement.format(holder, *names, sql.Literal(value)))


def newer(admin: psycopg.Connection) -> dict[str, str]:
    """Return the hostile settings, with that of newer servers."""
    return {**HOSTILE, **({"transaction_timeout": "1ms"} if admin.info.server_version >= 170_000 else {})}


async def run_one(database: Database) -> str:
    """Run a session with trades to its end and return its digest."""
    async with running_engine(database) as engine:
        await store(engine.pool)
        config = {"fast": 3, "slow": 8}
        done = await engine.finished((await engine.start(profile_slug="sma_cross", config=config)).id)
        assert done.status == "finished", done.error
        assert [event["seq"] for event in await engine.log(done.id)] == list(range(1, done.last_seq + 1))
        return await engine.digest(done.id)


async def test_no_setting_of_role_or_database_changes_a_session(
    database: Database, empty_database: Database, postgres: Postgres
) -> None:
    set_hostile(empty_database, (postgres.owner, postgres.serving))
    install(empty_database.owner_url, postgres.serving)
    assert await run_one(empty_database) == await run_one(database)


async def test_every_connection_has_our_value_of_each_setting(database: Database, postgres: Postgres) -> None:
    assert HOSTILE.keys() >= {*FIXED, *LIMITS}
    set_hostile(database, (postgres.serving,))

    async def read(connection: Connection) -> dict[str, str]:
        names = list(FIXED | LIMITS)
        cursor = await connection.execute("SELECT n, current_setting(n) AS v FROM unnest(%s::text[]) n", (names,))
        return {row["n"]: row["v"] for row in await cursor.fetchall()}

    async with open_pool(database) as pool:
        assert await pool.run(read) == {**FIXED, **LIMITS}


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_an_encoding_without_every_character_is_refused_in_one_sentence(postgres: Postgres, encoding: str) -> None:
    name = f"{postgres.prefix}_{encoding.lower()}"
    with postgres.admin() as admin, other_database(admin, name, f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"):
        url = as_url(make_conninfo(postgres.admin_url, dbname=name))
        for attempt in (lambda: install(url), lambda: open_installed(url)):
            with pytest.raises(SimError, match=rf"^The database {name} has the encoding {encoding}, and .* needs UTF8"):
                attempt()


def open_installed(url: str, owner_url: str | None = None) -> None:
    with installed_location(load(database_url=url, migrate_url=owner_url)):
        pass


@contextmanager
def other_database(admin: psycopg.Connection, name: str, options: str) -> Iterator[None]:
    """Make a database with some options, and drop it."""
    admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0 {options}')
    try:
        yield
    finally:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def odd_names(postgres: Postgres) -> Iterator[tuple[Database, str, str]]:
    """A database, an owner and a serving role whose names must be quoted, and schemas that differ in case only."""
    suffix = secrets.token_hex(3)
    owner, serving, name = f"zeon-sa@proj.iam{suffix}", f"Zeon{suffix}", f"My Data'base {suffix}"
    with postgres.admin() as admin:
        for role in (owner, serving):
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(role)))
        with other_database(admin, name, f'OWNER "{owner}"'):
            address = lambda role: as_url(make_conninfo(postgres.admin_url, dbname=name, user=role, password="x"))  # noqa: E731
            database = Database(
                name, address(serving), address(owner), as_url(make_conninfo(postgres.admin_url, dbname=name))
            )
            yield database, owner, serving
        for role in (owner, serving):
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


async def test_names_that_must_be_quoted_work_and_nothing_is_left_open(odd_names: tuple[Database, str, str]) -> None:
    database, _, serving = odd_names
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        for schema in ("zeon", "Zeon", "My Schema"):
            owner.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    for schema in ("zeon", "Zeon", "My Schema"):
        options = f"&options=-csearch_path%3D{quoted(schema)}"
        placed = Database(database.name, database.url + options, database.owner_url + options, database.admin_url)
        install(placed.owner_url, serving)
        install(placed.owner_url, serving)
        await run_one(placed)
        with psycopg.connect(placed.owner_url) as owner:
            acl = owner.execute(
                "SELECT count(*), count(*) FILTER (WHERE a.grantee = 0) FROM pg_proc p, aclexplode(p.proacl) a"
                " WHERE p.prosecdef AND p.pronamespace = quote_ident(current_schema())::regnamespace"
            ).fetchone()
        assert acl is not None
        assert acl[0] >= 2
        assert acl[1] == 0, f"PUBLIC may execute functions with their owner's rights in {schema}"


def quoted(schema: str) -> str:
    """Return a schema's name for the options of an address: quoted for SQL, escaped for libpq, encoded for the URL."""
    return "%22" + schema.replace(" ", "%5C%20") + "%22"


def test_a_serving_role_without_visible_tables_gets_an_error_with_its_search_path(database: Database) -> None:
    elsewhere = f"{database.url}&options=-csearch_path%3Dpg_temp"
    with pytest.raises(SimError, match="does not find the installed tables with its search_path pg_temp"):
        open_installed(elsewhere, database.owner_url)
    with existing_location(settings(database)) as location:
        assert location.url == database.url
