"""Puts the database that `make_dump.py` has dumped into an empty one, with nothing of the present code."""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import psycopg
from psycopg import errors, sql
from yoyo import internalmigrations, read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI

HERE = Path(__file__).parent
STRATEGIES = HERE / "strategies"
"""The folder of the user strategies; never changed, or their sessions could not go on."""
APPLIED = "_yoyo_migration"


class Table(NamedTuple):
    """A table and its rows as Postgres wrote them: never read as Python's numbers, which would lose digits."""

    name: str
    lines: list[str]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows, numbers as near as Python's floats come."""
        return list(map(json.loads, self.lines))


class Dump(NamedTuple):
    """What the old version left: `files` install it, `sessions` say what is expected of each session."""

    files: Mapping[str, str]
    comment: str
    sessions: list[dict[str, Any]]
    tokens: dict[str, str]
    tables: list[Table]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table."""
        (found,) = (one for one in self.tables if one.name == table)
        return found.rows

    def session(self, name: str) -> dict[str, Any]:
        """Return what is expected of the session with a name."""
        (found,) = (one for one in self.sessions if one["name"] == name)
        return found


@cache
def dump() -> Dump:
    """Read the dump."""
    tables: list[Table] = []
    with lzma.open(HERE / "b53902f.jsonl.xz", "rt") as file:
        head = json.loads(next(file))
        for line in file:
            if line.startswith('{"table": '):
                tables.append(Table(json.loads(line)["table"], []))
            else:
                tables[-1].lines.append(line)
    tokens = {one["name"]: one["token"] for one in head["tokens"]}
    return Dump(head["files"], head["comment"], head["sessions"], tokens, tables)


def restore(url: str) -> None:
    """Install the old version in an empty database as its owner, and fill it."""
    result = dump()
    with TemporaryDirectory() as place, _backend(url) as backend:
        for name, text in result.files.items():
            path = Path(place, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        _migrate(backend, Path(place, "migrations"))
        connection: psycopg.Connection[Any] = backend.connection
        with connection.transaction():
            connection.execute("SET LOCAL check_function_bodies = off")
            _create(connection, [text for name, text in result.files.items() if name.startswith("sql/")])
            for table in result.tables:
                _fill(connection, table)
            note = sql.SQL("COMMENT ON TABLE {} IS {}")
            connection.execute(note.format(sql.Identifier(APPLIED), sql.Literal(result.comment)))


def _backend(url: str) -> PostgresqlPsycopgBackend:
    uri = DatabaseURI("postgresql+psycopg", None, None, None, None, None, {"conninfo": url})
    return PostgresqlPsycopgBackend(uri, APPLIED)


def _migrate(backend: Any, folder: Path) -> None:
    internalmigrations.upgrade(backend)
    for migration in backend.to_apply(read_migrations(str(folder))):
        with backend.transaction():
            migration.process_steps(backend, "apply")
            backend.mark_one(migration, log=False)


def _create(connection: psycopg.Connection[Any], texts: list[str]) -> None:
    """Create functions and views; one that needs a later one is created after it."""
    waiting = []
    for text in texts:
        try:
            with connection.transaction():
                connection.execute(text.encode())
        except (errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedObject):
            waiting.append(text)
    assert len(waiting) < len(texts)
    if waiting:
        _create(connection, waiting)


def _fill(connection: psycopg.Connection[Any], table: Table) -> None:
    name = sql.Identifier(table.name)
    query = sql.SQL("INSERT INTO {} SELECT * FROM jsonb_populate_recordset(NULL::{}, %s::jsonb)").format(name, name)
    for start in range(0, len(table.lines), 2000):
        connection.execute(query, [f"[{','.join(table.lines[start : start + 2000])}]"])
