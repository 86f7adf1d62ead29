"""Where the database is: at DATABASE_URL, or in the embedded server, which runs while a process uses it."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlencode

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from app.db.setup import embedded
from app.db.setup.connection_settings import REFUSED, install_conninfo, is_refusal
from app.db.setup.install import current_user, install, needs_install
from app.db.setup.requirements import require_tables, require_usable
from app.errors import BadInputError, DatabaseAwayError, NoDatabaseError
from app.settings import Settings

ANSWER_S = 15
"""Seconds in which a new connection's first statements must be answered."""

_log = logging.getLogger(__name__)


class DatabaseLocation(NamedTuple):
    """The addresses of a database, and the folder of the embedded server's programs."""

    url: str
    migrate_url: str
    listen_url: str
    programs: Path | None = None


@contextmanager
def open_location(settings: Settings) -> Iterator[DatabaseLocation]:
    """Yield the database's location. The embedded server is started if needed, and released at the end."""
    url = settings.database_url
    if url is not None:
        yield DatabaseLocation(url, settings.migrate_url or url, settings.listen_url or url)
        return
    server = embedded.start(settings.data_dir, port=settings.pg_port)
    try:
        yield DatabaseLocation(server.url, server.migrate_url, server.url, server.bin_path)
    finally:
        server.stop()


@contextmanager
def installed_location(settings: Settings) -> Iterator[DatabaseLocation]:
    """Like `open_location`, and install or update the database; raises `NewerDatabaseError` or another `SimError`."""
    with open_location(settings) as location:
        if is_outdated(location):
            _log.info("installing or updating the database")
            install_database(location)
        for url in {location.url, location.listen_url} - {location.migrate_url}:
            with _connect(url) as conn:
                require_tables(conn)
        yield location


@contextmanager
def existing_location(settings: Settings) -> Iterator[DatabaseLocation]:
    """Like `open_location`, but raise `NoDatabaseError` if no database is installed yet."""
    require_database(settings)
    with open_location(settings) as location:
        if is_outdated(location):
            raise NoDatabaseError()
        yield location


def require_database(settings: Settings) -> None:
    """Raise `NoDatabaseError` if an embedded server would have to be set up first."""
    if settings.database_url is None and not embedded.exists(settings.data_dir):
        raise NoDatabaseError(
            f"There is no database under {settings.data_dir.expanduser().resolve()} yet. `zeon serve` sets one up;"
            " to use another one, set DATABASE_URL or ZEON_DATA_DIR."
        )


def is_outdated(location: DatabaseLocation) -> bool:
    """Whether a database is empty or older than this code; raises `NewerDatabaseError` or `DatabaseAwayError`."""
    with _connect(location.migrate_url) as conn:
        return needs_install(conn)


def install_database(location: DatabaseLocation, *, force: bool = False) -> None:
    """Install or update everything, and grant the serving role what it needs; raises what `install` raises."""
    with _connect(location.url) as conn:
        serving_role = current_user(conn)
    install(location.migrate_url, serving_role, force=force)


def address(settings: Settings) -> str:
    """Return the serving role's address as a URL, without connecting or starting a server.

    Raises `NoDatabaseError` or `BadInputError`.
    """
    require_database(settings)
    return to_url(settings.database_url or embedded.address(settings.data_dir, settings.pg_port))


def address_parts(address: str) -> dict[str, str]:
    """Return what an address of either form says, by libpq's names; raises `BadInputError` for another text."""
    try:
        return {name: str(value) for name, value in conninfo_to_dict(address).items() if value is not None}
    except psycopg.Error as error:
        raise BadInputError(f"DATABASE_URL: is no address of Postgres: {str(error).strip()}") from None


def to_url(address: str) -> str:
    """Return an address as the URL that psql and SQLAlchemy take; raises `BadInputError`.

    A socket and several hosts stand behind the `?`, because not every program finds them before it.
    """
    parts = address_parts(address)
    user, password = (quote(parts.pop(name, ""), safe="") for name in ("user", "password"))
    name, host, port = parts.pop("dbname", ""), "", ""
    if not set(parts.get("host", "")) & set("/,@") and "," not in parts.get("port", ""):
        host, port = parts.pop("host", ""), parts.pop("port", "")
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    server = (f"[{host}]" if ":" in host else quote(host, safe="")) + (f":{port}" if port else "")
    query = f"?{urlencode(parts, quote_via=quote)}" if parts else ""
    return f"postgresql://{login}{server}/{quote(name, safe='')}{query}"


def libpq_environment(url: str) -> dict[str, str]:
    """Return an address as libpq's variables, so that no password appears in a list of processes."""
    options = pq.Conninfo.parse(url.encode())
    return {option.envvar.decode(): option.val.decode() for option in options if option.envvar and option.val}


def same_user(location: DatabaseLocation) -> bool:
    """Whether migrations and servers act as one user of Postgres, whatever their addresses are."""
    with _connect(location.url) as serving, _connect(location.migrate_url) as migrating:
        return current_user(serving) == current_user(migrating)


@contextmanager
def _connect(url: str) -> Iterator[psycopg.Connection]:
    """Connect for an installation; raises `DatabaseAwayError` or, if servers cannot use the database, `SimError`."""
    try:
        conn = psycopg.connect(
            install_conninfo(url),
            autocommit=True,
            connect_timeout=10,
            prepare_threshold=None,
            application_name="zeon install",
        )
    except psycopg.Error as error:
        raise _unreachable(error) from error
    with conn:
        try:
            with _answered_in_time(conn):
                require_usable(conn, url)
            yield conn
        except psycopg.OperationalError as error:  # A pooler accepts connections even if Postgres does not answer.
            raise _unreachable(error) from error


@contextmanager
def _answered_in_time(conn: psycopg.Connection) -> Iterator[None]:
    """Cut a connection whose first statements are not answered in `ANSWER_S`; raises `DatabaseAwayError`.

    A pooler holds them for its `query_wait_timeout`, 120 s by default, while Postgres is away.
    """
    late = threading.Event()

    def cut() -> None:
        late.set()
        with socket.socket(fileno=os.dup(conn.fileno())) as peer, suppress(OSError):
            peer.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(ANSWER_S, cut)
    timer.start()
    try:
        yield
    except psycopg.OperationalError as error:
        if late.is_set():
            raise DatabaseAwayError(
                f"The database cannot be reached: connected, but no answer within {ANSWER_S} s. Behind a pooler, its"
                " server is away or all its connections are in use."
            ) from error
        raise
    finally:
        timer.cancel()


def _unreachable(error: psycopg.Error) -> DatabaseAwayError:
    reason = str(error).strip().partition("\n")[0]
    return DatabaseAwayError(REFUSED if is_refusal(error) else f"The database cannot be reached: {reason}")
