"""Twenty symbols of real candles on one clock, run in processes with different hash seeds; shared with chaos."""

from __future__ import annotations

from decimal import Decimal

from app.db import candles
from app.domain.market.candle import Candle
from tests.reference import DATA, rows
from tests.support.client import connect
from tests.support.postgres import Database, open_pool
from tests.support.running_engine import MINUTE, START_MS
from tests.support.server_process import QUICK, StartServer
from tests.support.session_log import digest, read_log

FILE = "BTCUSDT-1m.csv.gz"
SYMBOLS = [f"S{number:02}USDT" for number in range(20)]


def stretches(count: int) -> dict[str, list[Candle]]:
    """Cut real candles into a stretch per symbol and move all to the same beginning."""
    values = rows(DATA / FILE)
    opens = range(START_MS, START_MS + count * MINUTE, MINUTE)
    return {symbol: [_candle(symbol, ms, next(values)) for ms in opens] for symbol in SYMBOLS}


def _candle(symbol: str, open_ms: int, row: dict[str, str]) -> Candle:
    numbers = (Decimal(row[name]) for name in ("open", "high", "low", "close", "volume"))
    return Candle(symbol, "1m", open_ms, open_ms + MINUTE, *numbers)


async def same_digests(database: Database, start_server: StartServer, count: int) -> None:
    """Run the same session in two processes with hash seeds of their own; both logs have one digest."""
    async with open_pool(database) as side:
        for symbol, parts in stretches(count).items():
            await side.run(candles.store, "demo", symbol, "1m", parts)
    request = {
        "symbol": None,
        "symbols": SYMBOLS,
        "extraTimeframes": ["15m"],
        "profileSlug": "sma_cross",
        "config": {"fast": 3, "slow": 8},
        "sizing": {"cash": 100},
        "endMs": START_MS + count * MINUTE,
    }
    ids = []
    for seed in (1, 2):
        server = start_server(database, **QUICK, PYTHONHASHSEED=seed)
        async with connect(server) as client:
            session_id = (await client.create(**request))["id"]
            await client.data("POST", f"/api/sim/sessions/{session_id}/start")
            await client.until(f"/api/sim/sessions/{session_id}", "finished", timeout_s=600)
        ids.append(session_id)
        server.stop()
    assert len({digest(database, session_id) for session_id in ids}) == 1
    if count <= 1000:
        assert sum(event["type"] == "candle" for event in read_log(database, ids[0])) == 20 * (count + count // 15)
