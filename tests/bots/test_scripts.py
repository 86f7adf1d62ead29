"""Scripts with ccxt and python-binance: the lines of docs/zeon-run.md, and a loop around them."""

from __future__ import annotations

import re
import time

import pytest

from tests.bots.packages import environment
from tests.integration.bots.test_run import CLOSES, COUNT, new
from tests.integration.cli.test_sessions import cli
from tests.paths import ROOT
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.server_process import ServerProcess, StartServer
from tests.support.session_log import digest, read_log, row

__all__ = ["cli"]

pytestmark = pytest.mark.bots

PACKAGES = ("ccxt==4.5.90", "python-binance==1.0.37")
CCXT, PYTHON_BINANCE = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "zeon-run.md").read_text(), re.DOTALL)
ASYNC = CCXT.replace("ccxt\n", "asyncio, time, ccxt.async_support as ccxt\n", 1).replace(
    "candles = ", "candles_first = "
)
SIDE = """
def side(time_ms):
    return "buy" if time_ms // 60_000 % 2 else "sell"

"""
LOOPS = {
    "ccxt": f"""{CCXT}
import time
while True:
    candles = exchange.fetch_ohlcv("BTC/USDT", "1m", limit=3)
    print("candle", candles[-1][0], round(time.time() * 1000), flush=True)
    if candles[-1][0] // 60_000 % 7 == 0:
        exchange.create_order("BTC/USDT", "market", side(candles[-1][0]), 0.001)
    time.sleep(2)
""",
    "ccxt async": f"""{ASYNC}
async def main():
    await candles_first
    while True:
        candles = await exchange.fetch_ohlcv("BTC/USDT", "1m", limit=3)
        print("candle", candles[-1][0], round(time.time() * 1000), flush=True)
        if candles[-1][0] // 60_000 % 7 == 0:
            await exchange.create_order("BTC/USDT", "market", side(candles[-1][0]), 0.001)
        await asyncio.sleep(2)
asyncio.run(main())
""",
    "python-binance": f"""{PYTHON_BINANCE}
import time
client = binance.Client("any", "text")
while True:
    candles = client.get_klines(symbol="BTCUSDT", interval="1m", limit=3)
    print("candle", candles[-1][0], round(time.time() * 1000), flush=True)
    if candles[-1][0] // 60_000 % 7 == 0:
        client.create_order(symbol="BTCUSDT", side=side(candles[-1][0]).upper(), type="MARKET", quantity=0.001)
    time.sleep(2)
""",
}


def wait_for_pause(database: Database, session_id: str) -> None:
    deadline = time.monotonic() + 20
    while row(database, session_id, "status") != "paused":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_scripts_trade_alike_with_three_clients(cli: Cli, database: Database, start_server: StartServer) -> None:
    server: ServerProcess = start_server(database)
    python = environment(*PACKAGES) / "python"
    ids = {}
    for name, script in LOOPS.items():
        ids[name] = new(cli)
        cli("sessions", "step", ids[name])
        wait_for_pause(database, ids[name])
        output = cli("run", ids[name], "--server", server.url, "--", python, "-c", SIDE + script)
        seen = re.findall(r"\| candle (\d+) (\d+)$", output, re.MULTILINE)
        assert [int(forming) for forming, _ in seen[: COUNT - 1]] == CLOSES[:-1]
        assert all(0 <= int(now) - int(forming) < 1000 for forming, now in seen)  # A rate limiter sleeps a little.
        trades = [event for event in read_log(database, ids[name]) if event["type"] == "trade"]
        assert len(trades) == 1, name
        cli("verify", ids[name])
    assert len({digest(database, id_) for id_ in ids.values()}) == 1
