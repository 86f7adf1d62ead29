"""Functions and views of `sql/` in a database: replace them, drop removed ones, and keep the users' grants."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import errors, sql

from app.errors import InUseError, SimError

Connection = psycopg.Connection[Any]

_NOT_REPLACEABLE = (errors.InvalidFunctionDefinition, errors.InvalidTableDefinition, errors.WrongObjectType)
"""CREATE OR REPLACE raises these if the existing object has other result columns or argument names."""

_OBJECTS = """
SELECT 'FUNCTION', p.proname, 'pg_proc'::regclass::oid, p.oid, p.xmin::text, p.oid::regprocedure::text
FROM pg_proc p
WHERE p.pronamespace = quote_ident(current_schema())::regnamespace AND p.proowner = quote_ident(current_user)::regrole
  AND p.proname = ANY (%(names)s)
UNION ALL
SELECT 'VIEW', c.relname, 'pg_class'::regclass, c.oid, c.xmin::text, c.oid::regclass::text
FROM pg_class c
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relowner = quote_ident(current_user)::regrole
  AND c.relname = ANY (%(names)s) AND c.relkind = 'v'"""
_USERS = """
WITH RECURSIVE needed AS (
  SELECT * FROM unnest(%s::oid[], %s::oid[]) AS n (class, id)
  UNION
  SELECT d.class, d.id
  FROM needed n
  CROSS JOIN LATERAL (
    SELECT d.classid, d.objid FROM pg_depend d WHERE d.refclassid = n.class AND d.refobjid = n.id
    UNION ALL
    SELECT 'pg_class'::regclass, r.ev_class FROM pg_rewrite r WHERE n.class = 'pg_rewrite'::regclass AND r.oid = n.id
  ) d (class, id)
)
SELECT class, id, pg_describe_object(class, id, 0)
FROM needed
WHERE class NOT IN ('pg_rewrite'::regclass, 'pg_type'::regclass)  -- parts of views
ORDER BY 3"""
_GRANTS = """
SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
       a.privilege_type, a.is_grantable
FROM (
  SELECT p.proacl FROM pg_proc p WHERE %(class)s = 'pg_proc'::regclass AND p.oid = %(id)s
  UNION ALL
  SELECT c.relacl FROM pg_class c WHERE %(class)s = 'pg_class'::regclass AND c.oid = %(id)s
) o (acl), aclexplode(o.acl) a"""


class _Object(NamedTuple):
    """A function or view in the schema; `version` changes with every replacement, `signature` is its name in SQL."""

    kind: str
    name: str
    class_id: int
    id: int
    version: str
    signature: str


class _Grant(NamedTuple):
    """A grant on an object, as text for GRANT."""

    grantee: str
    privilege: str
    grantable: bool


def replace_objects(conn: Connection, files: Sequence[Path], former: Collection[str]) -> None:
    """Create or replace the function or view of each file; drop those of the `former` names that have no file.

    Run it in a transaction. Raises `InUseError` if a user's object depends on one that must be dropped, and `SimError`
    for a file that fails.
    """
    _Replacement(conn, files, former).run()


class _Replacement:
    """One run over all files: the objects before it, the files still to run, and the grants on dropped objects."""

    def __init__(self, conn: Connection, files: Sequence[Path], former: Collection[str]) -> None:
        self._conn = conn
        self._files = {file.stem: file for file in files}
        self._names = list({*self._files, *former})
        self._before = {(object_.id, object_.version) for object_ in self._objects()}
        self._waiting = dict(self._files)
        self._grants: dict[tuple[str, str], list[_Grant]] = {}

    def run(self) -> None:
        """Run every file, in an order that satisfies their dependencies; then drop objects without a file."""
        while self._waiting:
            names, failed = list(self._waiting), dict[str, psycopg.Error]()
            for name in names:
                try:
                    self._create(name)
                except psycopg.ProgrammingError as error:  # It may need what a later file creates or changes.
                    failed[name] = error
            if len(failed) == len(names):
                name, cause = next(iter(failed.items()))
                raise SimError(f"{name}.sql: {cause}") from cause
        self._drop([object_ for object_ in self._objects() if object_.name not in self._files])
        self._grant_again()

    def _create(self, name: str) -> None:
        """Run a file. First drop an object that it cannot replace; afterwards drop its overloads."""
        try:
            self._execute(name)
        except _NOT_REPLACEABLE:
            self._drop(self._objects([name]))
            self._execute(name)
        del self._waiting[name]
        self._drop([object_ for object_ in self._objects([name]) if (object_.id, object_.version) in self._before])

    def _execute(self, name: str) -> None:
        with self._conn.transaction():
            self._conn.execute(self._files[name].read_bytes())

    def _drop(self, objects: Sequence[_Object]) -> None:
        """Drop objects and our objects that use them (created again later); raises `InUseError` for users' objects."""
        if not objects:
            return
        ours = {(object_.class_id, object_.id): object_ for object_ in self._objects()}
        ids = [object_.class_id for object_ in objects], [object_.id for object_ in objects]
        users = self._conn.execute(_USERS, ids).fetchall()
        foreign = [description for class_id, id_, description in users if (class_id, id_) not in ours]
        if foreign:
            raise InUseError(
                f"The {objects[0].kind.lower()} {objects[0].signature} has to be dropped for the new version, but these"
                f" use it: {', '.join(foreign)}. Drop them, run `zeon migrate`, and create them again."
                " Nothing was changed.",
                details={"object": objects[0].signature, "usedBy": foreign},
            )
        for object_ in [ours[class_id, id_] for class_id, id_, _ in users]:
            self._remember_grants(object_)
            self._conn.execute(
                sql.SQL("DROP {} IF EXISTS {} CASCADE").format(sql.SQL(object_.kind), sql.SQL(object_.signature))
            )
            if object_.name in self._files:
                self._waiting[object_.name] = self._files[object_.name]

    def _remember_grants(self, dropped: _Object) -> None:
        rows = self._conn.execute(_GRANTS, {"class": dropped.class_id, "id": dropped.id})
        grants = [_Grant(*row) for row in rows]
        self._grants.setdefault((dropped.kind, dropped.name), []).extend(grants)

    def _grant_again(self) -> None:
        """Repeat the grants of dropped objects on the new ones."""
        for object_ in self._objects():
            target = f"{'TABLE' if object_.kind == 'VIEW' else object_.kind} {object_.signature}"
            grants = self._grants.get((object_.kind, object_.name), [])
            if grants:  # Without any, the defaults of a new object apply, such as EXECUTE for PUBLIC.
                self._conn.execute(sql.SQL("REVOKE ALL ON {} FROM PUBLIC").format(sql.SQL(target)))
            for grant in grants:
                option = " WITH GRANT OPTION" if grant.grantable else ""
                statement = f"GRANT {grant.privilege} ON {target} TO {grant.grantee}{option}"
                self._conn.execute(statement.encode())

    def _objects(self, names: Sequence[str] | None = None) -> list[_Object]:
        """Return the functions and views of these names; by default all of ours."""
        rows = self._conn.execute(_OBJECTS, {"names": self._names if names is None else names})
        return [_Object(*row) for row in rows]
