"""Real clients of Binance spot from PyPI trade in a session; what each of them can do is the table of docs/bots.md."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import zeon
from app.web.exchange import sockets
from tests.clients.exchange.adapters import (
    CLIENTS,
    FEATURES,
    PAIR,
    SYMBOL,
    Ccxt,
    CcxtPro,
    Lazy,
    binance,
    ccxt,
    opened,
    version_of,
)
from tests.paths import ROOT
from tests.support.client import SESSIONS
from tests.support.network.bot import Bot, bot
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.running_server import running_server

pytestmark = [
    pytest.mark.clients,
    # The clients leave sockets of their own event loops open.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True, scope="module")
def packages() -> None:
    """Skip where the clients are not installed."""
    for name in ("ccxt", "binance"):
        pytest.importorskip(name, reason=f"{name} is not installed")


PAGE = ROOT / "docs" / "bots.md"
TABLE_START, TABLE_END = "<!-- table of clients -->\n", "<!-- end -->"
works: dict[str, set[str]] = {}
"""Client -> the features that its tests have shown."""


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Record the names of hosts that anything asks for; no name but this machine's is found, so nothing can leave."""
    asked: set[str] = set()
    find = socket.getaddrinfo

    def local_only(host: Any, *arguments: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        asked.add(name)
        if name not in ("127.0.0.1", "localhost", "None", "::1"):
            raise socket.gaierror(f"{name} is not found: this test has no network")
        return find(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", local_only)
    yield asked
    assert asked <= {"127.0.0.1", "localhost", "None", "::1"}, asked


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what sets the addresses of python-binance, until the end of the test."""

    def set_all(server: str, key: str) -> None:
        classes = {name: getattr(binance, name) for name in ("Client", "AsyncClient", "BinanceSocketManager")}
        for name, attributes in zeon.python_binance_config(server, key).items():
            for attribute, value in attributes.items():
                monkeypatch.setattr(classes[name], attribute, value)

    return set_all


@asynccontextmanager
async def trader(database: Database, addresses: Any, **changes: Any) -> AsyncIterator[Bot]:
    """Serve a session with a bot key and a few closed candles."""
    async with running_server(database, candles=0, auth="token") as server:
        await store(server.served.sim.database, count=150, start_ms=START_MS - 50 * MINUTE)
        server.client.headers["Authorization"] = f"Bearer {(await server.token('anna'))[1]}"
        plain = await bot(server, **changes)
        made = await server.data("POST", f"{SESSIONS}/{plain.session_id}/bot-key", status=201)
        keyed = Bot(server, made["key"], plain.session_id)
        await keyed.step(5)
        addresses(server.served.url, keyed.key)
        yield keyed


CASES = [(client, name) for client in CLIENTS for name in FEATURES if getattr(client, name, None)]


@pytest.mark.parametrize("kind", CLIENTS, ids=lambda kind: kind.title)
async def test_a_client_can_do_what_the_table_says(
    database: Database, hosts: set[str], addresses: Any, kind: Any
) -> None:
    async with trader(database, addresses) as keyed, opened(kind, keyed) as client:
        for name in FEATURES:
            if feature := getattr(client, name, None):
                await feature()
                works.setdefault(kind.title, set()).add(name)


def test_the_table_in_the_documents_is_what_the_tests_found() -> None:
    if len(works) < len(CLIENTS):
        pytest.skip(f"not all clients ran: only {', '.join(works) or 'none'}")
    lines = ["| | " + " | ".join(f"{client.title} {version_of(client)}" for client in CLIENTS) + " |"]
    lines.append("|---" * (len(CLIENTS) + 1) + "|")
    for name, words in FEATURES.items():
        marks = ["yes" if name in works[client.title] else "–" for client in CLIENTS]
        lines.append(f"| {words} | {' | '.join(marks)} |")
    before, _, rest = PAGE.read_text().partition(TABLE_START)
    shown, _, after = rest.partition(TABLE_END)
    table = "\n".join(lines) + "\n"
    if os.environ.get("ZEON_WRITE_TABLE"):
        PAGE.write_text(before + TABLE_START + table + TABLE_END + after)
        return
    assert shown == table, "run it with ZEON_WRITE_TABLE=1 to write the table anew"


async def test_ccxt_with_a_key_and_the_default_options_asks_no_other_host(
    database: Database, hosts: set[str], addresses: Any
) -> None:
    """It asks the markets of margin, futures and coins, signed, if only the addresses of spot are replaced."""
    async with trader(database, addresses) as keyed:
        config = zeon.ccxt_config(keyed.server.served.url, keyed.key)
        exchange = ccxt.binance({key: value for key, value in config.items() if key != "options"})
        markets = await asyncio.to_thread(exchange.load_markets)
        assert list(markets) == [PAIR]
        sandbox = ccxt.binance({"apiKey": "x", "secret": "x"})
        sandbox.urls["test"] = config["urls"]["api"]
        sandbox.set_sandbox_mode(True)
        assert list(await asyncio.to_thread(sandbox.load_markets)) == [PAIR]


async def test_a_clock_that_runs_away_refuses_no_order_of_a_client_that_measured_it_once(
    database: Database, hosts: set[str], addresses: Any
) -> None:
    async with trader(database, addresses) as keyed:
        config = zeon.ccxt_config(keyed.server.served.url, keyed.key)
        exchange = ccxt.binance({**config, "options": {**config["options"], "adjustForTimeDifference": True}})
        await asyncio.to_thread(exchange.load_markets)
        await keyed.step(60)
        await asyncio.to_thread(exchange.create_order, PAIR, "market", "buy", 0.001)
        sync = await asyncio.to_thread(binance.Client, "x", "x")
        await asyncio.to_thread(sync.order_market_buy, symbol=SYMBOL, quantity="0.001")
        await asyncio.to_thread(sync.close_connection)


async def test_ccxt_pro_goes_on_after_its_server_was_replaced(database: Database, addresses: Any) -> None:
    async with running_server(database) as first:
        keyed = await bot(first)
        await keyed.step(2)
        client = CcxtPro(keyed)
        await client.run("load_markets")
        await client.run("watch_ohlcv", PAIR, "1m")
        port = first.client.base_url.port
    async with running_server(database, port=port, candles=0) as second:
        moved = Bot(second, keyed.key, keyed.session_id)
        deadline = time.monotonic() + 20
        while True:
            try:
                await moved.step()
                rows = await asyncio.wait_for(client.run("watch_ohlcv", PAIR, "1m"), 5)
                break
            except (ccxt.NetworkError, TimeoutError):
                assert time.monotonic() < deadline
        assert rows[-1][0] > START_MS + 2 * MINUTE
        await client.close()


async def test_a_client_that_takes_silence_for_a_dead_line_stays_connected_to_a_paused_session(
    database: Database, hosts: set[str], addresses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """python-binance reconnects after 60 s without a message; here both times are thirty times shorter."""
    connection = Lazy("binance.ws.reconnecting_websocket").ReconnectingWebsocket
    monkeypatch.setattr(connection, "NO_MESSAGE_RECONNECT_TIMEOUT", 2)
    monkeypatch.setattr(connection, "TIMEOUT", 0.3)
    monkeypatch.setattr(sockets, "REPEAT_S", 0.07)
    async with trader(database, addresses) as keyed:
        client = await binance.AsyncClient.create("x", "x")
        async with binance.BinanceSocketManager(client).kline_socket(SYMBOL) as messages:
            opened_before = keyed.server.served.streams.opened
            until = time.monotonic() + 4
            while time.monotonic() < until:
                assert (await messages.recv())["e"] == "kline"
            assert keyed.server.served.streams.opened == opened_before
        await client.close_connection()


@pytest.mark.parametrize(
    "pace", [{"replayMsPerCandle": 0}, {"replayMsPerCandle": 20}, {"speed": 200, "replayMsPerCandle": None}]
)
async def test_candles_come_in_order_at_any_pace(database: Database, addresses: Any, pace: dict[str, Any]) -> None:
    async with running_server(database) as server:
        plain = await bot(server, endMs=START_MS + (100 if "speed" not in pace else 6) * MINUTE, **pace)
        client = CcxtPro(plain)
        await client.run("load_markets")
        seen: list[int] = []
        async with asyncio.timeout(30):
            started = False
            while not seen or seen[-1] < START_MS + (100 if "speed" not in pace else 6) * MINUTE:
                rows = await client.run("watch_ohlcv", PAIR, "1m") if started else []
                if not started:
                    await server.data("POST", f"{plain.path}/start")
                    started = True
                seen += [row[0] for row in rows]
        assert seen == sorted(seen)
        await client.close()


def test_the_adapters_name_only_features_of_the_table() -> None:
    assert {name for _, name in CASES} == set(FEATURES)
    assert issubclass(CcxtPro, Ccxt)


async def test_the_limits_of_a_server_are_those_of_a_client(database: Database, addresses: Any) -> None:
    async with running_server(database, rate=1, burst=3) as server:
        plain = await bot(server)
        client = Ccxt(plain)
        for _ in range(2):
            await client.run("fetch_time")
        with pytest.raises(ccxt.DDoSProtection):
            await asyncio.gather(*(client.run("fetch_time") for _ in range(5)))


async def test_the_session_of_another_user_is_no_account_of_mine(database: Database, addresses: Any) -> None:
    async with trader(database, addresses) as keyed:
        client = Ccxt(Bot(keyed.server, keyed.session_id, keyed.session_id))
        with pytest.raises(ccxt.AuthenticationError):
            await client.run("fetch_balance")


def leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in leaves(part)]
    return [value]


def test_the_map_of_each_client_has_every_address_that_the_client_knows() -> None:
    settings = zeon.ccxt_config("http://sim", "k")
    for exchange in (ccxt.binance(settings), Lazy("ccxt.pro").binance(settings)):
        wrong = [url for url in leaves(exchange.urls["api"]) if not re.match(r"(http|ws)://sim/x/binance/k/", url)]
        assert wrong == []
