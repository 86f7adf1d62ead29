import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from app.db.setup.install import FIRST_NAMES, Sources, default_sources, install, needs_install, rollback
from app.errors import DatabaseAwayError, InUseError, NewerDatabaseError, ServersAliveError, SimError
from tests.frozen.restore import restore

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


def test_twenty_installers_at_once_are_harmless(empty_database, postgres):
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: install(empty_database.owner_url, postgres.serving), range(20)))
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
    assert rows(empty_database.owner_url, OBJECTS) == []


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
        "import sys, pathlib; from app.db.setup.install import *;"
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


def test_it_lives_wherever_the_search_path_points(empty_database, postgres):
    rows(empty_database.owner_url, "CREATE SCHEMA elsewhere")
    url = f"{empty_database.owner_url}&options=-csearch_path%3Delsewhere"
    install(url, postgres.serving)
    assert rows(url, "SELECT count(*) FROM sim_events") == [(0,)]
    assert rows(empty_database.owner_url, "SELECT to_regclass('public.sim_events')") == [(None,)]
    serving = f"{empty_database.url}&options=-csearch_path%3Delsewhere"
    assert rows(serving, "SELECT count(*) FROM sim_view_sessions") == [(0,)]
    assert not needed(serving)


def test_a_search_path_that_leads_nowhere_is_a_sentence(empty_database):
    with pytest.raises(SimError, match="search_path"):
        install(f"{empty_database.owner_url}&options=-csearch_path%3Dnowhere")


def test_a_database_that_is_away_is_a_sentence():
    with pytest.raises(DatabaseAwayError, match="cannot be reached"):
        install("postgresql://nobody@127.0.0.1:1/nothing")


def change(sources: Sources, name: str, text: str) -> None:
    """Write another text of a function or view of the temporary SQL folders."""
    [file] = [path for path in sources.sql.rglob("*.sql") if path.stem == name]
    file.write_text(text)


@pytest.fixture
def installed(empty_database, sources):
    """Temporary SQL folders, installed, and a role with grants on two views and a function."""
    role = f"reader_{empty_database.name}"
    install(empty_database.owner_url, sources=sources)
    rows(empty_database.admin_url, f"CREATE ROLE {role}")
    for what in ("SELECT ON two", "SELECT ON early", "EXECUTE ON FUNCTION c()"):
        rows(empty_database.owner_url, f"GRANT {what} TO {role}")
    rows(empty_database.owner_url, "REVOKE EXECUTE ON FUNCTION c() FROM PUBLIC")
    yield empty_database, role
    rows(empty_database.admin_url, f"DROP OWNED BY {role}")
    rows(empty_database.admin_url, f"DROP ROLE {role}")


def test_a_view_with_other_columns_is_created_again_with_its_grants_and_so_is_ours_that_uses_it(installed, sources):
    database, role = installed
    change(sources, "two", "CREATE OR REPLACE VIEW two AS SELECT c() AS three, 4 AS four FROM one;")
    install(database.owner_url, sources=sources)
    columns = "SELECT attname FROM pg_attribute WHERE attrelid = 'early'::regclass ORDER BY attnum"
    assert rows(database.owner_url, columns) == [("three",), ("four",)]
    for view in ("two", "early"):
        assert rows(database.owner_url, f"SELECT has_table_privilege('{role}', '{view}', 'SELECT')") == [(True,)]
        assert rows(database.owner_url, f"SELECT has_table_privilege('{role}', '{view}', 'INSERT')") == [(False,)]
    assert not needed(database.owner_url, sources)


def test_a_function_with_another_result_is_created_again_with_its_grants(installed, sources):
    database, role = installed
    change(sources, "c", "CREATE OR REPLACE FUNCTION c() RETURNS TABLE (x int, y int) LANGUAGE sql AS 'SELECT 3, 4';")
    change(sources, "two", "CREATE OR REPLACE VIEW two AS SELECT a, 3 AS three FROM one;")
    change(sources, "b", "CREATE OR REPLACE FUNCTION b() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT x FROM c(); END;")
    install(database.owner_url, sources=sources)
    assert rows(database.owner_url, "SELECT x, y, b() FROM c()") == [(3, 4, 3)]
    assert rows(database.owner_url, f"SELECT has_function_privilege('{role}', 'c()', 'EXECUTE')") == [(True,)]
    others = "SELECT has_function_privilege('pg_monitor', 'c()', 'EXECUTE')"
    assert rows(database.owner_url, others) == [(False,)]


def test_a_function_with_other_arguments_takes_the_place_of_the_one_before(installed, sources):
    database, role = installed
    change(sources, "c", "CREATE OR REPLACE FUNCTION c(n int DEFAULT 7) RETURNS int LANGUAGE sql AS 'SELECT n';")
    install(database.owner_url, sources=sources)
    result = "SELECT c(), b(), oid::regprocedure::text FROM pg_proc WHERE proname = 'c'"
    assert rows(database.owner_url, result) == [(7, 7, "c(integer)")]
    assert rows(database.owner_url, f"SELECT has_function_privilege('{role}', 'c(int)', 'EXECUTE')") == [(True,)]


def test_what_is_no_longer_in_sql_is_dropped_and_what_never_was_stays(installed, sources):
    database, _ = installed
    rows(database.owner_url, "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    rows(database.owner_url, "CREATE VIEW my_view AS SELECT 1 AS n")
    for name in ("views/early.sql", "functions/a.sql", "functions/b.sql"):
        (sources.sql / name).unlink()
    install(database.owner_url, sources=sources)
    assert rows(database.owner_url, OBJECTS) == [("c()",), ("mine()",), ("my_view",), ("one",), ("two",)]


@pytest.mark.parametrize(
    ("kind", "rest", "description"),
    [
        ("VIEW", "AS SELECT three FROM early", "view report"),
        ("MATERIALIZED VIEW", "AS SELECT three FROM two", "materialized view report"),
        ("TABLE", "(n int DEFAULT c())", "default value for column n of table report"),
    ],
)
def test_what_a_user_built_on_it_is_named_and_nothing_is_done(installed, sources, kind, rest, description):
    database, _ = installed
    rows(database.owner_url, f"CREATE {kind} report {rest}")
    before = rows(database.owner_url, OBJECTS)
    (sources.migrations / "0002-two.sql").write_text("CREATE TABLE four (a int);")
    change(sources, "c", "CREATE OR REPLACE FUNCTION c() RETURNS text LANGUAGE sql AS $$ SELECT '3' $$;")
    change(sources, "b", "CREATE OR REPLACE FUNCTION b() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT c(); END;")
    with pytest.raises(InUseError, match=rf"function c\(\) has to be dropped.*{description}.*Nothing was changed"):
        install(database.owner_url, sources=sources)
    assert rows(database.owner_url, OBJECTS) == before
    assert rows(database.owner_url, "SELECT c(), migration_id FROM _yoyo_migration") == [(3, "0001-one")]
    rows(database.owner_url, f"DROP {kind} report")
    install(database.owner_url, sources=sources)
    assert rows(database.owner_url, "SELECT c()") == [("3",)]


def test_a_view_of_a_user_on_what_keeps_its_columns_is_no_obstacle(installed, sources):
    database, _ = installed
    rows(database.owner_url, "INSERT INTO one VALUES (1)")
    rows(database.owner_url, "CREATE VIEW report AS SELECT three FROM early")
    change(sources, "two", "CREATE OR REPLACE VIEW two AS SELECT a, c() AS three, 4 AS four FROM one;")
    change(sources, "c", "CREATE OR REPLACE FUNCTION c() RETURNS int LANGUAGE sql AS 'SELECT 5';")
    install(database.owner_url, sources=sources)
    assert rows(database.owner_url, "SELECT * FROM report") == [(5,)]


def test_a_living_server_of_an_older_version_is_named(database):
    enlist = "INSERT INTO sim_runners (name, ttl, seen_at) VALUES ('{}', '1 hour', now() - interval '{}')"
    rows(database.url, enlist.format("alive", "7 seconds"))
    rows(database.url, enlist.format("dead", "2 hours"))
    install(database.owner_url)  # Nothing has changed: the server is of this version.
    rows(database.owner_url, "COMMENT ON TABLE _yoyo_migration IS 'Migrations applied; sql of before'")
    sentence = r"alive \(seen \d+ s ago\)\. Stop them first, or run .*--force"
    with pytest.raises(ServersAliveError, match=sentence) as raised:
        install(database.owner_url)
    assert raised.value.details == {"servers": ["alive"]}
    assert needed(database.owner_url)
    install(database.owner_url, force=True)
    assert not needed(database.owner_url)


def test_a_database_of_the_first_version_gets_the_same_objects_as_a_new_one(empty_database, database):
    restore(empty_database.owner_url)
    names = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    assert {name for (name,) in rows(empty_database.owner_url, names)} >= FIRST_NAMES
    rows(empty_database.owner_url, "CREATE VIEW report AS SELECT name, percent FROM sim_view_sessions")
    install(empty_database.owner_url)
    results = rows(empty_database.owner_url, OBJECTS)
    assert [result for result in results if result != ("report",)] == rows(database.owner_url, OBJECTS)
    assert rows(empty_database.owner_url, "SELECT count(*) > 0 FROM report") == [(True,)]


def test_other_tables_of_the_database_are_left_alone(empty_database, postgres):
    url = empty_database.owner_url
    rows(url, "CREATE TABLE operations (a int); CREATE TABLE balances (a int); CREATE TABLE vaults (a int)")
    install(url, postgres.serving)
    untouched = "SELECT relname FROM pg_class WHERE relname IN ('operations', 'balances', 'vaults') AND relacl IS NULL"
    assert len(rows(url, untouched)) == 3
