"""`zeon migrate`, `zeon dsn` and `zeon psql`: install the database, print its address, and open psql on it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import Annotated

import typer

from app.cli import output
from app.cli.options import Json
from app.db.setup import embedded
from app.db.setup.location import (
    DatabaseLocation,
    address,
    address_parts,
    install_database,
    libpq_environment,
    open_location,
    require_database,
)
from app.errors import SimError
from app.settings import load

Force = Annotated[bool, typer.Option("--force", help="Update even while servers of an older version are alive.")]


def migrate(force: Force = False) -> None:
    """Install or update the database: migrations, functions, views and grants. Running it again is harmless."""
    with open_location(load()) as location:
        install_database(location, force=force)
    output.line("The database is up to date.")


def dsn(json: Json = False) -> None:
    """Print the address of the database for other programs: psql, pgcli, pandas, Grafana."""
    settings = load()
    url = address(settings)
    if settings.database_url is None and "host" in url.partition("?")[2]:
        output.note(
            "This is the socket of the embedded Postgres. It is there while a server or command of zeon runs, for"
            " programs of this machine and user only; ZEON_PG_PORT adds a port."
        )
    if json:
        sqlalchemy = url.replace("postgresql:", "postgresql+psycopg:", 1)
        output.as_json({"url": url, "sqlalchemy": sqlalchemy, **address_parts(url)})
    else:
        output.line(url)


def psql(context: typer.Context) -> None:
    """Open psql on the database; arguments after `psql` go to it: zeon psql -c 'SELECT 1'."""
    settings = load()
    require_database(settings)
    with open_location(settings) as location:
        environment = {**os.environ, **libpq_environment(location.url)}
        with subprocess.Popen([_program(location), *context.args], env=environment) as process:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Only psql handles Ctrl-C.
            signal.signal(signal.SIGTERM, lambda *_: process.terminate())
            code = process.wait()
    raise typer.Exit(code if code >= 0 else 128 - code)


def _program(location: DatabaseLocation) -> str:
    """Return the psql of the embedded server, else the system's, else the bundled one."""
    if location.programs is not None:
        return str(location.programs / "psql")
    program = shutil.which("psql")
    if program is not None:
        return program
    try:
        return str(embedded.binaries() / "psql")
    except SimError:
        raise SimError("psql is not installed; install the Postgres client.") from None
