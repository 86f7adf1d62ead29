"""Clients of Binance spot behind one interface: what each of them can do in a session, in its own words."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import version
from typing import Any

import pytest

import zeon
from tests.clients.exchange import connector
from tests.support.network.bot import Bot

SYMBOL, PAIR = "BTCUSDT", "BTC/USDT"


class Lazy:
    """A module that is imported on first use: importing these takes seconds, and `make test` only lists their tests."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)


ccxt, binance = Lazy("ccxt"), Lazy("binance")
FEATURES = {
    "markets": "symbols with filters",
    "candles": "candles, the forming one last",
    "ticker": "ticker",
    "book": "order book",
    "place": "market order",
    "fill": "own trades",
    "cancel": "limit order, cancelled",
    "beyond": "refused: balance",
    "filter": "refused: filter",
    "unknown": "refused: unknown order",
    "balances": "balances",
    "stream": "candles over WebSocket",
    "user": "orders over WebSocket",
}
"""Feature -> its words in the table of `docs/bots.md`."""
Feature = Callable[[], Awaitable[None]]


class Ccxt:
    """ccxt, synchronous; its calls run in a thread."""

    title = "ccxt"
    package = "ccxt"

    def __init__(self, bot: Bot) -> None:
        self.bot = bot
        self.exchange = Lazy(self.module).binance(zeon.ccxt_config(bot.server.served.url, bot.key))

    module = "ccxt"

    async def close(self) -> None:
        """Close what the client holds open."""

    async def run(self, name: str, *arguments: Any, **more: Any) -> Any:
        return await asyncio.to_thread(getattr(self.exchange, name), *arguments, **more)

    async def markets(self) -> None:
        market = (await self.run("load_markets"))[PAIR]
        assert (market["base"], market["quote"], market["spot"]) == ("BTC", "USDT", True)
        assert market["precision"]["price"] == 0.01
        assert 0 < market["precision"]["amount"] < 0.001
        assert market["limits"]["cost"]["min"] == 5

    async def candles(self) -> None:
        now = await self.run("fetch_time")
        rows = await self.run("fetch_ohlcv", PAIR, "1m")
        assert rows[-1][0] == now
        assert rows[-1][5] == 0
        assert rows[-1][1:5] == [rows[-2][4]] * 4

    async def ticker(self) -> None:
        price = float((await self.bot.call("ticker/price", symbol=SYMBOL))["price"])
        assert (await self.run("fetch_ticker", PAIR))["last"] == price
        assert (await self.run("fetch_tickers"))[PAIR]["last"] == price

    async def book(self) -> None:
        price = float((await self.bot.call("ticker/price", symbol=SYMBOL))["price"])
        book = await self.run("fetch_order_book", PAIR, 5)
        assert book["bids"][0][0] < price < book["asks"][0][0]

    async def place(self) -> None:
        order = await self.run("create_order", PAIR, "market", "buy", 0.01)
        assert (order["status"], order["filled"], order["fee"]["currency"]) == ("closed", 0.01, "USDT")

    async def fill(self) -> None:
        order = await self.run("create_order", PAIR, "market", "buy", 0.002)
        trades = await self.run("fetch_my_trades", PAIR)
        assert trades[-1]["order"] == order["id"]
        assert (trades[-1]["amount"], trades[-1]["side"]) == (0.002, "buy")

    async def cancel(self) -> None:
        order = await self.run("create_order", PAIR, "limit", "buy", 0.01, 20_000)
        assert order["status"] == "open"
        assert [found["id"] for found in await self.run("fetch_open_orders", PAIR)] == [order["id"]]
        assert (await self.run("cancel_order", order["id"], PAIR))["status"] == "canceled"
        assert (await self.run("fetch_order", order["id"], PAIR))["status"] == "canceled"

    async def beyond(self) -> None:
        for side in ("buy", "sell"):
            with pytest.raises(ccxt.InsufficientFunds):
                await self.run("create_order", PAIR, "market", side, 5)

    async def filter(self) -> None:
        order = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
        with pytest.raises(ccxt.InvalidOrder):
            await self.run("private_post_order", {**order, "price": "20000.001"})
        with pytest.raises(ccxt.BadRequest, match="NOTIONAL"):
            await self.run("create_order", PAIR, "limit", "buy", 0.001, 1)

    async def unknown(self) -> None:
        with pytest.raises(ccxt.OrderNotFound):
            await self.run("cancel_order", "999", PAIR)
        with pytest.raises(ccxt.OrderNotFound):
            await self.run("fetch_order", "999", PAIR)
        with pytest.raises(ccxt.BadSymbol):
            await self.run("private_get_allorders", {"symbol": "NONE"})

    async def balances(self) -> None:
        before = await self.run("fetch_balance")
        await self.run("create_order", PAIR, "market", "buy", 0.001)
        after = await self.run("fetch_balance")
        assert after["BTC"]["free"] == pytest.approx(before["BTC"]["free"] + 0.001)
        assert after["USDT"]["total"] < before["USDT"]["total"]


class CcxtAsync(Ccxt):
    """ccxt, asynchronous."""

    title = "ccxt (async)"
    module = "ccxt.async_support"

    async def close(self) -> None:
        await self.exchange.close()

    async def run(self, name: str, *arguments: Any, **more: Any) -> Any:
        return await getattr(self.exchange, name)(*arguments, **more)


class CcxtPro(CcxtAsync):
    """ccxt.pro: the same and WebSockets."""

    title = "ccxt.pro"
    module = "ccxt.pro"

    async def stream(self) -> None:
        await self.run("load_markets")
        first = await self.run("watch_ohlcv", PAIR, "1m")
        await self.bot.step(2)
        async with asyncio.timeout(10):
            while (rows := await self.run("watch_ohlcv", PAIR, "1m"))[-1][0] < first[-1][0] + 120_000:
                pass
        book = await self.run("watch_order_book", PAIR)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert (await self.run("watch_ticker", PAIR))["symbol"] == PAIR
        assert rows[-1][5] == 0

    async def user(self) -> None:
        await self.run("load_markets")
        waiting = asyncio.ensure_future(self.run("watch_orders", PAIR))
        async with asyncio.timeout(10):
            while not waiting.done():
                order = await self.bot.call("order", "POST", symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.001")
                await asyncio.wait([waiting], timeout=0.5)
        assert waiting.result()[-1]["symbol"] == PAIR
        assert int(waiting.result()[-1]["id"]) <= order["orderId"]


class PythonBinance:
    """python-binance, asynchronous; its addresses are attributes of its classes."""

    title = "python-binance (async)"
    package = "python-binance"

    def __init__(self, bot: Bot) -> None:
        self.bot = bot
        self.client: Any = None

    async def close(self) -> None:
        """Close what the client holds open."""
        if self.client is not None:
            await self.client.close_connection()

    async def run(self, name: str, **params: Any) -> Any:
        if self.client is None:
            self.client = await binance.AsyncClient.create("zeon", "zeon")
        return await getattr(self.client, name)(**params)

    async def markets(self) -> None:
        info = await self.run("get_symbol_info", symbol=SYMBOL)
        assert (info["baseAsset"], info["quoteAsset"]) == ("BTC", "USDT")

    async def candles(self) -> None:
        now = (await self.run("get_server_time"))["serverTime"]
        rows = await self.run("get_klines", symbol=SYMBOL, interval="1m")
        assert rows[-1][0] == now

    async def ticker(self) -> None:
        price = (await self.bot.call("ticker/price", symbol=SYMBOL))["price"]
        assert (await self.run("get_ticker", symbol=SYMBOL))["lastPrice"] == price
        assert (await self.run("get_symbol_ticker", symbol=SYMBOL))["price"] == price

    async def book(self) -> None:
        book = await self.run("get_order_book", symbol=SYMBOL)
        assert float(book["bids"][0][0]) < float(book["asks"][0][0])

    async def place(self) -> None:
        order = await self.run("order_market_buy", symbol=SYMBOL, quantity="0.01")
        assert (order["status"], order["executedQty"]) == ("FILLED", "0.01000000")

    async def fill(self) -> None:
        order = await self.run("order_market_buy", symbol=SYMBOL, quantity="0.002")
        assert (await self.run("get_my_trades", symbol=SYMBOL))[-1]["orderId"] == order["orderId"]

    async def cancel(self) -> None:
        order = await self.run("order_limit_buy", symbol=SYMBOL, quantity="0.01", price="20000")
        assert [found["orderId"] for found in await self.run("get_open_orders")] == [order["orderId"]]
        gone = await self.run("cancel_order", symbol=SYMBOL, orderId=order["orderId"])
        assert gone["status"] == "CANCELED"

    async def refused(self, code: int, name: str, **params: Any) -> None:
        with pytest.raises(Lazy("binance.exceptions").BinanceAPIException) as error:
            await self.run(name, symbol=SYMBOL, **params)
        assert error.value.code == code

    async def beyond(self) -> None:
        await self.refused(-2010, "order_market_buy", quantity="5")

    async def filter(self) -> None:
        await self.refused(-1013, "order_limit_buy", quantity="0.01", price="20000.001")

    async def unknown(self) -> None:
        await self.refused(-2013, "get_order", orderId=999)
        await self.refused(-2011, "cancel_order", orderId=999)

    async def balances(self) -> None:
        await self.run("order_market_buy", symbol=SYMBOL, quantity="0.001")
        assert float((await self.run("get_asset_balance", asset="BTC"))["free"]) > 0

    async def stream(self) -> None:
        await self.run("ping")
        manager = binance.BinanceSocketManager(self.client)
        for socket in (manager.kline_socket(SYMBOL), manager.multiplex_socket(["btcusdt@kline_1m"])):
            async with socket as messages, asyncio.timeout(10):
                first = await messages.recv()
                await self.bot.step()
                start = first.get("data", first)["k"]["t"]
                while (message := await messages.recv()).get("data", message)["k"]["t"] == start:
                    pass

    async def user(self) -> None:
        await self.run("ping")
        async with binance.BinanceSocketManager(self.client).user_socket() as messages, asyncio.timeout(10):
            order = await self.run("order_market_buy", symbol=SYMBOL, quantity="0.001")
            while (message := await messages.recv()).get("event", message).get("x") != "TRADE":
                pass
            assert message.get("event", message)["i"] == order["orderId"]


class PythonBinanceSync(PythonBinance):
    """python-binance, synchronous."""

    title = "python-binance (sync)"
    stream = None
    user = None

    async def close(self) -> None:
        """Close what the client holds open."""
        if self.client is not None:
            await asyncio.to_thread(self.client.close_connection)

    async def run(self, name: str, **params: Any) -> Any:
        if self.client is None:
            self.client = await asyncio.to_thread(binance.Client, "zeon", "zeon")
        return await asyncio.to_thread(getattr(self.client, name), **params)


class BinanceConnector:
    """binance-connector. It has the module of python-binance, so it runs in a process with packages of its own."""

    title = "binance-connector"
    package = "binance-connector"
    user = None

    def __init__(self, bot: Bot) -> None:
        self.bot = bot
        self.config = zeon.binance_connector_config(bot.server.served.url, bot.key)

    async def close(self) -> None:
        """Nothing stays open."""

    async def run(self, name: str, *arguments: Any, **params: Any) -> Any:
        """Make a call; a refusal comes as `{"error": code}`."""
        request = {"config": self.config, "name": name, "arguments": arguments, "params": params}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            connector.SCRIPT,
            env={"PYTHONPATH": str(await asyncio.to_thread(connector.packages)), "no_proxy": "*"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate(json.dumps(request).encode())
        assert process.returncode == 0, output.decode()
        return json.loads(output)

    async def markets(self) -> None:
        assert (await self.run("exchange_info", symbol=SYMBOL))["symbols"][0]["baseAsset"] == "BTC"

    async def candles(self) -> None:
        now = (await self.run("time"))["serverTime"]
        assert (await self.run("klines", SYMBOL, "1m"))[-1][0] == now

    async def ticker(self) -> None:
        assert (await self.run("ticker_24hr", SYMBOL))["symbol"] == SYMBOL

    async def book(self) -> None:
        assert len((await self.run("depth", SYMBOL))["bids"]) == 1

    async def order(self, **params: Any) -> Any:
        return await self.run("new_order", **{"symbol": SYMBOL, "side": "BUY", "type": "MARKET", **params})

    async def place(self) -> None:
        assert (await self.order(quantity=0.01))["status"] == "FILLED"

    async def fill(self) -> None:
        order = await self.order(quantity=0.002)
        assert (await self.run("my_trades", SYMBOL))[-1]["orderId"] == order["orderId"]

    async def cancel(self) -> None:
        order = await self.order(type="LIMIT", timeInForce="GTC", quantity=0.01, price=20_000)
        gone = await self.run("cancel_order", SYMBOL, orderId=order["orderId"])
        assert gone["status"] == "CANCELED"

    async def beyond(self) -> None:
        assert await self.order(quantity=5) == {"error": -2010}

    async def filter(self) -> None:
        assert await self.order(type="LIMIT", timeInForce="GTC", quantity=0.01, price=20_000.001) == {"error": -1013}

    async def unknown(self) -> None:
        assert await self.run("cancel_order", SYMBOL, orderId=999) == {"error": -2011}

    async def balances(self) -> None:
        assert {part["asset"] for part in (await self.run("account"))["balances"]} == {"BTC", "USDT"}
        assert (await self.run("new_listen_key"))["listenKey"]

    async def stream(self) -> None:
        message = await self.run("stream", "kline", symbol="btcusdt", interval="1m")
        assert message["k"]["s"] == SYMBOL


CLIENTS: list[Any] = [Ccxt, CcxtAsync, CcxtPro, PythonBinanceSync, PythonBinance, BinanceConnector]


def version_of(client: Any) -> str:
    """Return the version of a client's package."""
    return connector.VERSION if client is BinanceConnector else version(client.package)


@asynccontextmanager
async def opened(kind: Any, bot: Bot) -> AsyncIterator[Any]:
    """Be a client until the block ends."""
    client = kind(bot)
    try:
        yield client
    finally:
        await client.close()
