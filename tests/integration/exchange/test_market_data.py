"""Market data of the exchange face: what is shown is the session's past, at the session's time, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from app.domain.session import SessionSpec
from app.settings import load
from app.web.http.parsing import parse
from app.web.sim.requests import NewSession
from tests.support.client import BODY, SESSIONS
from tests.support.network.bot import Bot, bot
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.running_server import InProcessServer, running_server

EARLIER = 30
"""Candles in the cache before the session's range."""


@pytest.fixture
async def server(database: Database) -> AsyncIterator[InProcessServer]:
    async with running_server(database, candles=0) as server:
        await store(server.served.sim.database, count=EARLIER + 100, start_ms=START_MS - EARLIER * MINUTE)
        yield server


def times(klines: list[list[Any]]) -> list[int]:
    return [(kline[0] - START_MS) // MINUTE for kline in klines]


async def test_klines_reach_before_the_start_and_never_past_the_cursor(server: InProcessServer) -> None:
    trader = await bot(server)
    assert await trader.call("time") == {"serverTime": START_MS}
    shown = await trader.call("klines", symbol="BTCUSDT", interval="1m")
    assert times(shown) == list(range(-EARLIER, 1))
    assert shown[-1][1:6] == [shown[-2][4]] * 4 + ["0.00000000"]
    await trader.step(7)
    assert await trader.call("time") == {"serverTime": START_MS + 7 * MINUTE}
    log = [event["payload"]["candle"] for event in await server_candles(server, trader)]
    shown = await trader.call("klines", symbol="BTCUSDT", interval="1m", limit=8)
    assert times(shown) == list(range(8))
    assert [[float(value) for value in kline[1:6]] for kline in shown[:-1]] == [
        [candle[name] for name in ("open", "high", "low", "close", "volume")] for candle in log
    ]
    assert [len(kline) for kline in shown] == [12] * 8
    assert shown[0][6] == START_MS + MINUTE - 1
    assert all(isinstance(text, str) for text in shown[0][1:6])
    later = {"symbol": "BTCUSDT", "interval": "1m", "startTime": START_MS + 5 * MINUTE}
    assert times(await trader.call("klines", **later)) == [5, 6, 7]
    assert times(await trader.call("klines", **later, limit=2)) == [5, 6]
    assert times(await trader.call("uiKlines", **later, endTime=START_MS + 6 * MINUTE)) == [5, 6]
    assert times(await trader.call("klines", **(later | {"startTime": START_MS + 90 * MINUTE}))) == []
    assert times(await trader.call("klines", symbol="BTCUSDT", interval="1m", endTime=START_MS, limit=2)) == [-1, 0]
    await trader.refused(-1127, "klines", **later, endTime=START_MS)


async def test_gaps_are_flat_candles_where_the_session_fills_them(server: InProcessServer) -> None:
    await store(server.served.sim.database, symbol="ETHUSDT", count=20, without=lambda number: number in (3, 4, 9))
    filled, skipped = [await bot(server, symbol="ETHUSDT", gapPolicy=policy) for policy in ("fill", "skip")]
    for trader in (filled, skipped):
        await trader.step(8)
    klines = {"symbol": "ETHUSDT", "interval": "1m"}
    shown = await filled.call("klines", **klines)
    assert times(shown) == list(range(9))
    assert [kline[1:6] for kline in shown[3:5]] == [[shown[2][4]] * 4 + ["0.00000000"]] * 2
    assert times(await filled.call("klines", **klines, startTime=START_MS + 2 * MINUTE, limit=2)) == [2, 3]
    assert 3 not in times(await skipped.call("klines", **klines))


async def server_candles(server: InProcessServer, trader: Bot) -> list[dict[str, Any]]:
    return (await server.data("GET", f"{trader.path}/events?types=candle&limit=1000"))["events"]


async def test_the_forming_candle_of_a_longer_interval_is_made_of_the_closed_ones_in_it(
    server: InProcessServer,
) -> None:
    trader = await bot(server)
    await trader.step(7)
    base = await trader.call("klines", symbol="BTCUSDT", interval="1m", limit=8)
    longer = await trader.call("klines", symbol="BTCUSDT", interval="5m", limit=3)
    assert times(longer) == [-5, 0, 5]
    for kline, parts in ((longer[1], base[:5]), (longer[2], base[5:7])):
        assert float(kline[1]) == float(parts[0][1])
        assert float(kline[2]) == max(float(part[2]) for part in parts)
        assert float(kline[3]) == min(float(part[3]) for part in parts)
        assert float(kline[4]) == float(parts[-1][4])
        assert float(kline[5]) == pytest.approx(sum(float(part[5]) for part in parts))
    await trader.step(3)
    longer = await trader.call("klines", symbol="BTCUSDT", interval="5m", startTime=0)
    assert times(longer) == list(range(-EARLIER, 11, 5))
    assert float(longer[-1][5]) == 0
    for interval in ("1s", "1M", "7m", ""):
        await trader.refused(-1102 if not interval else -1120, "klines", symbol="BTCUSDT", interval=interval)
    hourly = await bot(server, timeframe="5m")
    await hourly.refused(-1120, "klines", symbol="BTCUSDT", interval="1m")


async def test_symbols_are_described_with_base_quote_and_steps(server: InProcessServer) -> None:
    await store(server.served.sim.database, symbol="ETHUSDT", count=100)
    trader = await bot(server, symbol=None, symbols=["BTCUSDT", "ETHUSDT"])
    info = await trader.call("exchangeInfo")
    assert (info["timezone"], info["serverTime"]) == ("UTC", START_MS)
    described = {symbol["symbol"]: symbol for symbol in info["symbols"]}
    assert {(symbol["baseAsset"], symbol["quoteAsset"]) for symbol in described.values()} == {
        ("BTC", "USDT"), ("ETH", "USDT"),
    }  # fmt: skip
    filters = {part["filterType"]: part for part in described["BTCUSDT"]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00010000" or float(filters["LOT_SIZE"]["stepSize"]) > 0
    assert filters["NOTIONAL"]["minNotional"] == "5.00000000"
    one = await trader.call("exchangeInfo", symbol="ETHUSDT")
    assert [symbol["symbol"] for symbol in one["symbols"]] == ["ETHUSDT"]
    both = await trader.call("exchangeInfo", symbols='["ETHUSDT","BTCUSDT"]')
    assert [symbol["symbol"] for symbol in both["symbols"]] == ["ETHUSDT", "BTCUSDT"]
    await trader.refused(-1121, "exchangeInfo", symbol="DOGEUSDT")
    await trader.refused(-1100, "exchangeInfo", symbols="ETHUSDT")
    await store(server.served.sim.database, symbol="ETHBTC", count=10)
    mixed = await bot(server, symbol=None, symbols=["BTCUSDT", "ETHBTC"])
    assert "several quotes" in await mixed.refused(-1020, "exchangeInfo")


async def test_tickers_book_and_trades_are_made_of_candles(server: InProcessServer) -> None:
    trader = await bot(server)
    await trader.step(3)
    base = await trader.call("klines", symbol="BTCUSDT", interval="1m", limit=EARLIER + 4)
    close = base[-2][4]
    assert await trader.call("ticker/price", symbol="BTCUSDT") == {"symbol": "BTCUSDT", "price": close}
    assert await trader.call("ticker/price") == [{"symbol": "BTCUSDT", "price": close}]
    day = (await trader.call("ticker/24hr"))[0]
    assert (day["openPrice"], day["lastPrice"]) == (base[0][1], close)
    assert day["closeTime"] == START_MS + 3 * MINUTE - 1
    assert float(day["highPrice"]) == max(float(kline[2]) for kline in base)
    short = await trader.call("ticker", symbol="BTCUSDT", windowSize="2m")
    assert (short["openPrice"], short["openTime"]) == (base[-3][1], START_MS + MINUTE)
    book = await trader.call("depth", symbol="BTCUSDT", limit=20)
    assert [float(side[0][0]) - float(close) for side in (book["bids"], book["asks"])] == pytest.approx([-0.01, 0.01])
    best = await trader.call("ticker/bookTicker", symbol="BTCUSDT")
    assert [best["bidPrice"], best["askPrice"]] == [book["bids"][0][0], book["asks"][0][0]]
    trades = await trader.call("trades", symbol="BTCUSDT", limit=2)
    assert [(trade["price"], trade["time"]) for trade in trades] == [
        (base[-3][4], START_MS + 2 * MINUTE - 1), (base[-2][4], START_MS + 3 * MINUTE - 1),
    ]  # fmt: skip
    aggregated = await trader.call("aggTrades", symbol="BTCUSDT", limit=2)
    assert [trade["p"] for trade in aggregated] == [trade["price"] for trade in trades]
    assert (await trader.call("avgPrice", symbol="BTCUSDT"))["price"] == close
    await trader.refused(-1121, "depth", symbol="X")
    await trader.refused(-1102, "depth")


async def test_a_session_without_any_candle_has_no_prices(server: InProcessServer) -> None:
    trader = await bot(server, symbol="AAPL", timeframe="5m")
    assert await trader.call("klines", symbol="AAPL", interval="5m") == []
    assert await trader.call("ticker/price", symbol="AAPL") == {"symbol": "AAPL", "price": "0.00000000"}
    assert (await trader.call("depth", symbol="AAPL"))["bids"] == []
    assert (await trader.call("ticker/24hr", symbol="AAPL"))["lastPrice"] == "0.00000000"
    assert (await trader.call("ticker/bookTicker", symbol="AAPL"))["bidPrice"] == "0.00000000"
    [described] = (await trader.call("exchangeInfo"))["symbols"]
    assert (described["baseAsset"], described["quoteAsset"]) == ("AAPL", "USD")


async def test_calls_that_other_markets_have_answer_empty_and_unknown_ones_in_the_form_of_the_exchange(
    server: InProcessServer,
) -> None:
    trader = await bot(server)
    assert await trader.call("ping") == {}
    for path in ("fapi/v1/exchangeInfo", "dapi/v1/exchangeInfo"):
        assert (await trader.call(path))["symbols"] == []
    for path in ("capital/config/getall", "margin/allPairs", "margin/isolated/allPairs"):
        assert await trader.call(f"sapi/v1/{path}") == []
    for method, path in (("GET", "orderList"), ("POST", "ping"), ("DELETE", "klines"), ("PATCH", "order")):
        assert "not supported" in await trader.refused(-1020, path, method, status=404)
    await trader.refused(-1101, "klines?symbol=BTCUSDT&symbol=BTCUSDT")
    await trader.refused(-1131, "time", recvWindow=60_001)
    assert await trader.call("time", recvWindow="5000.5", timestamp=1) == {"serverTime": START_MS}


async def test_a_wrong_key_says_nothing_of_any_session(database: Database) -> None:
    async with running_server(database, candles=0, auth="token") as server:
        own, _ = [(await server.served.sim.create("anna", spec()))[0] for _ in range(2)]
        server.client.headers["Authorization"] = f"Bearer {(await server.token('anna'))[1]}"
        made = await server.data("POST", f"{SESSIONS}/{own.id}/bot-key", status=201)
        del server.client.headers["Authorization"]
        trader = Bot(server, made["key"], str(own.id))
        assert await trader.call("time") == {"serverTime": START_MS}
        share = (await server.token("anna", kind="share", scope="read", session_id=own.id))[1]
        token = (await server.token("anna"))[1]
        wrong = [str(own.id), str(uuid4()), share, token, "x", "\u00fc", made["key"][:-1], f"{made['key']}x", "a" * 300]
        messages = [await Bot(server, key, "").refused(-2015, "time", status=401) for key in wrong]
        assert len(set(messages)) == 1
        database.query("UPDATE sim_tokens SET expires_at = now() WHERE kind = 'bot' RETURNING 1")
        await trader.refused(-2015, "time", status=401)


def spec() -> SessionSpec:
    return parse(NewSession, {**BODY, "profileSlug": "manual"}).spec(load())


async def test_a_strict_server_refuses_timestamps_that_fit_neither_clock(database: Database) -> None:
    async with running_server(database, candles=0, strict_timestamps=True) as server:
        trader = await bot(server)
        assert await trader.call("time", timestamp=START_MS) == {"serverTime": START_MS}
        await trader.refused(-1021, "time", timestamp=START_MS - 6000)
        assert await trader.call("time", timestamp=START_MS - 6000, recvWindow=7000) == {"serverTime": START_MS}
        assert "ahead" in await trader.refused(-1021, "time", timestamp=10**13)


async def test_the_rate_of_a_bot_is_its_users(database: Database) -> None:
    async with running_server(database, candles=0, rate=1, burst=4) as server:
        trader = await bot(server)
        answers = [await trader.send("ping") for _ in range(6)]
        assert [answer.status_code for answer in answers][-1] == 429
        assert (answers[-1].json()["code"], answers[-1].headers["retry-after"]) == (-1003, "1")
