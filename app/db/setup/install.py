"""Update a database in one transaction: pending migrations, all of `sql/`, then grants; one installer at a time."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from yoyo import internalmigrations, read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI

from app.db.setup.connection_settings import install_conninfo
from app.db.setup.requirements import require_usable
from app.db.setup.sql_objects import replace_objects
from app.errors import DatabaseAwayError, NewerDatabaseError, ServersAliveError, SimError

APPEND_ONLY = ("sim_events", "sim_audit")
READ_WRITE = (
    "sim_sessions",
    "sim_runners",
    "sim_tokens",
    "sim_logins",
    "sim_requests",
    "sim_commands",
    "sim_profiles",
    "sim_snapshots",
    "sim_kept",
    "sim_kept_curve",
    "market_candles",
    "market_coverage",
    "market_symbols",
    "market_kept",
    "market_fetches",
)
APPLIED = "_yoyo_migration"
FIRST_NAMES = frozenset({"market_cover", "sim_add", "sim_holds", "sim_move", "sim_rounded", "sim_sweep"})
"""Functions of the first version that were removed later; its databases have no list of their functions."""

_OBJECTS = "; objects "

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Sources:
    """The folders to install a database from."""

    migrations: Path
    sql: Path

    def migration_names(self) -> set[str]:
        """Return the names of all migrations."""
        files = self.migrations.glob("*.sql")
        return {file.stem for file in files if not file.name.endswith(".rollback.sql")}

    def objects(self, kind: str) -> list[Path]:
        """Return the files of one kind of object, `functions` or `views`, sorted by name."""
        return sorted((self.sql / kind).rglob("*.sql"), key=lambda file: file.stem)

    def digest(self) -> str:
        """Return a fingerprint of everything in `sql/`."""
        texts = [file.read_bytes() for file in self.objects("functions") + self.objects("views")]
        return hashlib.sha256(b"\0".join(texts)).hexdigest()


def default_sources() -> Sources:
    """Return the folders inside the installed package, or those of the checkout."""
    package = Path(__file__).parents[2]
    if (package / "_sql").is_dir():
        return Sources(package / "_migrations", package / "_sql")
    return Sources(package.parent / "migrations", package.parent / "sql")


def install(
    migrate_url: str, serving_role: str | None = None, *, sources: Sources | None = None, force: bool = False
) -> None:
    """Install or update the database in one transaction; repeated and concurrent calls are harmless.

    Raises `NewerDatabaseError`; `ServersAliveError` while a living server uses an older version, unless `force`;
    `InUseError` if a user's object depends on one that must be dropped.
    """
    sources = sources or default_sources()
    with _describe_errors(), _installer(migrate_url) as backend:
        conn: Connection = backend.connection
        if needs_install(conn, sources=sources) and not force:
            _refuse_living_servers(conn)
        if internalmigrations.needs_upgrading(backend):
            internalmigrations.upgrade(backend)
        with backend.transaction():
            _migrate(backend, sources)
            _install_sql(conn, sources, serving_role)


def needs_install(conn: Connection, *, sources: Sources | None = None) -> bool:
    """Whether migrations are pending or `sql/` has changed; raises `NewerDatabaseError`."""
    sources = sources or default_sources()
    _refuse_newer(conn, sources)
    if _applied(conn) != sources.migration_names():
        return True
    return _stored_mark(conn) != _mark(sources)


def current_user(conn: Connection) -> str:
    """Return the user whose rights a connection has."""
    return str(_value(conn, "SELECT current_user"))


def rollback(migrate_url: str, *, steps: int | None = None, sources: Sources | None = None) -> None:
    """Remove what `sql/` installed and undo the newest `steps` migrations, all of them by default."""
    sources = sources or default_sources()
    with _installer(migrate_url) as backend:
        _drop_sql(backend.connection, sources)
        for migration in list(backend.to_rollback(_migrations(sources)))[:steps]:
            with backend.transaction():
                migration.process_steps(backend, "rollback")
                backend.unmark_one(migration, log=False)


@contextmanager
def _describe_errors() -> Iterator[None]:
    """Turn the driver's errors into a sentence for the person who installs."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(f"The database cannot be reached: {error}") from error
    except psycopg.Error as error:
        raise SimError(f"The database cannot be installed: {error}") from error


@contextmanager
def _installer(url: str) -> Iterator[Any]:
    """Open yoyo's backend on one connection, while no other installer works.

    The lock is advisory: it ends with its connection. yoyo's own lock is a row, which would remain after a kill.
    """
    uri = DatabaseURI("postgresql+psycopg", None, None, None, None, None, {"conninfo": install_conninfo(url)})
    with PostgresqlPsycopgBackend(uri, APPLIED) as backend:
        conn: Connection = backend.connection
        conn.execute("SET application_name = 'zeon install'")
        require_usable(conn, url)
        conn.execute("SET client_min_messages = warning")
        # Not by sim_lock_key, which may not exist yet; installers of all versions wait for the same key.
        conn.execute("SELECT pg_advisory_lock(hashtextextended('zeon install', 0))")
        if _value(conn, "SELECT current_schema()") is None:
            raise SimError("The search_path names no schema that exists; create one first.")
        yield backend


def _migrate(backend: Any, sources: Sources) -> None:
    """Apply pending migrations, and mark each as applied."""
    for migration in backend.to_apply(_migrations(sources)):
        with backend.transaction():
            migration.process_steps(backend, "apply")
            backend.mark_one(migration, log=False)


def _migrations(sources: Sources) -> Any:
    """Read the migrations as yoyo sees them."""
    return read_migrations(glob.escape(str(sources.migrations)))


def _applied(conn: Connection) -> set[str]:
    """Return the names of the migrations this schema has."""
    if _value(conn, "SELECT to_regclass(%s)", _table(conn)) is None:
        return set()
    rows = conn.execute(sql.SQL("SELECT migration_id FROM {}").format(sql.SQL(_table(conn))))
    return {name for (name,) in rows}


def _refuse_living_servers(conn: Connection) -> None:
    """Raise if servers are alive: they started before this version was installed."""
    if _value(conn, "SELECT to_regclass(quote_ident(current_schema()) || '.sim_runners')") is None:
        return
    alive = conn.execute(
        "SELECT name, extract(epoch FROM clock_timestamp() - seen_at)::integer FROM sim_runners"
        " WHERE seen_at + ttl > clock_timestamp() ORDER BY name"
    ).fetchall()
    if alive:
        servers = ", ".join(f"{name} (seen {seconds} s ago)" for name, seconds in alive)
        raise ServersAliveError(
            f"Servers of an older version use this database: {servers}."
            " Stop them first, or run `zeon migrate --force`.",
            details={"servers": [name for name, _ in alive]},
        )


def _refuse_newer(conn: Connection, sources: Sources) -> None:
    """Raise if the database has migrations that this code does not know."""
    unknown = sorted(_applied(conn) - sources.migration_names())
    if unknown:
        raise NewerDatabaseError(details={"migrations": unknown})


def _install_sql(conn: Connection, sources: Sources, serving_role: str | None) -> None:
    """Replace all functions and views, then grant."""
    with conn.transaction():
        conn.execute("SET LOCAL lock_timeout = '10s'")
        conn.execute("SET LOCAL check_function_bodies = off")
        conn.execute("SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true)")
        former = set(_stored_mark(conn).partition(_OBJECTS)[2].split()) or FIRST_NAMES
        replace_objects(conn, sources.objects("functions") + sources.objects("views"), former)
        _secure(conn)
        if serving_role not in (None, current_user(conn)):
            _grant(conn, sources, serving_role)
        note = sql.SQL("COMMENT ON TABLE {} IS {}")
        conn.execute(note.format(sql.Identifier(APPLIED), sql.Literal(_mark(sources))))


def _drop_sql(conn: Connection, sources: Sources) -> None:
    """Drop all functions and views; one statement per kind, so that their order does not matter."""
    for kind in ("view", "function"):
        names = _names(tuple(file.stem for file in sources.objects(f"{kind}s")))
        if sources.objects(f"{kind}s"):
            conn.execute(sql.SQL("DROP {} IF EXISTS {}").format(sql.SQL(kind), names))


def _secure(conn: Connection) -> None:
    """Revoke from PUBLIC the right to call functions that run with their owner's rights."""
    for function in _own_rights(conn):
        conn.execute(sql.SQL("REVOKE ALL ON FUNCTION {} FROM PUBLIC").format(function))


def _grant(conn: Connection, sources: Sources, role: str) -> None:
    """Grant the serving role what it needs; it can only insert and read events."""
    views = [file.stem for file in sources.objects("views")]
    granted = [
        (sql.SQL("USAGE ON SCHEMA"), sql.Identifier(_value(conn, "SELECT current_schema()"))),
        (sql.SQL("SELECT, INSERT, UPDATE, DELETE ON"), _names(READ_WRITE)),
        (sql.SQL("SELECT, INSERT ON"), _names(APPEND_ONLY)),
        (sql.SQL("SELECT ON"), _names((*views, APPLIED))),
        *((sql.SQL("EXECUTE ON FUNCTION"), function) for function in _own_rights(conn)),
    ]
    for rights, objects in granted:
        conn.execute(sql.SQL("GRANT {} {} TO {}").format(rights, objects, sql.Identifier(role)))


def _own_rights(conn: Connection) -> list[sql.Composable]:
    """Return the functions of this schema that run with their owner's rights, with their arguments."""
    rows = conn.execute(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE prosecdef"
        " AND pronamespace = quote_ident(current_schema())::regnamespace"
        " AND proowner = quote_ident(current_user)::regrole"
    )
    return [sql.SQL(function) for (function,) in rows]


def _names(names: tuple[str, ...]) -> sql.Composable:
    """Quote a list of names."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _table(conn: Connection) -> str:
    """Return yoyo's table in the current schema, quoted; other schemas of the search_path are ignored."""
    return str(_value(conn, "SELECT format('%%I.%%I', current_schema(), %s::text)", APPLIED))


def _mark(sources: Sources) -> str:
    """Return the comment that identifies the installed `sql/`, with the names of its functions and views."""
    names = [file.stem for kind in ("functions", "views") for file in sources.objects(kind)]
    return f"Migrations applied; sql {sources.digest()}{_OBJECTS}{' '.join(names)}"


def _stored_mark(conn: Connection) -> str:
    """Return the comment of `_mark` in the database, empty without one."""
    return str(_value(conn, "SELECT obj_description(to_regclass(%s))", _table(conn)) or "")


def _value(conn: Connection, query: LiteralString, *arguments: object) -> Any:
    """Return the first column of a query's only row."""
    row = conn.execute(query, arguments).fetchone()
    return row and row[0]
