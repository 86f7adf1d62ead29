import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from app.db.install import Sources, default_sources, install, needs_install, rollback
from app.errors import NewerDatabaseError, SimError, UnavailableError

OBJECTS = """
    SELECT oid::regclass::text FROM pg_class
    WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      AND relkind IN ('r', 'v', 'i') AND relname NOT LIKE '%yoyo%' AND oid >= 16384
      AND relnamespace <> 'pg_toast'::regnamespace
    UNION ALL SELECT oid::regprocedure::text FROM pg_proc WHERE oid >= 16384 ORDER BY 1"""


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """Made-up folders: one migration, two functions and two views that need later files."""
    files = {
        "migrations/0001-one.sql": "CREATE TABLE one (a int);",
        "migrations/0001-one.rollback.sql": "DROP TABLE one;",
        "sql/functions/a.sql": "CREATE OR REPLACE FUNCTION a(t two) RETURNS int LANGUAGE sql AS 'SELECT 1';",
        "sql/functions/b.sql": "CREATE OR REPLACE FUNCTION b() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT c(); END;",
        "sql/functions/c.sql": "CREATE OR REPLACE FUNCTION c() RETURNS int LANGUAGE sql AS 'SELECT 3';",
        "sql/views/early.sql": "CREATE OR REPLACE VIEW early AS SELECT * FROM two;",
        "sql/views/two.sql": "CREATE OR REPLACE VIEW two AS SELECT a, c() AS three FROM one;",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return Sources(tmp_path / "migrations", tmp_path / "sql")


def rows(url: str, query: str) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as conn:
        cursor = conn.execute(query)
        return cursor.fetchall() if cursor.description else []


def needed(url: str, sources: Sources | None = None) -> bool:
    with psycopg.connect(url, autocommit=True) as conn:
        return needs_install(conn, sources=sources)


def test_installing_twice_is_harmless(empty_database):
    url = empty_database.owner_url
    assert needed(url)
    install(url)
    before = rows(url, OBJECTS)
    assert not needed(url)
    install(url)
    assert rows(url, OBJECTS) == before
    assert not needed(url)


def test_twenty_installers_at_once_are_harmless(empty_database, server):
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: install(empty_database.owner_url, server.serving), range(20)))
    assert not needed(empty_database.url)


def test_the_serving_role_can_tell_that_nothing_is_needed(database):
    assert not needed(database.url)


def test_a_changed_file_in_sql_is_installed(empty_database, sources):
    install(empty_database.owner_url, sources=sources)
    file = sources.sql / "functions" / "c.sql"
    file.write_text(file.read_text().replace("SELECT 3", "SELECT 4"))
    assert needed(empty_database.owner_url, sources)
    install(empty_database.owner_url, sources=sources)
    assert rows(empty_database.owner_url, "SELECT c()") == [(4,)]


def test_files_in_sql_may_need_later_ones(empty_database, sources):
    install(empty_database.owner_url, sources=sources)
    assert rows(empty_database.owner_url, "SELECT b() FROM (SELECT count(*) FROM early) e") == [(3,)]


def test_a_file_that_can_never_work_is_named_and_nothing_is_left(empty_database, sources):
    (sources.sql / "views" / "wrong.sql").write_text("CREATE OR REPLACE VIEW wrong AS SELECT * FROM nowhere;")
    with pytest.raises(SimError, match=r"wrong\.sql.*nowhere"):
        install(empty_database.owner_url, sources=sources)
    assert rows(empty_database.owner_url, OBJECTS) == [("one",)]


def test_a_failed_migration_leaves_nothing_and_can_be_tried_again(empty_database, sources):
    file = sources.migrations / "0002-two.sql"
    file.write_text("CREATE TABLE three (a int); CREATE TABLE four (a nonsense);")
    with pytest.raises(SimError, match="nonsense"):
        install(empty_database.owner_url, sources=sources)
    file.write_text("CREATE TABLE three (a int); CREATE TABLE four (a int);")
    install(empty_database.owner_url, sources=sources)
    assert rows(empty_database.owner_url, "SELECT count(*) FROM three, four") == [(0,)]


def test_a_newer_database_is_refused_in_a_sentence(empty_database, sources):
    newer = sources.migrations / "0002-two.sql"
    newer.write_text("CREATE TABLE three (a int);")
    install(empty_database.owner_url, sources=sources)
    newer.unlink()
    with pytest.raises(NewerDatabaseError, match="newer version"):
        install(empty_database.owner_url, sources=sources)
    with pytest.raises(NewerDatabaseError):
        needed(empty_database.owner_url, sources)


def test_every_migration_can_be_rolled_back_and_applied_again(empty_database):
    url = empty_database.owner_url
    steps = len(default_sources().migration_names())
    install(url)
    whole = rows(url, OBJECTS)
    for step in range(1, steps + 1):
        rollback(url, steps=step)
        assert len(rows(url, "SELECT * FROM _yoyo_migration")) == steps - step
        install(url)
        assert rows(url, OBJECTS) == whole
    rollback(url)
    assert rows(url, OBJECTS) == []


def test_an_installer_killed_half_way_does_not_block_the_next(empty_database, sources):
    (sources.migrations / "0002-slow.sql").write_text("CREATE TABLE two_b (a int); SELECT pg_sleep(60);")
    url = empty_database.owner_url
    code = (
        "import sys, pathlib; from app.db.install import *;"
        "install(sys.argv[1], sources=Sources(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])))"
    )
    command = [sys.executable, "-c", code, url, str(sources.migrations), str(sources.sql)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as process:
        sleeping = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
        while not (backend := rows(empty_database.admin_url, sleeping)):
            assert process.poll() is None
        process.kill()
    rows(empty_database.admin_url, f"SELECT pg_terminate_backend({backend[0][0]}, 5000)")
    (sources.migrations / "0002-slow.sql").write_text("CREATE TABLE two_b (a int);")
    install(url, sources=sources)
    assert not needed(url, sources)


def test_it_lives_wherever_the_search_path_points(empty_database, server):
    rows(empty_database.owner_url, "CREATE SCHEMA elsewhere")
    url = f"{empty_database.owner_url}&options=-csearch_path%3Delsewhere"
    install(url, server.serving)
    assert rows(url, "SELECT count(*) FROM sim_events") == [(0,)]
    assert rows(empty_database.owner_url, "SELECT to_regclass('public.sim_events')") == [(None,)]
    serving = f"{empty_database.url}&options=-csearch_path%3Delsewhere"
    assert rows(serving, "SELECT count(*) FROM sim_view_sessions") == [(0,)]
    assert not needed(serving)


def test_a_search_path_that_leads_nowhere_is_a_sentence(empty_database):
    with pytest.raises(SimError, match="search_path"):
        install(f"{empty_database.owner_url}&options=-csearch_path%3Dnowhere")


def test_a_database_that_is_away_is_a_sentence():
    with pytest.raises(UnavailableError, match="cannot be reached"):
        install("postgresql://nobody@127.0.0.1:1/nothing")


def test_other_tables_of_the_database_are_left_alone(empty_database, server):
    url = empty_database.owner_url
    rows(url, "CREATE TABLE operations (a int); CREATE TABLE balances (a int); CREATE TABLE vaults (a int)")
    install(url, server.serving)
    untouched = "SELECT relname FROM pg_class WHERE relname IN ('operations', 'balances', 'vaults') AND relacl IS NULL"
    assert len(rows(url, untouched)) == 3
