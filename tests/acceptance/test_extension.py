"""What CONTRIBUTING.md says of adding something is all it takes: done here in a copy of the tree."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from app.db.pool import Database as Pool
from tests.paths import ROOT
from tests.support.cli import Cli
from tests.support.client import BODY, SESSIONS, Client, connect
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.server_process import StartServer

MINUTES = 10
END_MS = START_MS + MINUTES * MINUTE
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

CALLS = "app/web/sim/orders.py"
ROUTE = """            RouteSpec("GET", f"{SESSION}/time", self.time, "getTime", answer=ClockAnswer, scope="share"),
        ]  # fmt: skip
"""
HANDLER = '''
    async def time(self, call: Call) -> Response:
        """Show the clock under another name."""
        return await self.clock(call)
'''
ORDERS = "app/domain/trading/order.py"


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


def add_event_type(tree: Path) -> None:
    events = tree / EVENTS
    text = events.read_text()
    assert text.count('"plot"') >= 2
    events.write_text(text.replace('"plot"', '"plot", "alert"', 1) + CONSTRUCTOR)


def add_call(tree: Path) -> None:
    """Add a route and its handler at the end of a group."""
    calls = tree / CALLS
    routes, handlers = calls.read_text().split("        ]  # fmt: skip\n", 1)
    group, functions = handlers.split("\n\n\n", 1) if "\n\n\n" in handlers else (handlers, "")
    calls.write_text(f"{routes}{ROUTE}{group}\n{HANDLER}\n\n{functions}")


def add_order_type(tree: Path) -> None:
    """Add a trailing stop that becomes a limit order: its two names and its prices."""
    orders = tree / ORDERS
    text = orders.read_text()
    text = text.replace('"trailing_stop"]', '"trailing_stop", "trailing_stop_limit"]', 1)
    text = text.replace('"trailingStop"]', '"trailingStop", "trailingStopLimit"]', 1)
    prices = '    "trailing_stop_limit": Prices(frozenset({"limit"}), frozenset({"trail", "trail_pct"})),\n}\n'
    orders.write_text(re.sub(r'(?<=frozenset\({"trail", "trail_pct"}\)\),\n)}\n', prices, text, count=1))


async def finished(server: Client, session_id: str) -> Any:
    """Run a session to its end and return it."""
    await server.data("POST", f"{SESSIONS}/{session_id}/start")
    return await server.until(f"{SESSIONS}/{session_id}", "finished")


async def schemas(server: Client) -> Any:
    return (await server.call("GET", "/openapi.json")).json()["components"]["schemas"]


async def store_candles(database: Database) -> None:
    pool = Pool(database.url, size=1)
    await pool.open()
    await store(pool, count=MINUTES)
    await pool.close()


async def test_a_session_field_needs_its_line_in_the_model_and_a_migration(
    database: Database, tree: Path, start_server: StartServer
) -> None:
    add_borrow_bps(tree)
    cli = Cli(database, folder=tree, PYTHONPATH=tree)
    cli("migrate")
    await store_candles(database)

    from_cli = cli.json(*NEW, "--end", END_MS, "--ms-per-candle", 0, "--borrow-bps", "2.5")
    assert from_cli["borrowBps"] == 2.5
    assert cli.json(*NEW)["borrowBps"] == 3
    assert "--borrow-bps" in cli("sessions", "create", "--help")
    stored = "SELECT borrow_bps::text FROM sim_sessions WHERE id = %s"
    assert database.query(stored, from_cli["id"]) == [("2.5",)]

    async with connect(start_server(database, tree=tree)) as server:
        assert (await server.create(borrowBps=7.25))["borrowBps"] == 7.25
        refusal = await server.refused(400, "POST", SESSIONS, BODY | {"borrowBps": -1})
        assert refusal["error"].partition(":")[0] == "borrowBps"
        known = await schemas(server)
        assert known["NewSession"]["properties"]["borrowBps"]["maximum"] == 10_000
        assert "borrowBps" in known["SessionAnswer"]["properties"]

        parent = await finished(server, from_cli["id"])
        fork = f"{SESSIONS}/{parent['id']}/fork"
        same = await server.data("POST", fork, {"atSeq": 5}, status=201)
        other = await server.data("POST", fork, {"atSeq": 5, "borrowBps": 9}, status=201)
        assert (same["borrowBps"], other["borrowBps"]) == (2.5, 9)
        lineage = "SELECT lineage -> 0 -> 'terms' ->> 'borrow_bps' FROM sim_sessions WHERE id = %s"
        assert database.query(lineage, other["id"]) == [("2.5",)]
        diff = await server.data("GET", f"{SESSIONS}/{same['id']}/diff/{other['id']}")
        assert diff["settings"] == {"borrowBps": {"a": 2.5, "b": 9}}
        assert (await finished(server, other["id"]))["borrowBps"] == 9


async def test_a_lineage_stored_before_a_field_was_added_is_read_with_its_default(
    database: Database, tree: Path, start_server: StartServer
) -> None:
    await store_candles(database)
    first = start_server(database)
    async with connect(first) as server:
        parent = Cli(database).json(*NEW, "--end", END_MS, "--ms-per-candle", 0)
        await finished(server, parent["id"])
        fork = await server.data("POST", f"{SESSIONS}/{parent['id']}/fork", {"atSeq": 5}, status=201)
    first.stop()
    add_borrow_bps(tree)
    Cli(database, folder=tree, PYTHONPATH=tree)("migrate")
    async with connect(start_server(database, tree=tree)) as server:
        assert (await finished(server, fork["id"]))["borrowBps"] == 3


async def test_an_event_type_an_order_type_and_a_call_need_one_file_each(
    database: Database, tree: Path, start_server: StartServer
) -> None:
    add_event_type(tree)
    add_call(tree)
    add_order_type(tree)
    await store_candles(database)
    async with connect(start_server(database, tree=tree)) as server:
        known = await schemas(server)
        session = f"{SESSIONS}/{(await server.create(profileSlug='manual', endMs=END_MS))['id']}"

        assert "alert" in json.dumps(known["ControlRequest"]["properties"]["eventType"])
        assert (await server.data("GET", f"{session}/events?types=alert"))["events"] == []
        assert "alert" in (await server.refused(400, "GET", f"{session}/events?types=alerts"))["error"]

        paths = (await server.call("GET", "/openapi.json")).json()["paths"]
        assert paths["/api/sim/sessions/{id}/time"]["get"]["operationId"] == "getTime"
        assert (await server.data("GET", f"{session}/time"))["sessionId"] in session
        await server.refused(404, "GET", f"{SESSIONS}/01a2309a-e7b0-7860-b9d7-7896281d62e0/time")

        assert "trailingStopLimit" in json.dumps(known["NewOrder"]["properties"]["type"])
        await server.data("POST", f"{session}/control", {"action": "step", "candles": 2, "wait": True})
        order = {"side": "buy", "type": "trailingStopLimit", "qty": 0.01, "trail": 1, "limitPrice": 60_000}
        placed = await server.data("POST", f"{session}/orders", order, status=201)
        assert (placed["type"], placed["status"]) == ("trailingStopLimit", "accepted")
        cli = Cli(database, folder=tree, PYTHONPATH=tree)
        assert "trailingStopLimit" in cli("orders", "place", "--help").replace("\n", "")
        [event] = (await server.data("GET", f"{session}/events?types=order"))["events"]
        assert event["payload"]["type"] == "trailing_stop_limit"
        await server.data("POST", f"{session}/control", {"action": "runUntil", "eventType": "alert"})
        await server.until(session, "finished")
        filled = await server.data("GET", f"{session}/orders/{placed['orderId']}")
        assert filled["status"] == "filled"
