"""Quotas of what a user keeps, and the bounds of a session's size."""

from __future__ import annotations

import pytest

from app.db.usage import usage
from app.errors import BadInputError, QuotaError
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, USER, running_engine, spec, store


async def test_a_session_that_meets_a_quota_while_it_runs_is_paused(database: Database) -> None:
    async with running_engine(database, user_sessions=3, user_events=1500) as engine:
        await store(engine.pool, count=8000)
        session = await engine.start(end_ms=START_MS + 8000 * MINUTE)
        paused = await engine.until(session.id, lambda session: session.status == "paused")
        assert 1500 <= paused.last_seq < 5000  # A chunk has 1,000 slots, and the next ones are under way.
        assert (await engine.log(session.id))[-1]["payload"]["reason"] == "quota"
        used = await engine.pool.run(usage, USER)
        assert used[:2] == (1, paused.last_seq)
        assert 100 * paused.last_seq < used.bytes - 180 * paused.last_seq < 400 * paused.last_seq
        for refused in (engine.act(session.id, "resume"), engine.sim.fork(USER, session.id, 100, lambda own: own)):
            with pytest.raises(QuotaError, match=r"1,500 events \(ZEON_USER_EVENTS\).*delete sessions"):
                await refused
        await engine.sim.delete(USER, session.id)
        assert await engine.pool.run(usage, USER) == (0, 0, 0)
        small = await engine.finished((await engine.start()).id)
        fork = await engine.sim.fork(USER, small.id, small.last_seq - 10, lambda own: own)
        assert (await engine.pool.run(usage, USER)).sessions == 2
        assert fork.status == "created"
        await engine.create()
        with pytest.raises(QuotaError, match=r"3 sessions \(ZEON_USER_SESSIONS\)"):
            await engine.create()
        assert (await engine.sim.create("another", spec()))[1]


async def test_bytes_count_too_and_every_limit_can_be_switched_off(database: Database) -> None:
    async with running_engine(database, user_bytes=100_000) as engine:
        await store(engine.pool, count=1000)
        session = await engine.start(end_ms=START_MS + 1000 * MINUTE)
        paused = await engine.until(session.id, lambda session: session.status == "paused")
        assert paused.last_seq < 1000
    async with running_engine(database, user_bytes=0) as engine:
        await engine.act(session.id, "resume")
        assert (await engine.finished(session.id)).status == "finished"


async def test_a_range_counts_once_for_each_symbol_and_a_fork_has_a_size(database: Database) -> None:
    async with running_engine(database, max_slots=150, max_fork=50) as engine:
        await store(engine.pool)
        with pytest.raises(BadInputError, match="100 slots for each of 2 symbols, 200 together, at most 150"):
            await engine.create(symbols=("BTCUSDT", "ETHUSDT"))
        session = await engine.finished((await engine.start()).id)
        with pytest.raises(BadInputError, match=r"at most 50 \(ZEON_MAX_FORK\); atSeq is 51"):
            await engine.sim.fork(USER, session.id, 51, lambda own: own)
        assert (await engine.sim.fork(USER, session.id, 50, lambda own: own)).last_seq == 51
