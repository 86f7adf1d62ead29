"""A standby of a private Postgres, to be promoted when its primary has stopped."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from app.db.setup import embedded
from tests.support.postgres import DEBIAN_15, SETTINGS, Database, Postgres, PrivatePostgres, as_url, memory_folder


def programs() -> Path:
    """Return the folder of Debian's Postgres 15, which has pg_basebackup; skip the test without it."""
    if not (DEBIAN_15 / "pg_basebackup").exists():
        pytest.skip("Debian's postgresql-15 is not installed")
    return DEBIAN_15


class Standby(PrivatePostgres):
    """A hot standby that follows its primary until `cut_off`, and serves reads and writes after `promote`."""

    def __init__(self, primary: PrivatePostgres) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="zeon-test-", dir=memory_folder()))
        owner = primary.embedded.pgdata.stat()
        os.chown(self.folder, owner.st_uid, owner.st_gid)
        source = ("-h", str(primary.embedded.socket_dir), "-p", "5432", "-U", "postgres")
        copy = ("-D", str(self.folder / "postgres"), "-R", "-X", "stream", "-c", "fast")
        primary.embedded._run("pg_basebackup", *source, *copy)
        (self.folder / "postgres" / ".s.PGSQL.5432.lock").unlink(missing_ok=True)  # Copied with the files.
        often = {**SETTINGS, "wal_retrieve_retry_interval": "100ms"}
        self.embedded = embedded.start(self.folder, bin_path=primary.embedded.bin_path, settings=often)
        Postgres.__init__(self, "standby", self.embedded.url_for("postgres", "postgres"), self._remove)

    def cut_off(self) -> None:
        """Get nothing more from the primary."""
        with self.admin() as admin:
            admin.execute("ALTER SYSTEM SET primary_conninfo = ''")
            admin.execute("SELECT pg_reload_conf()")
            while admin.execute("SELECT FROM pg_stat_wal_receiver").fetchone():
                pass

    def promote(self) -> None:
        """Become the primary."""
        self.embedded.pg_ctl("promote")

    def promote_alone(self) -> None:
        """Become the primary, and wait for no standby of its own."""
        self.promote()
        with self.admin() as admin:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            admin.execute("SELECT pg_reload_conf()")

    def same_database(self, database: Database) -> Database:
        """Return the database of the primary as it is here."""
        return moved(database, {"host": str(self.embedded.socket_dir)})

    def either(self, database: Database) -> Database:
        """Return the database wherever it can be written: here or on the primary."""
        host = f"{conninfo_to_dict(database.url)['host']},{self.embedded.socket_dir}"
        return moved(database, {"host": host, "port": "5432,5432", "target_session_attrs": "read-write"})


def moved(database: Database, changes: dict[str, str]) -> Database:
    """Return a database under another address."""
    urls = (as_url(make_conninfo(url, **changes)) for url in (database.url, database.owner_url, database.admin_url))
    return Database(database.name, *urls)


@contextmanager
def replicated(*, synchronous: bool) -> Iterator[tuple[PrivatePostgres, Standby]]:
    """Run a primary and its standby; with `synchronous` a commit waits until the standby has it on its disk."""
    primary = PrivatePostgres("primary", bin_path=programs())
    standby = None
    try:
        primary.template  # noqa: B018 - made before the copy
        standby = Standby(primary)
        if synchronous:
            with psycopg.connect(primary.admin_url, autocommit=True) as admin:
                admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                admin.execute("SELECT pg_reload_conf()")
        yield primary, standby
    finally:
        for server in filter(None, (standby, primary)):
            server.stop()
