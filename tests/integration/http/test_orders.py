"""Orders over HTTP: place, list, cancel, close; the account, the clock, and `step` that waits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from asyncio import to_thread
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.web.website import FOLDER
from tests.paths import ROOT
from tests.support.client import BODY, SESSIONS
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.running_server import InProcessServer, running_server
from zeon import AsyncClient, Client

MARKET = {"side": "buy", "type": "market", "qty": 0.01}
PAGE = (ROOT / "docs" / "orders.md").read_text()


@pytest.fixture
async def server(database: Database) -> AsyncIterator[InProcessServer]:
    async with running_server(database) as server:
        yield server


async def new(server: InProcessServer, **changes: Any) -> str:
    """Create a session that is traded by hand and return its path."""
    return f"{SESSIONS}/{(await server.create(profileSlug='manual', **changes))['id']}"


async def step(server: InProcessServer, path: str, candles: int = 1) -> dict[str, Any]:
    return await server.data("POST", f"{path}/control", {"action": "step", "candles": candles, "wait": True})


async def place(server: InProcessServer, path: str, **fields: Any) -> dict[str, Any]:
    return await server.data("POST", f"{path}/orders", {**MARKET, **fields}, status=201)


async def test_an_order_is_answered_when_it_is_in_the_log(server: InProcessServer) -> None:
    path = await new(server)
    session = await step(server, path, 3)
    assert (session["status"], session["cursorMs"]) == ("paused", START_MS + 2 * MINUTE)
    order = await place(server, path, fill="same_close", stopLoss=50_000, clientOrderId="mine", tag="t")
    log = (await server.data("GET", f"{path}/events?fromSeq={order['commandSeq']}"))["events"]
    assert [event["type"] for event in log] == ["control", "order", "order", "fill", "order"]
    assert {event["ts"] for event in log} == {START_MS + 3 * MINUTE}
    control = log[0]["payload"]
    assert control == {
        "action": "order", "by": "local", "command": 1, "cursorMs": session["cursorMs"],
        "args": {"symbol": "BTCUSDT", "side": "BUY", "type": "market", "qty": 0.01, "stopLoss": 50000,
                 "fill": "same_close", "clientOrderId": "mine", "tag": "t"},
    }  # fmt: skip
    assert (order["status"], order["filledQty"], order["avgPrice"]) == ("filled", 0.01, log[3]["payload"]["price"])
    listed = (await server.data("GET", f"{path}/orders"))["orders"]
    assert listed[0] == order
    assert [(order["orderId"], order["type"], order["commandSeq"]) for order in listed] == [
        (1, "market", order["commandSeq"]), (2, "stop", None),
    ]  # fmt: skip
    page = await server.data("GET", f"{path}/orders?limit=1")
    assert (page["orders"], page["nextAfterId"]) == ([order], 1)
    assert (await server.data("GET", f"{path}/orders?status=open"))["orders"] == listed[1:]
    assert await server.data("GET", f"{path}/orders/2") == listed[1]
    await server.refused(404, "GET", f"{path}/orders/3")


async def test_the_account_is_what_the_log_says_at_any_moment(server: InProcessServer) -> None:
    path = await new(server)
    assert await server.data("GET", f"{path}/account") == {
        "ts": START_MS, "seq": 0, "cash": 10_000, "equity": 10_000, "positions": [], "openOrders": [],
    }  # fmt: skip
    await place(server, path, qty=0.02)
    await step(server, path, 2)
    await place(server, path, side="sell", type="limit", limitPrice=60_000, clientOrderId="exit")
    account = await server.data("GET", f"{path}/account")
    equity = (await server.data("GET", f"{path}/events?types=equity"))["events"][-1]["payload"]
    [position] = account["positions"]
    assert (account["cash"], account["equity"]) == (equity["cash"], equity["equity"])
    assert (position["qty"], position["value"]) == (equity["positionQty"], equity["positionValue"])
    assert position["unrealizedPnl"] == pytest.approx(equity["unrealizedPnl"])
    assert [order["clientOrderId"] for order in account["openOrders"]] == ["exit"]
    closed = await server.data("POST", f"{path}/close", {"fill": "same_close"})
    assert [order["status"] for order in closed["orders"]] == ["filled"]
    account = await server.data("GET", f"{path}/account")
    assert (account["positions"], account["cash"]) == ([], account["equity"])
    assert (await server.data("POST", f"{path}/close"))["orders"] == []


async def test_the_account_of_a_log_without_candles_and_with_several_symbols(server: InProcessServer) -> None:
    await store(server.served.sim.database, symbol="ETHUSDT")
    path = await new(server, symbol=None, symbols=["BTCUSDT", "ETHUSDT"], record="trades", leverage=None)
    await server.refused(400, "POST", f"{path}/orders", MARKET)
    for symbol in ("btc/usdt", "ETHUSDT"):
        await place(server, path, symbol=symbol, side="sell" if symbol == "ETHUSDT" else "buy")
    await step(server, path, 3)
    account = await server.data("GET", f"{path}/account")
    assert [(position["symbol"], position["qty"]) for position in account["positions"]] == [
        ("BTCUSDT", 0.01),
        ("ETHUSDT", -0.01),
    ]
    value = sum(position["value"] for position in account["positions"])
    assert account["equity"] == pytest.approx(account["cash"] + value)
    closed = await server.data("POST", f"{path}/close", {"symbol": "ETHUSDT", "fill": "same_close"})
    assert [order["symbol"] for order in closed["orders"]] == ["ETHUSDT"]


async def test_orders_are_cancelled_once(server: InProcessServer) -> None:
    path = await new(server)
    for price in (1, 2, 3):
        await place(server, path, type="limit", limitPrice=price)
    cancelled = await server.data("DELETE", f"{path}/orders/2")
    assert (cancelled["orderId"], cancelled["status"]) == (2, "cancelled")
    answer = await server.refused(409, "DELETE", f"{path}/orders/2")
    assert answer["code"] == "not_open"
    assert "cancelled" in answer["error"]
    await server.refused(404, "DELETE", f"{path}/orders/9")
    assert (await server.data("DELETE", f"{path}/orders"))["cancelled"] == [1, 3]
    assert (await server.data("DELETE", f"{path}/orders"))["cancelled"] == []


async def test_what_is_wrong_is_named_and_nothing_is_placed(server: InProcessServer) -> None:
    path = await new(server)
    for body, named in (
        ({"type": "market"}, "side"),
        ({**MARKET, "qty": 0}, "qty"),
        ({**MARKET, "cash": 5}, "cash"),
        ({**MARKET, "type": "limit"}, "limitPrice"),
        ({**MARKET, "symbol": "ETHUSDT"}, "symbol"),
        ({**MARKET, "tag": "a\0"}, "tag"),
        ({**MARKET, "unknown": 1}, "unknown"),
    ):
        assert named in (await server.refused(400, "POST", f"{path}/orders", body))["error"], body
    rejected = await place(server, path, reduceOnly=True)
    assert (rejected["status"], rejected["reason"]) == ("rejected", "there is no position to reduce")
    assert [order["orderId"] for order in (await server.data("GET", f"{path}/orders"))["orders"]] == [1]


async def test_a_repeated_call_places_nothing(server: InProcessServer) -> None:
    path, key = await new(server), {"Idempotency-Key": "k1"}
    first = await server.data("POST", f"{path}/orders", MARKET, headers=key, status=201)
    assert await server.data("POST", f"{path}/orders", MARKET, headers=key) == first
    answer = await server.refused(422, "POST", f"{path}/orders", {**MARKET, "qty": 0.5}, headers=key)
    assert answer["code"] == "idempotency_key_reused"
    named = await place(server, path, clientOrderId="mine")
    answer = await server.refused(409, "POST", f"{path}/orders", {**MARKET, "clientOrderId": "mine"})
    assert answer["code"] == "client_order_id_used"
    orders = (await server.data("GET", f"{path}/orders"))["orders"]
    assert [order["orderId"] for order in orders] == [first["orderId"], named["orderId"]]


async def test_sessions_that_cannot_be_traded_say_so(server: InProcessServer) -> None:
    candles_only = f"{SESSIONS}/{(await server.create())['id']}"
    for method, call in (("POST", "orders"), ("POST", "close"), ("DELETE", "orders"), ("GET", "account")):
        path = f"{candles_only}/{call}"
        answer = await server.refused(409, method, path, MARKET if (method, call) == ("POST", "orders") else None)
        assert "manual" in answer["error"]
    stopped = await new(server)
    await server.data("POST", f"{stopped}/stop")
    assert "stopped" in (await server.refused(409, "POST", f"{stopped}/orders", MARKET))["error"]
    assert (await server.data("GET", f"{stopped}/account"))["equity"] == 10_000


async def test_the_clock_shows_the_simulated_time_and_when_the_next_candle_is_due(server: InProcessServer) -> None:
    path = await new(server, replayMsPerCandle=60_000)
    clock = await server.data("GET", f"{path}/clock")
    assert (clock["mode"], clock["nowMs"], clock["nextOpenMs"], clock["nextDueMs"]) == (
        "paused", START_MS, START_MS, None,
    )  # fmt: skip
    await server.data("POST", f"{path}/start")
    await server.served.sim.database.run(lambda connection: connection.execute("SELECT 1"))
    clock = await server.data("GET", f"{path}/clock")
    while clock["cursorMs"] is None:
        clock = await server.data("GET", f"{path}/clock")
    assert (clock["mode"], clock["nowMs"], clock["nextOpenMs"]) == ("paced", START_MS + MINUTE, START_MS + MINUTE)
    assert 50_000 < clock["nextDueMs"] - clock["serverMs"] <= 60_000
    order = await place(server, path)
    assert order["placedTs"] == START_MS + MINUTE
    await server.data("POST", f"{path}/stop")
    clock = await server.data("GET", f"{path}/clock")
    assert (clock["mode"], clock["nextDueMs"], clock["commands"]) == ("ended", None, 1)


async def test_a_step_that_waits_may_be_repeated_under_its_key(server: InProcessServer) -> None:
    path, key = await new(server), {"Idempotency-Key": "s1"}
    body = {"action": "step", "candles": 2, "wait": True}
    for _ in range(2):
        session = await server.data("POST", f"{path}/control", body, headers=key)
        assert (session["status"], session["cursorMs"]) == ("paused", START_MS + MINUTE)
    await server.refused(400, "POST", f"{path}/control", {"action": "pause", "wait": True})


async def test_an_endless_session_is_traded_while_it_waits_for_the_market(server: InProcessServer) -> None:
    path = await new(server, endMs=None, gapPolicy="skip")
    await server.data("POST", f"{path}/start")
    while (await server.data("GET", path))["cursorMs"] != START_MS + 99 * MINUTE:
        pass
    order = await place(server, path, fill="same_close")
    assert (order["status"], order["placedTs"]) == ("filled", START_MS + 100 * MINUTE)


async def test_both_python_clients_trade(server: InProcessServer) -> None:
    def trade() -> list[Any]:
        with Client(server.served.url) as client:
            session = client.create(**FIELDS)
            client.step(session["id"], 2, wait=True)
            order = client.order(session["id"], "buy", qty=0.01, fill="same_close", idempotency_key="k")
            again = client.order(session["id"], "buy", qty=0.01, fill="same_close", idempotency_key="k")
            resting = client.order(session["id"], "sell", "limit", qty=0.01, limit_price=60_000)
            cancelled = client.cancel(session["id"], resting["orderId"])
            assert client.get_order(session["id"], resting["orderId"]) == cancelled
            client.cancel(session["id"])
            client.close_position(session["id"], fill="same_close")
            account, clock = client.account(session["id"]), client.clock(session["id"])
            assert (order == again, cancelled["status"], account["positions"]) == (True, "cancelled", [])
            assert clock["commands"] == 5
            return client.orders(session["id"])["orders"]

    orders = await to_thread(trade)
    async with AsyncClient(server.served.url) as client:
        session = await client.create(**FIELDS)
        await client.step(session["id"], 2, wait=True)
        await client.order(session["id"], "buy", qty=0.01, fill="same_close")
        await client.order(session["id"], "sell", "limit", qty=0.01, limit_price=60_000)
        await client.cancel(session["id"], 2)
        await client.cancel(session["id"])
        await client.close_position(session["id"], fill="same_close")
        again = (await client.orders(session["id"]))["orders"]
    assert [{**order, "commandSeq": 0} for order in again] == [{**order, "commandSeq": 0} for order in orders]


FIELDS = {
    "profile_slug": "manual", "venue": "demo", "symbol": "BTCUSDT", "timeframe": "1m", "start_ms": START_MS,
    "end_ms": BODY["endMs"], "replay_ms_per_candle": 0,
}  # fmt: skip


async def test_the_bots_of_the_examples_trade_alike(database: Database, tmp_path: Path) -> None:
    """Both are shorter than 45 lines, and their logs have equal digests."""
    async with running_server(database, candles=80) as server:
        bots = ROOT / "examples" / "bots"
        shutil.copy(bots / "dip_buyer.mjs", tmp_path)
        shutil.copy(FOLDER / "client.js", tmp_path / "zeon.mjs")
        commands = [[sys.executable, str(bots / "dip_buyer.py")]]
        if shutil.which("node"):
            commands.append(["node", str(tmp_path / "dip_buyer.mjs")])
        for command in commands:
            arguments = [*command, server.served.url, "demo", "BTCUSDT", "60"]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            done = await to_thread(subprocess.run, arguments, capture_output=True, text=True, env=environment)
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith("equity 9")
        rows = database.query("SELECT sim_log_digest(id), commands FROM sim_sessions")
    assert len({digest for digest, _ in rows}) == 1
    assert min(commands for _, commands in rows) >= 2
    assert max(len(path.read_text().splitlines()) for path in bots.iterdir() if path.is_file()) <= 45


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
async def test_the_page_runs_as_it_stands(server: InProcessServer, tmp_path: Path) -> None:
    commands = "".join(part.partition("```")[0] for part in PAGE.split("```sh\n")[1:])
    zeon = tmp_path / "zeon"
    zeon.write_text(f'#!/bin/sh\nexec {sys.executable} -m app.cli.main "$@"\n')
    zeon.chmod(0o755)
    database = server.served.sim.database
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": database.url}
    environment["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    script = "set -eu\n" + commands.replace("http://127.0.0.1:8000", server.served.url).replace("curl -s", "curl -sfS")
    done = await to_thread(
        subprocess.run, ["bash", "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"nowMs"' in done.stdout
    assert "accepted" in done.stdout


async def test_the_account_has_paid_funding_and_interest(server: InProcessServer) -> None:
    await store(server.served.sim.database, timeframe="4h", count=12)
    path = await new(
        server, timeframe="4h", endMs=START_MS + 12 * 240 * MINUTE, fundingBps=10, borrowBpsPerDay=50, leverage=3
    )
    await place(server, path, qty=None, equityPct=200)
    await step(server, path, 10)
    account = await server.data("GET", f"{path}/account")
    events = (await server.data("GET", f"{path}/events?types=equity,funding,interest"))["events"]
    assert {"funding", "interest"} <= {event["type"] for event in events}
    equity = events[-1]["payload"]
    assert (account["cash"], account["equity"]) == (pytest.approx(equity["cash"]), pytest.approx(equity["equity"]))
