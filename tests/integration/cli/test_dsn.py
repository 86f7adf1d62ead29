"""`zeon dsn`: the address that it prints is one that other programs take."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from psycopg.conninfo import conninfo_to_dict

from app.db.setup import embedded
from app.db.setup.location import address, to_url
from app.settings import load
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.server_process import free_port

FORMS = [
    "postgresql://u@h/d",
    "postgres://u:p@h:5433/d?sslmode=require&application_name=a%20b",
    "postgresql://u:a%40b%2Fc%3A%25%20+@h/d%2Fe",
    "host=h user=u password='p w' dbname=d options='-c search_path=zeon'",
    "postgresql://u@[::1]:5433/d",
    "postgresql://u@one:1,two:2/d?target_session_attrs=read-write",
    "host=/var/run/a,b user=u dbname=d",
    "postgresql://u@/d?host=%2Ftmp%2Fa%20b&port=5433",
    "postgresql:///d",
    "postgresql://h",
    "service=zeon",
    "",
]


@pytest.mark.parametrize("form", FORMS)
def test_the_url_says_what_an_address_of_any_form_says(form: str) -> None:
    url = to_url(form)
    assert url.startswith("postgresql://")
    assert conninfo_to_dict(url) == conninfo_to_dict(form)
    assert (sqlalchemy.make_url(url).database or None) == conninfo_to_dict(form).get("dbname")


def test_the_address_printed_leads_other_programs_to_the_database(database: Database) -> None:
    cli = Cli(database)
    url, printed = cli("dsn").strip(), cli.json("dsn")
    assert url == printed["url"]
    where = "SELECT current_database()"
    psql = [str(embedded.binaries() / "psql"), url, "--no-psqlrc", "--tuples-only", "--no-align", "--command", where]
    assert subprocess.check_output(psql, text=True).strip() == database.name
    engine = sqlalchemy.create_engine(printed["sqlalchemy"], poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text(where)) == database.name
    parts = {name: value for name, value in printed.items() if name not in ("url", "sqlalchemy")}
    with psycopg.connect(**parts) as conn:
        assert conn.info.dbname == database.name


def test_the_socket_of_the_embedded_postgres_is_printed_with_a_sentence(tmp_path: Path) -> None:
    server = embedded.start(tmp_path)
    try:
        done = Cli(ZEON_DATA_DIR=tmp_path).run("dsn", "--json")
        with psycopg.connect(json.loads(done.stdout)["url"]) as conn:
            assert (conn.info.user, conn.info.dbname) == ("zeon", "zeon")
    finally:
        server.stop()
    assert "socket of the embedded Postgres" in done.stderr
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address(load(data_dir=tmp_path)))


def test_the_embedded_postgres_listens_on_a_port_with_a_password_when_asked(tmp_path: Path) -> None:
    port = free_port()
    cli = Cli(ZEON_DATA_DIR=tmp_path, ZEON_PG_PORT=port)
    server = embedded.start(tmp_path, port=port)
    try:
        printed = cli.json("dsn")
        assert (printed["host"], printed["port"]) == ("127.0.0.1", str(port))
        with psycopg.connect(printed["url"]) as conn:
            assert (conn.info.user, conn.info.dbname) == ("zeon", "zeon")
        assert Cli(ZEON_DATA_DIR=tmp_path)("dsn").strip() == printed["url"]
        for user, name, password in (
            ("zeon", "zeon", None),
            ("zeon", "zeon", "wrong"),
            ("zeon", "postgres", printed["password"]),
            ("zeon_owner", "zeon", printed["password"]),
            ("postgres", "postgres", None),
        ):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(host="127.0.0.1", port=port, user=user, dbname=name, password=password)
        with psycopg.connect(server.url_for("postgres", "postgres")) as conn:
            (listening,) = conn.execute("SHOW listen_addresses").fetchone() or ()
            (stored,) = conn.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'zeon'").fetchone() or ()
        assert (listening, stored[:14]) == ("127.0.0.1", "SCRAM-SHA-256$")
        assert (tmp_path / "pg-password").stat().st_mode & 0o077 == 0
        assert "already runs without port" in Cli(ZEON_DATA_DIR=tmp_path, ZEON_PG_PORT=free_port()).error("migrate")
    finally:
        server.stop()
    with socket.create_server(("127.0.0.1", port)):
        assert f"cannot listen on 127.0.0.1:{port}" in cli.error("migrate")
    again = embedded.start(tmp_path)
    try:
        with psycopg.connect(again.url) as conn:
            assert (conn.execute("SHOW listen_addresses").fetchone() or ())[0] == ""
    finally:
        again.stop()


def test_an_address_of_another_kind_is_refused_by_the_name_of_its_setting() -> None:
    assert Cli(DATABASE_URL="mysql://h/d").error("dsn").startswith("DATABASE_URL: is no address of Postgres")
