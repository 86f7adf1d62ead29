"""The kill run that an acceptance test and a chaos run share."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from tests.support.engine import MINUTE, START_MS, store
from tests.support.outside import QUICK, call, client, digest, follow, log, pool, row, until
from tests.support.process import Zeon
from tests.support.servers import Database

PAUSE_MS = 5
"""Long enough that the session outlives its kills on a busy machine too, where seeing how far it is takes a while."""
HOLES = {5, 6, 70, 71, 72, 400}


async def killed_at_random(database: Database, zeon: Callable[..., Zeon], times: int, seed: int) -> None:
    """Kill a server by SIGKILL in mid-session and resume, so many times; nobody can tell from the log.

    Two symbols with holes that are filled, and longer candles, so that a restart has a state to rebuild.
    """
    draw = random.Random(seed)
    count = 300 * (times + 1)
    async with pool(database) as side:
        await store(side, count=count, without=HOLES.__contains__)
        await store(side, symbol="ETHUSDT", count=count, without=lambda n: n % 97 == 13)
    asked = {
        "symbol": None,
        "symbols": ["BTCUSDT", "ETHUSDT"],
        "extraTimeframes": ["5m", "1h"],
        "endMs": START_MS + count * MINUTE,
        "gapPolicy": "fill",
    }
    server = zeon(database, **QUICK)
    async with client(server) as c:
        undisturbed = (await c.finished(**asked))["id"]
        killed = (await c.create(**asked, replayMsPerCandle=PAUSE_MS))["id"]
        following = asyncio.create_task(follow(c, killed))
        await call(c, killed, "start")
        for _ in range(times):
            goal = row(database, killed, "last_seq") + draw.randrange(1, 500)
            await until(lambda goal=goal: row(database, killed, "last_seq") >= goal)
            await asyncio.sleep(draw.random() * 0.01)
            server.kill()
            await asyncio.to_thread(server.start)
            await until(lambda: row(database, killed, "status") == "paused")
            await call(c, killed, "resume")
        seen = await following
    events = log(database, killed)
    reasons = [event["payload"]["reason"] for event in events if event["type"] == "status"]
    assert reasons == ["started", *["runner lost", "resumed"] * times, "end of range"]
    assert digest(database, killed) == digest(database, undisturbed)
    assert [event["seq"] for event in seen] == [event["seq"] for event in events]
