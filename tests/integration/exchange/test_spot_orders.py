"""Orders of the exchange face: filled at the last close, in the log, within what a spot account has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.network.bot import Bot, bot
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.running_server import InProcessServer, running_server

MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
LIMIT = {**MARKET, "type": "LIMIT", "timeInForce": "GTC", "price": "40000"}
BEYOND = "Account has insufficient balance for requested action."


@pytest.fixture
async def server(database: Database) -> AsyncIterator[InProcessServer]:
    async with running_server(database) as server:
        yield server


async def begun(server: InProcessServer, candles: int = 3, **changes: Any) -> Bot:
    trader = await bot(server, **changes)
    await trader.step(candles)
    return trader


async def close(trader: Bot) -> float:
    return float((await trader.call("ticker/price", symbol="BTCUSDT"))["price"])


async def balances(trader: Bot) -> dict[str, tuple[float, float]]:
    account = await trader.call("account")
    return {part["asset"]: (float(part["free"]), float(part["locked"])) for part in account["balances"]}


async def test_a_market_order_fills_at_the_last_close_and_is_in_the_log(server: InProcessServer) -> None:
    trader = await begun(server)
    price = await close(trader)
    order = await trader.call("order", "POST", **MARKET, newClientOrderId="mine")
    now = START_MS + 3 * MINUTE
    fee = round(0.01 * price * 0.001, 8)
    assert order == {
        "symbol": "BTCUSDT", "orderId": 1, "orderListId": -1, "clientOrderId": "mine", "transactTime": now,
        "price": "0.00000000", "origQty": "0.01000000", "executedQty": "0.01000000",
        "origQuoteOrderQty": "0.00000000", "cummulativeQuoteQty": f"{0.01 * price:.8f}", "status": "FILLED",
        "timeInForce": "GTC", "type": "MARKET", "side": "BUY", "selfTradePreventionMode": "NONE", "workingTime": now,
        "fills": [{"price": f"{price:.8f}", "qty": "0.01000000", "commission": f"{fee:.8f}",
                   "commissionAsset": "USDT", "tradeId": order["fills"][0]["tradeId"]}],
    }  # fmt: skip
    log = (await server.data("GET", f"{trader.path}/events?types=control,fill"))["events"]
    assert [event["type"] for event in log] == ["control", "control", "fill"]
    log = log[1:]
    assert (log[0]["payload"]["args"]["fill"], log[0]["payload"]["args"]["clientOrderId"]) == ("same_close", "mine")
    assert log[1]["seq"] == order["fills"][0]["tradeId"]
    assert await balances(trader) == {
        "USDT": (pytest.approx(10_000 - 0.01 * price - fee), 0), "BTC": (0.01, 0),
    }  # fmt: skip
    [trade] = await trader.call("myTrades", symbol="BTCUSDT")
    assert (trade["id"], trade["orderId"], trade["isBuyer"], trade["isMaker"]) == (log[1]["seq"], 1, True, False)
    assert await trader.call("myTrades", symbol="BTCUSDT", fromId=trade["id"] + 1) == []
    for query in ({"orderId": 1}, {"origClientOrderId": "mine"}):
        shown = await trader.call("order", symbol="BTCUSDT", **query)
        assert (shown["status"], shown["executedQty"], shown["time"]) == ("FILLED", "0.01000000", now)
    sold = await trader.call("order", "POST", **{**MARKET, "side": "SELL"}, newOrderRespType="ACK")
    assert set(sold) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    assert sold["clientOrderId"] == "zeon-2"
    assert (await trader.call("order", symbol="BTCUSDT", origClientOrderId="zeon-2"))["orderId"] == 2
    assert [order["orderId"] for order in await trader.call("allOrders", symbol="BTCUSDT")] == [1, 2]
    assert [order["orderId"] for order in await trader.call("allOrders", symbol="BTCUSDT", orderId=2)] == [2]


async def test_open_orders_lock_what_they_need_and_nothing_beyond_it_is_logged(server: InProcessServer) -> None:
    trader = await begun(server)
    resting = await trader.call("order", "POST", **{**LIMIT, "quantity": "0.1"})
    assert (resting["status"], resting["fills"]) == ("NEW", [])
    assert await balances(trader) == {"USDT": (10_000 - 4004, 4004), "BTC": (0, 0)}
    before = await server.data("GET", trader.path)
    for wrong in (
        {**LIMIT, "quantity": "0.15"},
        {**MARKET, "quantity": "1"},
        {**MARKET, "side": "SELL"},
        {**LIMIT, "side": "SELL", "price": "90000"},
        {**MARKET, "type": "STOP_LOSS", "stopPrice": "90000", "quantity": "0.1"},
    ):
        assert await trader.refused(-2010, "order", "POST", **wrong) == BEYOND
    assert (await server.data("GET", trader.path))["lastSeq"] == before["lastSeq"]
    [shown] = await trader.call("openOrders", symbol="BTCUSDT")
    assert (shown["orderId"], shown["price"], shown["isWorking"]) == (1, "40000.00000000", True)
    gone = await trader.call("order", "DELETE", symbol="BTCUSDT", orderId=1)
    assert (gone["status"], gone["origClientOrderId"]) == ("CANCELED", "zeon-1")
    assert await balances(trader) == {"USDT": (10_000, 0), "BTC": (0, 0)}
    await trader.refused(-2011, "order", "DELETE", symbol="BTCUSDT", orderId=1)
    await trader.refused(-2011, "openOrders", "DELETE", symbol="BTCUSDT")
    # Two orders at the same time that together are beyond the balance: one of them is refused.
    both = await asyncio.gather(*(trader.send("order", "POST", **{**LIMIT, "quantity": "0.2"}) for _ in range(2)))
    assert sorted(answer.status_code for answer in both) == [200, 400]
    await trader.call("order", "POST", **{**LIMIT, "quantity": "0.001", "price": "41000"})
    gone = await trader.call("openOrders", "DELETE", symbol="BTCUSDT")
    assert [order["status"] for order in gone] == ["CANCELED"] * 2


async def test_all_of_the_balance_can_be_spent_by_an_amount_of_the_quote(server: InProcessServer) -> None:
    trader = await begun(server)
    order = await trader.call("order", "POST", symbol="BTCUSDT", side="BUY", type="MARKET", quoteOrderQty="10000")
    assert order["status"] == "FILLED"
    free = (await balances(trader))["USDT"][0]
    assert 0 <= free < 50
    held = (await balances(trader))["BTC"][0]
    await trader.call("order", "POST", **{**MARKET, "side": "SELL", "quantity": f"{held:.8f}"})
    assert (await balances(trader))["BTC"] == (0, 0)


async def test_filters_and_wrong_orders_have_the_codes_that_clients_act_on(server: InProcessServer) -> None:
    trader = await begun(server)
    price = await close(trader)
    wrong: list[tuple[int, str, dict[str, Any]]] = [
        (-1013, "PRICE_FILTER", {**LIMIT, "price": "40000.001"}),
        (-1013, "LOT_SIZE", {**MARKET, "quantity": "0.000000001"}),
        (-1013, "NOTIONAL", {**LIMIT, "price": "1"}),
        (-1121, "symbol", {**MARKET, "symbol": "ETHUSDT"}),
        (-1117, "side", {**MARKET, "side": "HOLD"}),
        (-1116, "orderType", {**MARKET, "type": "MAGIC"}),
        (-1115, "timeInForce", {**LIMIT, "timeInForce": "DAY"}),
        (-1102, "timeInForce", {key: value for key, value in LIMIT.items() if key != "timeInForce"}),
        (-1102, "quantity", {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"}),
        (-1102, "price", {key: value for key, value in LIMIT.items() if key != "price"}),
        (-1102, "stopPrice", {**MARKET, "type": "STOP_LOSS"}),
        (-1106, "price", {**MARKET, "price": "1"}),
        (-1128, "optional", {**MARKET, "quoteOrderQty": "10"}),
        (-1100, "quantity", {**MARKET, "quantity": "-1"}),
        (-1100, "quantity", {**MARKET, "quantity": "1e5"}),
        (-1100, "newClientOrderId", {**MARKET, "newClientOrderId": "a b"}),
        (-1020, "icebergQty", {**MARKET, "icebergQty": "1"}),
        (-2010, "trigger immediately", {**MARKET, "type": "STOP_LOSS", "stopPrice": f"{price - 1:.2f}"}),
        (-2010, "trigger immediately", {**MARKET, "type": "TAKE_PROFIT", "stopPrice": f"{price + 1:.2f}"}),
        (-2010, "immediately match", {**LIMIT, "type": "LIMIT_MAKER", "price": f"{price + 1:.2f}", "timeInForce": ""}),
    ]
    for code, named, order in wrong:
        assert named in await trader.refused(code, "order", "POST", **order), order
        assert named in await trader.refused(code, "order/test", "POST", **order), order
    assert await trader.call("order/test", "POST", **MARKET) == {}
    assert await trader.call("openOrders") == []
    assert await trader.call("allOrders", symbol="BTCUSDT") == []
    await trader.call("order", "POST", **MARKET, newClientOrderId="a")
    await trader.refused(-2010, "order", "POST", **MARKET, newClientOrderId="a")
    for name in ("account/commission", "rateLimit/order"):
        await trader.call(name, symbol="BTCUSDT")
    for query in ({"orderId": 99}, {"origClientOrderId": "nobody"}, {"orderId": 0}):
        await trader.refused(-2013, "order", symbol="BTCUSDT", **query)
        await trader.refused(-2011, "order", "DELETE", symbol="BTCUSDT", **query)
    await trader.refused(-1102, "order", symbol="BTCUSDT")


async def test_orders_that_must_fill_at_once_do_so_or_expire(server: InProcessServer) -> None:
    trader = await begun(server)
    price = await close(trader)
    for force in ("IOC", "FOK"):
        filled = await trader.call("order", "POST", **{**LIMIT, "timeInForce": force, "price": f"{price + 5:.2f}"})
        assert (filled["status"], filled["fills"][0]["price"]) == ("FILLED", f"{price:.8f}")
        missed = await trader.call("order", "POST", **{**LIMIT, "timeInForce": force, "price": f"{price - 5:.2f}"})
        assert (missed["status"], missed["executedQty"], missed["timeInForce"]) == ("EXPIRED", "0.00000000", force)
        shown = await trader.call("order", symbol="BTCUSDT", orderId=missed["orderId"])
        assert (shown["status"], shown["type"], shown["timeInForce"]) == ("EXPIRED", "LIMIT", force)
    assert await trader.call("openOrders") == []


async def test_stops_and_take_profits_rest_and_keep_what_the_bot_asked_for(server: InProcessServer) -> None:
    trader = await begun(server)
    price = await close(trader)
    await trader.call("order", "POST", **MARKET)
    below, above = f"{price * 0.5:.2f}", f"{price * 2:.2f}"
    sell = {**MARKET, "side": "SELL", "quantity": "0.002"}
    asked: list[dict[str, Any]] = [
        {**sell, "type": "STOP_LOSS", "stopPrice": below},
        {**sell, "type": "STOP_LOSS_LIMIT", "stopPrice": below, "price": below, "timeInForce": "GTC"},
        {**sell, "type": "TAKE_PROFIT", "stopPrice": above},
        {**sell, "type": "TAKE_PROFIT_LIMIT", "stopPrice": above, "price": above, "timeInForce": "GTC"},
        {**sell, "type": "LIMIT_MAKER", "price": above},
    ]
    for order in asked:
        assert "status" not in await trader.call("order", "POST", **order)
    shown = await trader.call("openOrders")
    assert [order["type"] for order in shown] == [order["type"] for order in asked]
    assert [float(order["stopPrice"]) for order in shown] == [float(order.get("stopPrice", 0)) for order in asked]
    assert [float(order["price"]) for order in shown] == [float(order.get("price", 0)) for order in asked]
    assert (await balances(trader))["BTC"] == (0, pytest.approx(0.01))
    assert await trader.refused(-2010, "order", "POST", **sell) == BEYOND


async def test_a_created_session_takes_orders_that_wait_for_the_first_open(server: InProcessServer) -> None:
    trader = await bot(server, startMs=START_MS + 10 * MINUTE)
    order = await trader.call("order", "POST", **MARKET)
    assert order["status"] == "NEW"
    await trader.step()
    assert (await trader.call("order", symbol="BTCUSDT", orderId=1))["status"] == "FILLED"
    first = await bot(server)
    assert "no candle yet" in await first.refused(-1013, "order", "POST", **MARKET)


async def test_an_ended_session_and_one_without_an_account_refuse_orders_in_the_form_of_the_exchange(
    server: InProcessServer,
) -> None:
    trader = await begun(server)
    await server.data("POST", f"{trader.path}/stop")
    assert "stopped" in await trader.refused(-2010, "order", "POST", **MARKET)
    assert (await trader.call("account"))["canTrade"] is False
    feed = await begun(server, profileSlug="none")
    for path, method in (("account", "GET"), ("order", "POST")):
        await feed.refused(-2010, path, method, **MARKET)
    assert await feed.call("userDataStream", "POST") == {"listenKey": "zeonUserData"}
