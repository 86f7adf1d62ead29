"""WebSockets of the exchange face, message by message, with a plain WebSocket client."""

from __future__ import annotations

import asyncio
import json
import socket as plain_socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from app.domain.market.timeframe import TIMEFRAMES
from app.web.exchange import sockets
from app.web.wire.connections import ConnectionLimits
from tests.support.network.bot import Bot, bot
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.running_server import InProcessServer, running_server

BUY = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}


@pytest.fixture
async def server(database: Database) -> AsyncIterator[InProcessServer]:
    async with running_server(database) as server:
        yield server


def address(trader: Bot, path: str) -> str:
    return f"ws{trader.server.served.url.removeprefix('http')}/x/binance/{trader.key}/{path}"


@asynccontextmanager
async def socket(trader: Bot, path: str) -> AsyncIterator[ClientConnection]:
    async with connect(address(trader, path), proxy=None) as connection:
        yield connection


async def receive(connection: ClientConnection) -> Any:
    async with asyncio.timeout(10):
        return json.loads(await connection.recv())


async def until(connection: ClientConnection, **wanted: Any) -> Any:
    """Return the next message with these fields, in itself, its event or its kline."""
    while True:
        message = await receive(connection)
        data = message.get("data", message.get("event", {}))
        found = {**message, **(data if isinstance(data, dict) else {})}
        if all({**found, **found.get("k", {})}.get(name) == value for name, value in wanted.items()):
            return message


async def ask(connection: ClientConnection, method: str, **params: Any) -> Any:
    await connection.send(json.dumps({"id": method, "method": method, "params": params}))
    return await until(connection, id=method)


async def test_klines_come_closed_and_then_forming_and_are_those_of_the_rest_call(server: InProcessServer) -> None:
    trader = await bot(server)
    await trader.step(3)
    async with socket(trader, "ws/btcusdt@kline_1m/btcusdt@kline_5m") as stream:
        shown = [await receive(stream) for _ in range(2)]
        assert [(message["e"], message["k"]["i"], message["k"]["x"]) for message in shown] == [
            ("kline", "1m", False), ("kline", "5m", False),
        ]  # fmt: skip
        assert {message["E"] for message in shown} == {START_MS + 3 * MINUTE}
        await trader.step(2)
        closed = [await until(stream, x=True, i=interval) for interval in ("1m", "1m", "5m")]
        assert [message["k"]["t"] for message in closed] == [START_MS + n * MINUTE for n in (3, 4, 0)]
        for interval, message in (("1m", closed[1]), ("5m", closed[2])):
            [kline] = await trader.call(
                "klines", symbol="BTCUSDT", interval=interval, startTime=message["k"]["t"], limit=1
            )
            assert [message["k"][name] for name in "tohlcvTq"] == kline[:8]
        forming = await until(stream, x=False, i="5m")
        assert (forming["k"]["t"], forming["k"]["v"]) == (START_MS + 5 * MINUTE, "0.00000000")


async def test_streams_are_subscribed_listed_and_left(server: InProcessServer) -> None:
    trader = await bot(server)
    await trader.step()
    async with socket(trader, "stream?streams=btcusdt@kline_1m/nothing@trade") as stream:
        assert (await receive(stream))["stream"] == "btcusdt@kline_1m"
        wanted = ["btcusdt@trade", "btcusdt@aggTrade", "btcusdt@miniTicker", "btcusdt@ticker", "btcusdt@bookTicker",
                  "btcusdt@depth5", "btcusdt@depth@100ms", "!ticker@arr"]  # fmt: skip
        await stream.send(json.dumps({"method": "SUBSCRIBE", "params": wanted, "id": 7}))
        assert await until(stream, id=7) == {"result": None, "id": 7}
        await stream.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": 8}))
        assert (await until(stream, id=8))["result"] == ["btcusdt@kline_1m", *wanted]
        await trader.step()
        seen: dict[str, Any] = {}
        while len(seen) < len(wanted):
            message = await receive(stream)
            if message["stream"] in wanted and (message["stream"] not in seen or "ticker" in message["stream"]):
                seen[message["stream"]] = message["data"]
        price = (await trader.call("ticker/price", symbol="BTCUSDT"))["price"]
        assert seen["btcusdt@trade"]["p"] == seen["btcusdt@aggTrade"]["p"] == price
        assert {"U", "u", "b", "a"} <= set(seen["btcusdt@depth@100ms"])
        assert isinstance(seen["!ticker@arr"], list)
        for number, (method, params) in enumerate(
            [("SUBSCRIBE", ["btcusdt@kline_1s"]), ("SUBSCRIBE", [5]), ("SUBSCRIBE", "x"), ("MAGIC", []), (5, [])]
        ):
            await stream.send(json.dumps({"method": method, "params": params, "id": number}))
            message = await receive(stream)
            while "error" not in message:
                message = await receive(stream)
            assert message["error"]["code"] == 2
        await stream.send("{")
        assert "JSON" in (await until(stream, id=None))["error"]["msg"]
        await stream.send(json.dumps({"method": "UNSUBSCRIBE", "params": [*wanted, "btcusdt@kline_1m"], "id": 9}))
        await until(stream, id=9)
        await trader.step()
        await stream.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": 10}))
        assert await receive(stream) == {"result": [], "id": 10}


async def test_the_difference_stream_keeps_a_book_equal_to_the_snapshot(server: InProcessServer) -> None:
    trader = await bot(server)
    await trader.step()
    async with socket(trader, "stream/ws/0") as stream:
        await stream.send(json.dumps({"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 1}))
        await receive(stream)
        book = await trader.call("depth", symbol="BTCUSDT")
        sides = {name: dict(book[side]) for side, name in (("bids", "b"), ("asks", "a"))}
        last = book["lastUpdateId"]
        for _ in range(3):
            await trader.step()
            change = await until(stream, e="depthUpdate")
            assert change["U"] == last + 1
            last = change["u"]
            for name, side in sides.items():
                for price, qty in change[name]:
                    side[price] = qty
                sides[name] = {price: qty for price, qty in side.items() if float(qty)}
        now = await trader.call("depth", symbol="BTCUSDT")
        assert (last, sides) == (now["lastUpdateId"], {"b": dict(now["bids"]), "a": dict(now["asks"])})


async def test_a_paused_session_repeats_its_state_and_stands_still(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "REPEAT_S", 0.05)
    trader = await bot(server)
    await trader.step(2)
    async with socket(trader, "ws/btcusdt@kline_1m/btcusdt@bookTicker") as stream:
        messages = [await receive(stream) for _ in range(8)]
        assert messages[:2] == messages[2:4] == messages[6:]


async def test_the_stream_of_the_account_reports_orders_fills_and_balances(server: InProcessServer) -> None:
    trader = await bot(server)
    await trader.step(2)
    key = (await trader.call("userDataStream", "POST"))["listenKey"]
    limit = {**BUY, "type": "LIMIT", "timeInForce": "GTC", "price": "40000"}
    async with socket(trader, f"ws/{key}") as stream, socket(trader, "ws-api/v3") as api:
        assert await ask(api, "userDataStream.subscribe.signature", apiKey="x", signature="y", timestamp=1) == {
            "id": "userDataStream.subscribe.signature", "status": 200, "result": {"subscriptionId": 0},
            "rateLimits": [],
        }  # fmt: skip
        order = await trader.call("order", "POST", **BUY, newClientOrderId="mine")
        new, done, position = [await receive(stream) for _ in range(3)]
        assert [(new["x"], new["X"]), (done["x"], done["X"])] == [("NEW", "NEW"), ("TRADE", "FILLED")]
        assert (done["c"], done["i"], done["t"]) == ("mine", 1, order["fills"][0]["tradeId"])
        assert (new["z"], done["z"], done["l"], done["Z"]) == (
            "0.00000000", "0.01000000", "0.01000000", order["cummulativeQuoteQty"],
        )  # fmt: skip
        assert (done["n"], done["N"]) == (order["fills"][0]["commission"], "USDT")
        account = await trader.call("account")
        assert [[part["a"], part["f"], part["l"]] for part in position["B"]] == [
            [part["asset"], part["free"], part["locked"]] for part in account["balances"]
        ]
        assert [(await until(api, subscriptionId=0))["event"] for _ in range(3)] == [new, done, position]
        await trader.call("order", "POST", **limit)
        await trader.call("order", "DELETE", symbol="BTCUSDT", orderId=2)
        reports = [await until(stream, e="executionReport") for _ in range(2)]
        assert [report["x"] for report in reports] == ["NEW", "CANCELED"]
        await ask(api, "userDataStream.unsubscribe")


async def test_the_api_answers_calls_and_refusals_as_the_rest_calls_do(server: InProcessServer) -> None:
    trader = await bot(server)
    await trader.step(2)
    async with socket(trader, "ws-api/v3") as api:
        assert (await ask(api, "ping"))["result"] == {}
        assert (await ask(api, "time"))["result"] == {"serverTime": START_MS + 2 * MINUTE}
        for method in ("session.logon", "session.status"):
            assert (await ask(api, method))["status"] == 200
        klines = (await ask(api, "klines", symbol="BTCUSDT", interval="1m", limit=2))["result"]
        assert klines == await trader.call("klines", symbol="BTCUSDT", interval="1m", limit=2)
        placed = (await ask(api, "order.place", symbol="BTCUSDT", side="BUY", type="MARKET", quantity=0.00015))[
            "result"
        ]
        assert (placed["status"], placed["executedQty"]) == ("FILLED", "0.00015000")
        assert (await ask(api, "order.status", symbol="BTCUSDT", orderId=1))["result"]["status"] == "FILLED"
        assert (await ask(api, "openOrders.status"))["result"] == []
        assert (await ask(api, "account.status"))["result"] == await trader.call("account")
        await trader.step()
        assert (await ask(api, "time"))["result"] == {"serverTime": START_MS + 3 * MINUTE}
        wrong = await ask(api, "order.cancel", symbol="BTCUSDT", orderId=1)
        assert (wrong["status"], wrong["error"]["code"]) == (400, -2011)
        assert (await ask(api, "sor.order.place"))["error"]["code"] == -1020
        for text in ("[]", "5", '"x"', "{}", '{"method": 5}', '{"id": [], "method": "ping", "params": []}', "\x00"):
            await api.send(text)
            answer = await receive(api)
            assert (answer["id"], answer["status"], answer["error"]["code"]) == (None, 400, -1135)


async def test_a_session_that_logs_no_candles_streams_them_from_the_cache(server: InProcessServer) -> None:
    trader = await bot(server, record="trades")
    async with socket(trader, "ws/btcusdt@kline_1m") as stream:
        await trader.step(3)
        closed = [await until(stream, x=True) for _ in range(3)]
        assert [message["k"]["t"] for message in closed] == [START_MS + n * MINUTE for n in range(3)]


async def test_wrong_keys_addresses_origins_and_too_many_streams_are_refused_before_the_handshake(
    database: Database,
) -> None:
    async with running_server(database, candles=0, user_streams=1) as server:
        trader = await bot(server)
        wrong = Bot(server, "zeon_bot_nobody", "")
        for refused, path, code in (
            (wrong, "ws/btcusdt@trade", -2015),
            (wrong, "ws-api/v3", -2015),
            (trader, "ws-x", -1020),
        ):
            with pytest.raises(InvalidStatus) as error:
                async with socket(refused, path):
                    pass
            assert json.loads(error.value.response.body)["code"] == code
        with pytest.raises(InvalidStatus) as error:
            async with connect(address(trader, "ws"), proxy=None, origin="https://elsewhere.example"):
                pass
        assert error.value.response.status_code == 403
        async with socket(trader, "ws/btcusdt@trade"):
            with pytest.raises(InvalidStatus) as error:
                async with socket(trader, "ws/btcusdt@trade"):
                    pass
            assert (error.value.response.status_code, json.loads(error.value.response.body)["code"]) == (429, -1003)
        plain = await server.client.get(f"/x/binance/{trader.key}/ws")
        assert (plain.status_code, plain.json()["code"]) == (404, -1020)


async def test_a_stream_ends_when_its_key_ends_its_session_is_deleted_or_its_client_asks_too_much(
    database: Database,
) -> None:
    async with running_server(database, heartbeat_ms=50, rate=1, burst=60) as server:
        trader = await bot(server)
        made = await server.data("POST", f"{trader.path}/bot-key", status=201)
        holder = Bot(server, made["key"], trader.session_id)
        async with socket(holder, "ws/btcusdt@kline_1m") as stream:
            await server.data("DELETE", f"{trader.path}/bot-key/{made['keyId']}")
            await closed(stream, 1008)
        other = await bot(server)
        async with socket(other, "ws-api/v3") as stream:
            await server.data("DELETE", other.path)
            await closed(stream, 1008)
        async with socket(trader, "ws-api/v3") as stream:
            for _ in range(60):
                await stream.send('{"id": 1, "method": "ping"}')
            await closed(stream, 1008)


async def closed(stream: ClientConnection, code: int) -> None:
    """Read up to the end, which must have a code."""
    try:
        async with asyncio.timeout(10):
            async for _ in stream:
                pass
    except ConnectionClosedError:
        pass
    assert stream.close_code == code


async def test_a_server_that_stops_says_so_and_answers_its_clients_pings_and_pings_them(database: Database) -> None:
    limits = ConnectionLimits(ping_s=0.05)
    async with running_server(database, limits=limits) as server:
        trader = await bot(server)
        opened = [await connect(address(trader, path), proxy=None) for path in ("ws", "stream", "ws-api/v3")]
        await asyncio.wait_for(await opened[0].ping(), 10)
        await ask(opened[2], "ping")
    assert [json.loads(await stream.recv()).get("stream") for stream in opened[:2]] == [None, "!serverShutdown"]
    for stream in opened:
        await closed(stream, 1001)


async def test_a_websocket_keeps_its_place_among_the_connections(server: InProcessServer) -> None:
    trader = await bot(server)
    before = len(server.served.connections)
    async with socket(trader, "ws-api/v3") as api:
        await ask(api, "ping")
        assert len(server.served.connections) == before + 1
    deadline = time.monotonic() + 10
    while len(server.served.connections) > before:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_addresses_and_websockets_are_below_the_root_path(database: Database) -> None:
    async with running_server(database, root_path="/zeon") as server:
        trader = await bot(server)
        made = await server.data("POST", f"{trader.path}/bot-key", status=201)
        assert made["addresses"]["rest"] == f"{server.served.url}/zeon/x/binance/{made['key']}/api/v3"
        answer = await server.client.get(f"{made['addresses']['rest']}/time")
        assert answer.json() == {"serverTime": START_MS}
        async with connect(made["addresses"]["wsApi"], proxy=None) as api:
            assert (await ask(api, "time"))["result"] == {"serverTime": START_MS}


async def test_a_client_that_sends_no_pong_is_dropped(database: Database) -> None:
    limits = ConnectionLimits(ping_s=0.05, pong_s=0.1)
    async with running_server(database, limits=limits) as server:
        trader = await bot(server)
        await trader.step()
        silent = await raw(trader, "ws/btcusdt@kline_1m")
        await until_streams(server, opened=1)
        silent.close()


async def test_a_client_that_never_reads_is_dropped(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "REPEAT_S", 0.001)
    async with running_server(database, limits=ConnectionLimits(check_s=0.05), write_timeout_ms=300) as server:
        trader = await bot(server)
        await trader.step()
        host, _, port = server.served.url.removeprefix("http://").partition(":")
        with plain_socket.socket() as silent:
            silent.setsockopt(plain_socket.SOL_SOCKET, plain_socket.SO_RCVBUF, 4096)
            silent.connect((host, int(port)))
            silent.sendall(handshake(trader, "/".join(["ws", *(f"btcusdt@kline_{name}" for name in TIMEFRAMES)])))
            await until_streams(server, opened=1)


async def until_streams(server: InProcessServer, *, opened: int) -> None:
    """Wait until so many streams were opened, and none is open any more."""
    deadline = time.monotonic() + 10
    while server.served.streams or server.served.streams.opened < opened:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def handshake(trader: Bot, path: str) -> bytes:
    return (
        f"GET /x/binance/{trader.key}/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


async def raw(trader: Bot, path: str) -> asyncio.StreamWriter:
    """Open a WebSocket by hand; nothing reads it."""
    host, _, port = trader.server.served.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(handshake(trader, path))
    await writer.drain()
    return writer
