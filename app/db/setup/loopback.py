"""The port of the embedded Postgres on 127.0.0.1 (`ZEON_PG_PORT`): only for the serving role, and with a password."""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import psycopg
from psycopg import sql

from app.errors import SimError

HOST = "127.0.0.1"
_PASSWORD = "pg-password"  # noqa: S105 - the name of a file
_PORT_LINE, _ADDRESS_LINE = 3, 5
"""Lines of `postmaster.pid`, counted from 0."""


def config(pgdata: Path, role: str, database: str, port: int) -> dict[str, str]:
    """Write who may connect, and return the settings of a server that listens; raises `SimError` for a taken port.

    The socket stays as it is: only its owner can open it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SimError(f"ZEON_PG_PORT: Postgres cannot listen on {HOST}:{port}: {error.strerror}.") from error
    rules = pgdata / "zeon_hba.conf"
    rules.write_text(f"local all all trust\nhost {database} {role} {HOST}/32 scram-sha-256\n")
    return {"listen_addresses": HOST, "port": str(port), "hba_file": str(rules)}


def url(folder: Path, role: str, database: str, port: int) -> str:
    """Return the address with its password."""
    return f"postgresql://{role}:{_password(folder)}@{HOST}:{port}/{database}"


def set_password(conn: psycopg.Connection, folder: Path, role: str) -> None:
    """Give the role the password of the folder; only its SCRAM verifier is sent."""
    verifier = conn.pgconn.encrypt_password(_password(folder).encode(), role.encode(), b"scram-sha-256").decode()
    conn.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier)))


def running_port(pgdata: Path) -> int | None:
    """Return the port of the server that runs, which its socket is named after; null if none does."""
    line = _pid_file_line(pgdata, _PORT_LINE)
    return int(line) if line.isdecimal() else None


def listening_port(pgdata: Path) -> int | None:
    """Return the port on which the server that runs listens; null if it has only its socket, or does not run."""
    return running_port(pgdata) if _pid_file_line(pgdata, _ADDRESS_LINE) == HOST else None


def _pid_file_line(pgdata: Path, number: int) -> str:
    with suppress(FileNotFoundError, IndexError):
        return (pgdata / "postmaster.pid").read_text().split("\n")[number].strip()
    return ""


def _password(folder: Path) -> str:
    """Return the password of a folder, which only its owner can read; it is made when it is first needed."""
    file = folder / _PASSWORD
    if not file.exists():
        with NamedTemporaryFile("w", dir=folder) as new:  # Only its owner can read it.
            new.write(secrets.token_urlsafe(24))
            new.flush()
            with suppress(FileExistsError):
                os.link(new.name, file)
    return file.read_text()
