"""What CONTRIBUTING.md says of adding a field or an event type is all it takes: done here in a copy of the tree."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.candles.sources import synthetic
from app.db import candles
from app.db.pool import Database as Pool
from tests.paths import ROOT
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.server_process import free_port

START_MS = 1_704_067_200_000
MINUTE = 60_000
END_MS = START_MS + 10 * MINUTE
NEW = ("sessions", "create", "--symbol", "BTCUSDT", "--timeframe", "1m", "--venue", "demo", "--start", START_MS)

MODEL = "app/domain/trading/settings.py"
FIELD = """
    borrow_bps: Annotated[
        Rate, Setting("Cost of a short position, in basis points.", "BPS", fork=True)
    ] = Decimal(3)
"""
MIGRATION = """-- The cost of short positions.
-- depends: {last}

ALTER TABLE sim_sessions ADD COLUMN borrow_bps numeric NOT NULL DEFAULT 3 CHECK (borrow_bps >= 0);
COMMENT ON COLUMN sim_sessions.borrow_bps IS 'Cost of a short position, basis points.';
"""
EVENTS = "app/domain/event.py"
CONSTRUCTOR = '''

def alert(ts: int, text: str) -> Event:
    """Make the event of something to look at."""
    return parse_event(ts, "alert", {"text": text})
'''


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of everything the program is made of."""
    tree = tmp_path / "tree"
    for folder in ("app", "zeon", "sql", "migrations"):
        shutil.copytree(ROOT / folder, tree / folder)  # With what was compiled, which holds by time and size.
    return tree


def add_borrow_bps(tree: Path) -> None:
    model = tree / MODEL
    before, after = model.read_text().split("    record: Annotated[", 1)
    model.write_text(f"{before}{FIELD.lstrip(chr(10))}    record: Annotated[{after}")
    last = max(path.stem for path in (tree / "migrations").glob("*.sql") if ".rollback" not in path.name)
    (tree / "migrations" / "9999-borrow.sql").write_text(MIGRATION.format(last=last))
    (tree / "migrations" / "9999-borrow.rollback.sql").write_text("ALTER TABLE sim_sessions DROP COLUMN borrow_bps;\n")


async def store_candles(database: Database) -> None:
    pool = Pool(database.url, size=1)
    await pool.open()
    await pool.run(candles.store, "demo", "BTCUSDT", "1m", synthetic.candles("BTCUSDT", "1m", START_MS, END_MS))
    await pool.close()


class Server:
    """A server of the copied tree."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        content = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.url + path, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def finished(self, session_id: str) -> dict[str, Any]:
        """Run a session to its end."""
        self.call("POST", f"/api/sim/sessions/{session_id}/start")
        deadline = time.monotonic() + 20
        while True:
            session: dict[str, Any] = self.call("GET", f"/api/sim/sessions/{session_id}")[1]["data"]
            if session["status"] == "finished":
                return session
            assert time.monotonic() < deadline, session
            time.sleep(0.02)


@contextmanager
def serving(database: Database, tree: Path) -> Iterator[Server]:
    port = free_port()
    cli = Cli(database, folder=tree, PYTHONPATH=tree, PORT=port)
    with cli.start("serve", stderr=subprocess.DEVNULL) as process:
        server = Server(f"http://127.0.0.1:{port}")
        try:
            wait_ready(process, server)
            yield server
        finally:
            process.terminate()
            process.wait(10)


def wait_ready(process: subprocess.Popen[str], server: Server) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            server.call("GET", "/readyz")
        except urllib.error.URLError:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server is not ready"
            time.sleep(0.05)
        else:
            return


def test_a_session_field_needs_its_line_in_the_model_and_a_migration(database: Database, tree: Path) -> None:
    add_borrow_bps(tree)
    cli = Cli(database, folder=tree, PYTHONPATH=tree)
    cli("migrate")
    asyncio.run(store_candles(database))

    from_cli = cli.json(*NEW, "--end", END_MS, "--ms-per-candle", 0, "--borrow-bps", "2.5")
    assert from_cli["borrowBps"] == 2.5
    assert cli.json(*NEW)["borrowBps"] == 3
    assert "--borrow-bps" in cli("sessions", "create", "--help")
    stored = "SELECT borrow_bps::text FROM sim_sessions WHERE id = %s"
    assert database.query(stored, from_cli["id"]) == [("2.5",)]

    with serving(database, tree) as server:
        body = {"profileSlug": "none", "symbol": "BTCUSDT", "timeframe": "1m", "startMs": START_MS, "venue": "demo"}
        status, answer = server.call("POST", "/api/sim/sessions", body | {"borrowBps": 7.25})
        assert (status, answer["data"]["borrowBps"]) == (201, 7.25)
        status, answer = server.call("POST", "/api/sim/sessions", body | {"borrowBps": -1})
        assert (status, answer["error"].partition(":")[0]) == (400, "borrowBps")
        schemas = server.call("GET", "/openapi.json")[1]["components"]["schemas"]
        assert schemas["NewSession"]["properties"]["borrowBps"]["maximum"] == 10_000
        assert "borrowBps" in schemas["SessionAnswer"]["properties"]

        parent = server.finished(from_cli["id"])
        fork = f"/api/sim/sessions/{parent['id']}/fork"
        same = server.call("POST", fork, {"atSeq": 5})[1]["data"]
        other = server.call("POST", fork, {"atSeq": 5, "borrowBps": 9})[1]["data"]
        assert (same["borrowBps"], other["borrowBps"]) == (2.5, 9)
        lineage = "SELECT lineage -> 0 -> 'terms' ->> 'borrow_bps' FROM sim_sessions WHERE id = %s"
        assert database.query(lineage, other["id"]) == [("2.5",)]
        diff = server.call("GET", f"/api/sim/sessions/{same['id']}/diff/{other['id']}")[1]["data"]
        assert diff["settings"] == {"borrowBps": {"a": 2.5, "b": 9}}
        assert server.finished(other["id"])["borrowBps"] == 9


def test_a_lineage_stored_before_a_field_was_added_is_read_with_its_default(database: Database, tree: Path) -> None:
    asyncio.run(store_candles(database))
    with serving(database, ROOT) as server:
        parent = Cli(database).json(*NEW, "--end", END_MS, "--ms-per-candle", 0)
        server.finished(parent["id"])
        fork = server.call("POST", f"/api/sim/sessions/{parent['id']}/fork", {"atSeq": 5})[1]["data"]
    add_borrow_bps(tree)
    Cli(database, folder=tree, PYTHONPATH=tree)("migrate")
    with serving(database, tree) as server:
        assert server.finished(fork["id"])["borrowBps"] == 3


def test_an_event_type_needs_its_constructor_and_its_entry_among_the_types(database: Database, tree: Path) -> None:
    events = tree / EVENTS
    text = events.read_text()
    assert text.count('"plot"') >= 2
    events.write_text(text.replace('"plot"', '"plot", "alert"', 1) + CONSTRUCTOR)
    asyncio.run(store_candles(database))
    cli = Cli(database, folder=tree, PYTHONPATH=tree)
    session = cli.json(*NEW, "--end", END_MS)["id"]
    with serving(database, tree) as server:
        schemas = server.call("GET", "/openapi.json")[1]["components"]["schemas"]
        assert "alert" in json.dumps(schemas["ControlRequest"]["properties"]["eventType"])
        events_of = f"/api/sim/sessions/{session}/events"
        assert server.call("GET", f"{events_of}?types=alert")[1]["data"]["events"] == []
        status, answer = server.call("GET", f"{events_of}?types=alerts")
        assert (status, "alert" in answer["error"]) == (400, True)
        status, _ = server.call(
            "POST", f"/api/sim/sessions/{session}/control", {"action": "runUntil", "eventType": "alert"}
        )
        assert status == 200
