"""What a database must be like before a server uses it; each refusal is one sentence that says what to do."""

from __future__ import annotations

from typing import Any

import psycopg

from app.db.setup.connection_settings import LIMITS, NAMES, READ, REPAIR, differences, wanted_search_path
from app.errors import SimError

Connection = psycopg.Connection[Any]


def require_usable(conn: Connection, url: str) -> None:
    """Raise `SimError` for a standby, an encoding other than UTF8, or an address whose search_path was lost."""
    name = conn.info.dbname
    encoding = conn.info.parameter_status("server_encoding")
    if encoding not in ("UTF8", None):
        raise SimError(
            f"The database {name} has the encoding {encoding}, and ZEON sim needs UTF8;"
            " create one with: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0."
        )
    if _value(conn, "SELECT pg_is_in_recovery()"):
        raise SimError(
            f"The server of database {name} is a standby, which accepts no changes; use the address of the primary, or"
            " those of all servers with target_session_attrs=read-write."
        )
    _require_settings(conn, url)


def require_tables(conn: Connection) -> None:
    """Raise `SimError` if this user's search_path finds no installed tables, although they exist for the owner."""
    if _value(conn, "SELECT to_regclass('sim_sessions')") is None:
        user, path = conn.execute("SELECT current_user, current_setting('search_path')").fetchone() or ("", "")
        raise SimError(
            f"The role {user} does not find the installed tables with its search_path {path};"
            " give all addresses the same one: options=-csearch_path%3D…."
        )


def _require_settings(conn: Connection, url: str) -> None:
    """Set what a pooler has left out; raise `SimError` if that is the search_path, which selects the tables."""
    missing = differences(url, conn.execute(READ, [NAMES]).fetchall())
    if "search_path" in missing:
        raise SimError(
            f"The search_path {wanted_search_path(url)} of the address does not reach Postgres, probably because of a"
            " pooler in between; give it to the role instead: ALTER ROLE … SET search_path = …."
        )
    missing = {name: value for name, value in missing.items() if name not in LIMITS}
    conn.execute(REPAIR, [list(missing), list(missing.values())])


def _value(conn: Connection, query: str) -> Any:
    row = conn.execute(query.encode()).fetchone()
    return row and row[0]
