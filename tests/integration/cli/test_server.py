"""The other commands as processes, on a given database or an embedded one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.support.cli import Cli
from tests.support.postgres import Database, Postgres
from tests.support.server_process import StartServer, free_port

DAY = ("--symbol", "BTCUSDT", "--timeframe", "1m", "--start", "2024-01-01", "--end", "2024-01-02")


@contextmanager
def demo(cli: Cli) -> Iterator[tuple[subprocess.Popen, str, str]]:
    """Run `zeon demo` until it has said everything; give the process, the address and the session's id."""
    with cli.start("demo") as process:
        try:
            assert process.stdout is not None
            output = ""
            while "Ctrl-C" not in output:
                line = process.stdout.readline()
                assert line, output
                output += line
            results = re.search(r"curl -N (http://\S+)/api/sim/sessions/(\S+)/stream", output)
            assert results is not None, output
            yield process, results[1], results[2]
        finally:
            process.kill()


def status(database: Database, session_id: str) -> str:
    return database.query("SELECT status FROM sim_sessions WHERE id = %s", session_id)[0][0]


def until_candles(database: Database, session_id: str, count: int) -> None:
    deadline = time.monotonic() + 20
    query = "SELECT count(*), max(seq), count(*) FILTER (WHERE type = 'candle') FROM sim_events WHERE session_id = %s"
    while True:
        rows, last_seq, candles = database.query(query, session_id)[0]
        assert rows == (last_seq or 0)
        if candles >= count:
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.alone
def test_serve_installs_an_empty_database_and_ends_cleanly_on_sigterm(
    empty_database: Database, start_server: StartServer
) -> None:
    server = start_server(empty_database)
    took_s = []
    for _ in range(3):  # One fast run is enough: another process may slow down the machine.
        began = time.monotonic()
        assert server.stop() == 0
        took_s.append(time.monotonic() - began)
        if took_s[-1] < 2:
            break
        server.start()
    assert min(took_s) < 2
    assert f"serving on {server.url}" in server.output


def test_serve_refuses_to_be_reached_by_strangers_without_tokens(database: Database) -> None:
    assert "ZEON_AUTH=token" in Cli(database, HOST="0.0.0.0", PORT=free_port()).error("serve")


def test_serve_says_that_its_port_is_taken(database: Database, start_server: StartServer) -> None:
    server = start_server(database)
    assert f"cannot listen on 127.0.0.1:{server.port}" in Cli(database, PORT=server.port).error("serve")


def test_a_bad_setting_or_no_database_is_one_sentence() -> None:
    assert Cli(PORT="x").error("sessions", "list").startswith("PORT: ")
    nowhere = Cli(DATABASE_URL="postgresql://nobody@localhost:1/nothing")
    error = nowhere.error("sessions", "list")
    assert error.startswith("The database cannot be reached: ")
    assert len(error.splitlines()) == 1


def test_a_second_demo_continues_the_same_session(database: Database) -> None:
    cli = Cli(database, PORT=free_port())
    with demo(cli) as (process, url, session_id):
        until_candles(database, session_id, 2)
        with urllib.request.urlopen(f"{url}/", timeout=5) as page:
            assert page.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
    assert status(database, session_id) == "paused"
    with demo(cli) as (process, _, again):
        assert again == session_id
        until_candles(database, session_id, 4)
        process.send_signal(signal.SIGKILL)
        process.wait(5)
    with demo(cli) as (process, _, again):
        assert again == session_id
        until_candles(database, session_id, 6)
        assert status(database, session_id) == "running"
        database.query("SELECT sim_stop(%s)", session_id)
    with demo(cli) as (_, _, other):
        assert other != session_id
        until_candles(database, other, 1)
    changed = "UPDATE sim_sessions SET strategy_hash = 'of other code' WHERE id = %s RETURNING 1"
    assert database.query(changed, other) == [(1,)]
    with demo(cli) as (_, _, again):
        assert again == other  # It is computed again, and its log is the same.
    assert database.query("SELECT DISTINCT venue FROM market_candles") == [("demo",)]


def test_migrate_is_refused_while_a_server_of_an_older_version_is_alive_unless_forced(database: Database) -> None:
    cli = Cli(database)
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("INSERT INTO sim_runners (name, ttl) VALUES ('old', '1 hour')")
        owner.execute("COMMENT ON TABLE _yoyo_migration IS 'Migrations applied; sql of before'")
    assert re.search(r"old \(seen \d+ s ago\)\. Stop them first", cli.error("migrate"))
    assert cli("migrate", "--force") == "The database is up to date.\n"


def test_migrate_twice_is_harmless(empty_database: Database) -> None:
    cli = Cli(empty_database)
    for _ in range(2):
        assert cli("migrate") == "The database is up to date.\n"


def test_psql_gets_its_arguments_and_the_serving_role(database: Database) -> None:
    cli = Cli(database)
    assert cli("psql", "-At", "-c", "SELECT current_database()", "-c", "SELECT current_user") == (
        f"{database.name}\n{psycopg.conninfo.conninfo_to_dict(database.url)['user']}\n"
    )
    assert "syntax error" in cli.error("psql", "-c", "SELEKT")


def test_a_token_is_shown_once_listed_and_revoked(database: Database) -> None:
    cli = Cli(database)
    token = cli.json("token", "create", "--user", "ann", "--name", "laptop")
    assert token["token"].startswith("zeon_")
    assert cli("token", "create").startswith("zeon_")
    listed = cli.json("token", "list")
    assert [(token["userId"], token["name"], token["revokedAt"]) for token in listed] == [
        ("ann", "laptop", None),
        ("local", None, None),
    ]
    assert token["token"] not in cli("token", "list")
    cli("token", "revoke", token["id"])
    assert cli.json("token", "list")[0]["revokedAt"] is not None
    assert cli.error("token", "revoke", token["id"]) == "There is no valid token with this id."


def test_profiles_are_listed(database: Database) -> None:
    assert Cli(database).json("profiles")[0]["slug"] == "none"


def states(cli: Cli, code: int = 0) -> dict[str, str]:
    return {row["check"]: row["state"] for row in json.loads(cli("doctor", "--json", code=code))}


def test_the_doctor_finds_nothing_wrong_beside_a_server(database: Database, start_server: StartServer) -> None:
    start_server(database)
    assert set(states(Cli(database)).values()) == {"ok"}
    assert "1 alive" in Cli(database)("doctor")


def test_the_doctor_names_what_is_wrong(database: Database, start_server: StartServer) -> None:
    cli = Cli(database)
    server = start_server(database)
    cli_session = cli.json("sessions", "create", *DAY, "--venue", "demo", "--gap-policy", "skip")
    cli("sessions", "start", cli_session["id"])
    server.kill()
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("UPDATE sim_sessions SET status = 'running', runner = 'gone', incarnation = 1")
        owner.execute("UPDATE sim_runners SET seen_at = now() - interval '1 hour'")
        owner.execute("GRANT UPDATE ON sim_events TO PUBLIC")
    result = states(cli, code=1)
    assert (result["orphans"], result["rights"], result["servers"]) == ("wrong", "wrong", "warning")


def test_the_doctor_compares_users_and_tells_which_strategies_each_server_knows(database: Database) -> None:
    serving, same_user = Cli(database), {"ZEON_MIGRATE_URL": database.owner_url}
    query = "INSERT INTO sim_runners (name, ttl, strategies) VALUES (%s, '1 hour', %s)"
    for name, known in (("a", ["momentum", "pairs"]), ("b", ["pairs"])):
        database.query(query, name, known)
    (servers,) = (row for row in json.loads(serving("doctor", "--json")) if row["check"] == "servers")
    assert servers["text"].startswith("2 alive: a runs 0 and knows momentum, pairs; b runs 0 and knows pairs. They")
    assert servers["state"] == "warning"
    owner = Cli(DATABASE_URL=f"{database.owner_url}&application_name=elsewhere", **same_user)
    assert states(owner)["rights"] == "warning", "One user under two addresses is no fault."


def test_the_doctor_and_the_server_say_when_notifications_do_not_arrive(
    database: Database, postgres: Postgres, start_server: StartServer
) -> None:
    """Another database stands for a pooler that gives the listening connection to others."""
    elsewhere = postgres.new_database()
    server = start_server(database, ZEON_LISTEN_URL=elsewhere.url)
    with urllib.request.urlopen(f"{server.url}/readyz") as answer:
        assert json.load(answer)["data"]["notifications"] == "lost"
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        assert b"\nzeon_listening 0.0\n" in answer.read()
    assert "Notifications do not reach this server" in server.output
    assert states(Cli(database, ZEON_LISTEN_URL=elsewhere.url), code=1)["notifications"] == "wrong"
    server.kill()
    postgres.drop(elsewhere)


def test_the_doctor_says_when_there_is_nothing_to_look_at(empty_database: Database) -> None:
    assert states(Cli(empty_database), code=1) == {"settings": "ok", "database": "ok", "migrations": "wrong"}
    nowhere = Cli(DATABASE_URL="postgresql://nobody@localhost:1/nothing", ZEON_UNHEARD_OF=1)
    assert states(nowhere, code=1) == {"settings": "warning", "database": "wrong"}
    assert "ZEON_UNHEARD_OF is not a setting" in nowhere("doctor", code=1)
    slip = Cli(empty_database, ZEON_RATES=1)
    assert states(slip, code=1) == {"settings": "wrong"}
    assert "did you mean ZEON_RATE?" in slip("doctor", code=1)


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="zeon-test-"))
    yield path
    process = postmaster(path)
    if process is not None:
        process.send_signal(signal.SIGQUIT)
        process.wait(10)
    shutil.rmtree(path)


def postmaster(folder: Path) -> psutil.Process | None:
    """Return the folder's Postgres when it runs."""
    file = folder / ".zeon" / "postgres" / "postmaster.pid"
    return psutil.Process(int(file.read_text().split("\n")[0])) if file.exists() else None


def test_a_command_uses_the_server_s_postgres_and_alone_starts_and_stops_it(folder: Path) -> None:
    cli = Cli(folder=folder, PORT=free_port())
    assert "`zeon serve` sets one up" in cli.error("sessions", "list")
    assert not (folder / ".zeon").exists()
    with demo(cli) as (process, _, session_id):
        running = postmaster(folder)
        assert running is not None
        assert [session["id"] for session in cli.json("sessions", "list")] == [session_id]
        assert cli.json("sessions", "pause", session_id)["status"] == "paused"
        assert cli("psql", "-Atc", "SELECT current_user") == "zeon\n"
        assert postmaster(folder) == running
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert postmaster(folder) is None
    assert cli.json("sessions", "show", session_id)["status"] == "paused"
    assert os.listdir(folder) == [".zeon"]
