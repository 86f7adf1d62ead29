"""The kill run that an acceptance test and a chaos run share."""

from __future__ import annotations

import asyncio
import random

from tests.support.client import call, connect, follow, run_unpaced
from tests.support.postgres import Database, open_pool
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.server_process import QUICK, StartServer, until
from tests.support.session_log import digest, read_log, row

PAUSE_MS = 5
"""Long enough that the session outlives its kills on a busy machine too, where seeing how far it is takes a while."""
HOLES = {5, 6, 70, 71, 72, 400}


async def killed_at_random(database: Database, start_server: StartServer, times: int, seed: int) -> None:
    """Kill a server by SIGKILL in mid-session and resume, `times` times; the logs are as without it.

    One session has two symbols with gaps that are filled, and longer candles; one has orders resting, of a strategy
    that runs in a child process. So a restart has states to rebuild.
    """
    draw = random.Random(seed)
    count = 300 * (times + 1)
    async with open_pool(database) as side:
        await store(side, count=count, without=HOLES.__contains__)
        await store(side, symbol="ETHUSDT", count=count, without=lambda n: n % 97 == 13)
    request = {
        "symbol": None,
        "symbols": ["BTCUSDT", "ETHUSDT"],
        "extraTimeframes": ["5m", "1h"],
        "endMs": START_MS + count * MINUTE,
        "gapPolicy": "fill",
    }
    trading = {"profileSlug": "resting", "endMs": START_MS + 40 * (times + 1) * MINUTE, "gapPolicy": "skip"}
    server = start_server(
        database, **QUICK, ZEON_STRATEGIES="tests.support.resting_strategy:Resting", ZEON_CANDLE_TIMEOUT_MS=20_000
    )
    async with connect(server) as client:
        undisturbed = [(await client.finished(**body))["id"] for body in (request, trading)]
        killed = (await client.create(**request, replayMsPerCandle=PAUSE_MS))["id"]
        trades = (await client.create(**trading, replayMsPerCandle=50))["id"]
        following = asyncio.create_task(follow(client, killed))
        for session_id in (killed, trades):
            await call(client, session_id, "start")
        for _ in range(times):
            goal = row(database, killed, "last_seq") + draw.randrange(1, 500)
            await until(lambda goal=goal: row(database, killed, "last_seq") >= goal)
            await asyncio.sleep(draw.random() * 0.01)
            server.kill()
            await asyncio.to_thread(server.start)
            await until(
                lambda: "running" not in (row(database, session_id, "status") for session_id in (killed, trades))
            )
            if row(database, trades, "status") == "paused":
                await call(client, trades, "resume")
            await call(client, killed, "resume")
        if row(database, trades, "status") == "running":
            await run_unpaced(client, trades)
        seen = await following
        await until(lambda: row(database, trades, "status") == "finished", timeout_s=60)
    events = read_log(database, killed)
    reasons = [event["payload"]["reason"] for event in events if event["type"] == "status"]
    assert reasons == ["started", *["runner lost", "resumed"] * times, "end of range"]
    assert [digest(database, session_id) for session_id in (killed, trades)] == [
        digest(database, session_id) for session_id in undisturbed
    ]
    assert sum(
        event["payload"]["reason"] == "resumed" for event in read_log(database, trades) if event["type"] == "status"
    )
    assert [event["seq"] for event in seen] == [event["seq"] for event in events]
