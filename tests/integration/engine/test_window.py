"""A session's window over the cache: what changes while it is read is not missed."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.clock import Clock
from app.db.pool import Connection
from app.db.pool import Database as Pool
from app.domain.market.candle import Candle
from app.domain.session import SessionSpec
from app.domain.tick import ReplayState, Slot, draft_tick
from app.engine.replay import shared_candles
from app.engine.replay.shared_candles import SharedCandles
from app.engine.replay.window import Window
from tests.support.postgres import Database, open_pool
from tests.support.running_engine import MINUTE, START_MS, spec, store


async def test_candles_revised_while_they_are_read_are_read_again_behind_the_next_slot(database: Database) -> None:
    async with open_pool(database) as side:
        await store(side)
        window, state = Window(side, Clock(), spec()), ReplayState.initial(spec())
        reading = await answered(database, window, state)
        database.query("UPDATE market_candles SET volume = volume + 1 WHERE open_time_ms > %s", START_MS)
        window.invalidate()
        results = [await reading]
        while len(results) < 3:
            assert results[-1] is not None
            draft_tick(state, results[-1])
            window.take(results[-1])
            results.append(await window.next_slot(state))
    stored = dict(database.query("SELECT open_time_ms, volume FROM market_candles"))
    assert [[candle.volume for candle in slot.candles] for slot in results] == [
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
        time.sleep(0.05)  # noqa: ASYNC251 - Only Postgres works meanwhile.
    assert not reading.done()
    return reading


async def slots_of(
    side: Pool, on: SessionSpec, shared: SharedCandles | None = None
) -> list[tuple[int, list[Candle], bool]]:
    """Take every slot of a session as its runner does: the first one waited for, then those that are due."""
    window, state = Window(side, Clock(), on, shared=shared), ReplayState.initial(on)
    slots = []

    def take(slot: Slot) -> None:
        draft_tick(state, slot)
        window.take(slot)
        slots.append((slot.open_time_ms, list(slot.candles), slot.trailing))

    while (slot := await window.next_slot(state)) is not None:
        take(slot)
        many = window.simple_slots(state, 7)
        window.take_simple(len(many))
        for due in many:
            draft_tick(state, due)
            slots.append((due.open_time_ms, list(due.candles), due.trailing))
        for due in window.due_slots(state):
            take(due)
    return slots


@pytest.mark.parametrize("symbols", [("A",), ("A", "B")])
@pytest.mark.parametrize("policy", ["skip", "fill"])
async def test_the_shortcut_for_simple_slots_gives_the_same_slots(
    database: Database, monkeypatch: pytest.MonkeyPatch, symbols: tuple[str, ...], policy: str
) -> None:
    shortcut, calls = Window._simple_slot, []

    def counted(self: Window, state: ReplayState) -> Slot | None:
        slot = shortcut(self, state)
        calls.extend([] if slot is None else [slot])
        return slot

    on = spec(symbols=symbols, gap_policy=policy)
    async with open_pool(database) as side:
        for symbol in symbols:
            await store(side, symbol=symbol, without={0, 3, 4, 50, 98 if symbol == "A" else 97}.__contains__)
        monkeypatch.setattr(Window, "_simple_slot", counted)
        slots = await slots_of(side, on)
        assert len(calls) > 70
        monkeypatch.setattr(Window, "_simple_slot", lambda self, state: None)
        monkeypatch.setattr(Window, "simple_slots", lambda self, state, count: [])
        assert await slots_of(side, on) == slots
        monkeypatch.undo()
        monkeypatch.setattr(shared_candles, "_SLOTS", 1)
        monkeypatch.setattr(shared_candles, "_MIN_SLOTS", 7)
        shared = SharedCandles(side, Clock())
        assert await asyncio.gather(slots_of(side, on, shared), slots_of(side, on, shared)) == [slots, slots]
        await shared.close()


async def test_sessions_at_the_same_place_share_reads_and_new_ones_see_what_was_just_stored(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[object] = []
    read = shared_candles._read

    async def counted(connection: Connection, block: object) -> list[Candle]:
        reads.append(block)
        return await read(connection, block)

    monkeypatch.setattr(shared_candles, "_read", counted)
    async with open_pool(database) as side:
        await store(side, without=lambda number: number == 0)
        shared = SharedCandles(side, Clock())
        start = ReplayState.initial(spec())

        async def first() -> int:
            slot = await Window(side, Clock(), spec(), shared=shared).next_slot(start)
            assert slot is not None
            return slot.open_time_ms

        assert await asyncio.gather(*[first() for _ in range(50)]) == [START_MS + MINUTE] * 50
        assert len(reads) <= 3  # The first one, that for all the others, and the next block.
        await store(side, count=1)  # Its notification has not arrived.
        assert await first() == START_MS
        old, fresh = [await shared.next_page(spec(), START_MS - 1, fresh=fresh) for fresh in (False, True)]
        assert old is not None
        assert fresh is not None
        assert old.candles == fresh.candles
        before = len(reads)
        shared.drop({"demo:BTCUSDT:1m"})
        await shared.next_page(spec(), START_MS - 1, fresh=False)
        assert len(reads) > before
        await shared.close()
