"""Malformed requests and frames to the exchange face, between orders that are right."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.support.client import SESSIONS
from tests.support.network.bot import Bot

_WORDS = (
    "", "0", "-1", "1e309", "NaN", "null", "\x00", "\ud7ff", "\u202e", "BTCUSDT", "btcusdt", "[]", '["BTCUSDT"]',
    "9" * 40, "0.00000000000000000001", "1.5", "BUY", "SELL", "MARKET", "LIMIT", "GTC", "IOC", "1m", "1h", "%00",
    "a" * 300, "'; DROP TABLE sim_events; --", "{}", "true", "10", "40000", "1704067200000",
)  # fmt: skip
_NAMES = (
    "symbol", "symbols", "interval", "limit", "startTime", "endTime", "side", "type", "timeInForce", "quantity",
    "price", "stopPrice", "quoteOrderQty", "newClientOrderId", "orderId", "origClientOrderId", "newOrderRespType",
    "timestamp", "recvWindow", "fromId", "windowSize", "x", "signature",
)  # fmt: skip
_PATHS = (
    "ping", "time", "exchangeInfo", "klines", "ticker", "ticker/24hr", "ticker/price", "depth", "trades", "aggTrades",
    "account", "order", "order/test", "openOrders", "allOrders", "myTrades", "account/commission", "userDataStream",
    "..", "%2e%2e/%2e%2e", "order/cancelReplace",
)  # fmt: skip
_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD")
_CALLS = ("ping", "klines", "order.place", "order.test", "order.status", "order.cancel", "account.status", "depth", "x")


@dataclass
class Outcome:
    """What came of a run: the orders that were answered as placed, and the answers by status."""

    placed: int
    statuses: dict[int, int]


async def send_malformed(trader: Bot, seed: int, count: int) -> Outcome:
    """Make so many calls; every answer has the form of the exchange and none is an error of the server."""
    chance, outcome = random.Random(seed), Outcome(0, {})
    for number in range(count):
        if number % 50 == 49:
            outcome.placed += await _place(trader, number)
        elif number % 3:
            await _request(trader, chance, outcome)
        else:
            await _frames(trader, chance, outcome)
    return outcome


async def orders_in_the_log(trader: Bot) -> list[dict[str, Any]]:
    """Return the orders of the log that a bot placed."""
    return (await trader.server.data("GET", f"{SESSIONS}/{trader.session_id}/orders?limit=1000"))["orders"]


async def _place(trader: Bot, number: int) -> int:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001"}
    answer = await trader.call("order", "POST", **order, price="20000", newClientOrderId=f"right-{number}")
    await trader.call("order", "DELETE", symbol="BTCUSDT", orderId=answer["orderId"])
    return 1


async def _request(trader: Bot, chance: random.Random, outcome: Outcome) -> None:
    method, path = chance.choice(_METHODS), chance.choice(_PATHS)
    params = [(chance.choice(_NAMES), chance.choice(_WORDS)) for _ in range(chance.randrange(8))]
    where: dict[str, Any] = {"params": params}
    if chance.random() < 0.3:
        where = {"content": bytes(chance.randrange(256) for _ in range(chance.randrange(60)))}
    response = await trader.server.client.request(method, f"/x/binance/{trader.key}/api/v3/{path}", **where)
    outcome.statuses[response.status_code] = outcome.statuses.get(response.status_code, 0) + 1
    assert response.status_code < 500, (method, path, where, response.text)
    if response.status_code >= 400 and method != "HEAD":
        answer = response.json()
        assert set(answer) == {"code", "msg"} or "error" in answer, response.text
        assert "error" not in answer or path in ("..", "%2e%2e/%2e%2e"), response.text
    if (method, path, response.status_code) == ("POST", "order", 200):
        outcome.placed += 1


async def _frames(trader: Bot, chance: random.Random, outcome: Outcome) -> None:
    path = chance.choice(("ws", "stream", "ws-api/v3", "ws/btcusdt@kline_1m/x", "stream?streams=%00/btcusdt@trade"))
    url = f"ws{trader.server.served.url.removeprefix('http')}/x/binance/{trader.key}/{path}"
    async with connect(url, proxy=None) as stream:
        try:
            for _ in range(3):
                await stream.send(_frame(chance))
            await stream.send(json.dumps({"method": "time" if "api" in path else "GET_PROPERTY", "id": 1}))
            await stream.recv()
        except ConnectionClosed:
            pass
    assert stream.close_code != 1011


def _frame(chance: random.Random) -> str | bytes:
    kind = chance.randrange(5)
    if kind == 0:
        return bytes(chance.randrange(256) for _ in range(chance.randrange(80)))
    if kind == 1:
        return "".join(chance.choice('{}[]",:0aé\\') for _ in range(chance.randrange(60)))
    if kind == 2:
        return "[" * 20_000
    params = {chance.choice(_NAMES): _value(chance) for _ in range(chance.randrange(6))}
    listed: Any = [_value(chance) for _ in range(chance.randrange(4))]
    method = chance.choice((*_CALLS[:2], *_CALLS[3:], "SUBSCRIBE", "UNSUBSCRIBE", "SET_PROPERTY", 5, None))
    request = {"id": _value(chance), "method": method, "params": chance.choice((params, listed, None, "x"))}
    return json.dumps(request)


def _value(chance: random.Random) -> Any:
    return chance.choice((*_WORDS, 1, -1, 1.5, 10**30, None, True, [], {}, [[]], {"a": 1}))
