"""A session's window over the cache: what changes while it is read is not missed."""

from __future__ import annotations

import asyncio
import time

from app.clock import Clock
from app.domain.tick import ReplayState, draft_tick
from app.engine.replay.window import Window
from tests.support.engine import MINUTE, START_MS, spec, store
from tests.support.outside import pool
from tests.support.servers import Database


async def test_candles_revised_while_they_are_read_are_read_again_behind_the_next_slot(database: Database) -> None:
    async with pool(database) as side:
        await store(side)
        window, state = Window(side, Clock(), spec(), unpaced=True), ReplayState.initial(spec())
        reading = await answered(database, window, state)
        database.query("UPDATE market_candles SET volume = volume + 1 WHERE open_time_ms > %s", START_MS)
        window.invalidate()
        found = [await reading]
        while len(found) < 3:
            assert found[-1] is not None
            draft_tick(state, found[-1])
            window.take(found[-1])
            found.append(await window.next_slot(state))
    stored = dict(database.query("SELECT open_time_ms, volume FROM market_candles"))
    assert [[candle.volume for candle in slot.candles] for slot in found] == [
        [stored[START_MS + n * MINUTE]] for n in range(3)
    ]


async def answered(database: Database, window: Window, state: ReplayState) -> asyncio.Task:
    """Begin to read and return as soon as Postgres has answered, before anybody here has seen the answer."""
    [(began,)] = database.query("SELECT clock_timestamp()")
    reading = asyncio.ensure_future(window.next_slot(state))
    deadline = time.monotonic() + 10
    while not database.query(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'zeon test'"
        " AND state = 'idle' AND query_start > %s",
        began,
    ):
        assert time.monotonic() < deadline
        await asyncio.sleep(0)
        time.sleep(0.05)  # noqa: ASYNC251 - Nothing goes on here meanwhile; Postgres does.
    assert not reading.done()
    return reading
