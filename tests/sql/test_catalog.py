"""What is in the database equals what is in `migrations/` and `sql/`, and all of it is described."""

from app.db.setup.install import APPEND_ONLY, READ_WRITE, default_sources

IN_SCHEMA = "relnamespace = current_schema()::regnamespace"
TABLES = f"SELECT relname FROM pg_class WHERE {IN_SCHEMA} AND relkind = 'r' AND relname NOT LIKE '\\_yoyo%%'"


def names(database, query):
    return {row[0] for row in database.query(query)}


def test_each_function_is_in_the_file_of_its_name(any_database):
    query = "SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
    results = [row[0] for row in any_database.query(query)]
    assert sorted(results) == [file.stem for file in default_sources().objects("functions")]


def test_each_view_is_in_the_file_of_its_name(any_database):
    result = names(any_database, f"SELECT relname FROM pg_class WHERE {IN_SCHEMA} AND relkind IN ('v', 'm')")
    assert result == {file.stem for file in default_sources().objects("views")}


def test_each_table_is_known_to_the_grants(any_database):
    assert names(any_database, TABLES) == {*READ_WRITE, *APPEND_ONLY}


def test_there_are_no_triggers(any_database):
    assert not names(any_database, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")


def test_every_table_view_and_column_has_a_comment(any_database):
    query = f"""
        SELECT c.relname || coalesce('.' || a.attname, '')
        FROM pg_class c
        LEFT JOIN LATERAL (
          SELECT attname, attnum FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
          UNION ALL SELECT NULL, 0
        ) a ON true
        WHERE {IN_SCHEMA} AND relkind IN ('r', 'v') AND relname NOT LIKE '\\_yoyo%'
          AND NOT (relkind = 'v' AND a.attnum > 0)
          AND CASE a.attnum WHEN 0 THEN obj_description(c.oid) ELSE col_description(c.oid, a.attnum) END IS NULL"""
    assert not names(any_database, query)


def test_every_function_has_a_comment(any_database):
    query = """
        SELECT proname FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND obj_description(oid, 'pg_proc') IS NULL"""
    assert not names(any_database, query)


def test_every_function_but_the_append_has_at_most_sixty_lines():
    long = [file.stem for file in default_sources().objects("functions") if len(file.read_text().split("\n")) > 61]
    assert long == ["sim_append_ticks"]


def test_no_line_of_sql_but_a_comment_on_an_object_is_longer_than_124_characters():
    files = [*default_sources().objects("functions"), *default_sources().objects("views")]
    lines = [f"{file.name}: {line}" for file in files for line in file.read_text().split("\n") if len(line) > 124]
    assert not [line for line in lines if ": COMMENT ON " not in line]


def test_events_can_only_be_added_and_read(any_database):
    query = """
        SELECT privilege FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) privilege
        WHERE has_table_privilege('sim_events', privilege)"""
    assert names(any_database, query) == {"SELECT", "INSERT"}


def test_the_serving_role_can_work_on_all_other_tables(any_database):
    for table in READ_WRITE:
        for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            assert any_database.query("SELECT has_table_privilege(%s, %s)", table, privilege) == [(True,)]


def test_functions_with_their_owner_s_rights_are_for_the_serving_role_alone(any_database):
    query = """
        SELECT proname, has_function_privilege(oid, 'EXECUTE'), has_function_privilege('pg_monitor', oid, 'EXECUTE'),
               proconfig
        FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND prosecdef"""
    assert any_database.query(query) == [("sim_delete_session", True, False, ["search_path=public, pg_temp"])]
