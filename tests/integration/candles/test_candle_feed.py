"""Sessions of a venue with a source: what they lack is fetched, and what comes later is followed."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from app import clock as clock_module
from app.candles.sources import fetch
from app.candles.sources.synthetic import candles as made_up
from app.db import candles as cache
from app.engine import start_preparation
from app.errors import BadInputError, MissingCandlesError
from tests.support.fast_clock import FastClock, latenesses
from tests.support.network.klines import KlineServer, kline_server
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, Engine, running_engine, store
from tests.support.session_log import open_times

pytest.importorskip("ccxt")


@pytest.fixture
async def klines() -> AsyncIterator[KlineServer]:
    async with kline_server() as server:
        yield server


def by(klines: KlineServer) -> dict[str, str]:
    return {"sources": f"demo=exchange:binance@{klines.address}"}


async def test_a_start_fetches_what_is_missing(database: Database, klines: KlineServer) -> None:
    async with running_engine(database, **by(klines)) as engine:
        await store(engine.pool, count=30)
        session = await engine.finished((await engine.start()).id)
        assert (session.status, session.error) == ("finished", None)
        assert open_times(await engine.log(session.id)) == [START_MS + n * MINUTE for n in range(100)]
        assert [start for _, _, start in klines.requests] == [START_MS + 30 * MINUTE]
        again = await engine.finished((await engine.start()).id)
        assert again.status == "finished"
    assert len(klines.requests) == 1


async def test_a_step_that_begins_a_session_fetches_what_is_missing_and_what_it_warms_up_on(
    database: Database, klines: KlineServer
) -> None:
    async with running_engine(database, **by(klines)) as engine:
        strategy = {"profile_slug": "sma_cross", "config": {"fast": 2, "slow": 4}, "warmup_candles": 20}
        session = await engine.create(**strategy)
        await engine.act(session.id, "step", steps=3)
        at = await engine.until(session.id, lambda s: s.status != "running")
        assert (at.status, at.cursor_ms) == ("paused", START_MS + 2 * MINUTE)
    assert [start for _, _, start in klines.requests] == [START_MS - 20 * MINUTE]


async def test_a_true_hole_fails_the_start_and_says_that_the_source_was_asked(
    database: Database, klines: KlineServer
) -> None:
    klines.holes = {START_MS + 50 * MINUTE}
    async with running_engine(database, **by(klines)) as engine:
        session = await engine.create()
        with pytest.raises(MissingCandlesError) as raised:
            await engine.sim.start("tester", session.id)
        assert raised.value.details["missing"] == 1
        assert raised.value.details["reasons"] == {"notTraded": 1}
        assert (await engine.get(session.id)).status == "failed"
        skipping = await engine.finished((await engine.start(gap_policy="skip")).id)
        assert skipping.status == "finished"
        assert len(open_times(await engine.log(skipping.id))) == 99


@pytest.mark.parametrize("policy", ["fail", "skip", "fill"])
async def test_a_slow_source_lets_the_session_run_and_nothing_is_a_gap_before_it_was_asked(
    database: Database, klines: KlineServer, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    monkeypatch.setattr(start_preparation, "FETCH_S", 0.2)
    klines.down = True
    async with running_engine(database, **by(klines)) as engine:
        await store(engine.pool, count=100, without=lambda number: 20 <= number < 60)
        session = await engine.start(gap_policy=policy)
        assert session.status == "running"
        assert session.progress() is not None
        assert (session.progress() or {})["fetching"]["done"] == 0
        await asyncio.sleep(0.5)
        assert len(open_times(await engine.log(session.id))) <= 20
        klines.down = False
        session = await engine.finished(session.id)
        assert (session.status, session.error) == ("finished", None)
        log = await engine.log(session.id)
        assert [event for event in log if event["type"] == "gap" or event["payload"].get("synthetic")] == []
        assert open_times(await engine.log(session.id)) == [START_MS + n * MINUTE for n in range(100)]


async def test_a_source_that_stays_away_fails_the_session(
    database: Database, klines: KlineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_preparation, "FETCH_S", 0.1)
    monkeypatch.setattr(fetch, "ATTEMPTS", 3)
    klines.down = True
    async with running_engine(database, **by(klines)) as engine:
        session = await engine.finished((await engine.start()).id)
        assert session.status == "failed"
        assert session.error_details == {"code": "source_unavailable"}
        assert (session.error or "").startswith("The source of candles cannot be reached: binance: ")
        klines.down = False
        again = await engine.sim.start("tester", session.id)
        assert (await engine.finished(again.id)).status == "finished"


async def test_a_symbol_the_source_does_not_have_is_said_so(database: Database, klines: KlineServer) -> None:
    async with running_engine(database, **by(klines)) as engine:
        session = await engine.create(symbols=("DOGEUSDT",))
        with pytest.raises(BadInputError, match="symbol: binance has no DOGEUSDT"):
            await engine.sim.start("tester", session.id)
        assert (await engine.get(session.id)).status == "failed"


async def test_a_resumed_session_fetches_the_rest(database: Database, klines: KlineServer) -> None:
    async with running_engine(database, **by(klines)) as engine:
        session = await engine.create()
        stepped = await engine.act(session.id, "step", steps=3)
        await engine.until(stepped.id, lambda session: session.status == "paused")
        behind = START_MS + 10 * MINUTE
        stored = await engine.pool.run(cache.window, "demo", ["BTCUSDT"], "1m", None, behind, 100)
        await engine.pool.run(cache.delete, "demo", "BTCUSDT", "1m")
        await engine.pool.run(cache.store, "demo", "BTCUSDT", "1m", stored)
        await engine.act(session.id, "resume")
        assert (await engine.finished(session.id)).status == "finished"
        assert len(open_times(await engine.log(session.id))) == 100


async def test_a_venue_without_a_source_is_cache_only(database: Database, klines: KlineServer) -> None:
    async with running_engine(database, sources=f"other=exchange:binance@{klines.address}") as engine:
        session = await engine.create()
        with pytest.raises(MissingCandlesError):
            await engine.sim.start("tester", session.id)
    assert klines.requests == []


async def test_longer_candles_are_built_before_anybody_is_asked(database: Database, klines: KlineServer) -> None:
    async with running_engine(database, **by(klines)) as engine:
        await store(engine.pool, count=300)
        session = await engine.start(timeframe="15m", end_ms=START_MS + 300 * MINUTE, gap_policy="skip")
        assert (await engine.finished(session.id)).status == "finished"
        assert len(open_times(await engine.log(session.id), timeframe="15m")) == 20
    assert klines.requests == []


@pytest.mark.alone
async def test_an_endless_session_gets_each_candle_within_half_a_second_of_being_due(
    database: Database, klines: KlineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute passes every second, from a wall clock that all share; before an outage as well as behind it."""
    monkeypatch.setattr(clock_module, "_STEP_S", 0.02)
    clock = FastClock()
    klines.now_ms = clock.now_ms
    async with running_engine(database, clock=clock, poll_ms=5_000, **by(klines)) as engine:
        session = await engine.start(
            start_ms=clock.began_ms - 200 * MINUTE, end_ms=None, lag_ms=0, gap_policy="skip", gap_grace_ms=60 * MINUTE
        )
        before = await punctual(engine, session.id, clock)
        klines.down = True
        await asyncio.sleep(1.5)
        klines.down = False
        behind = await punctual(engine, session.id, clock)
        results = open_times(await engine.log(session.id))
    assert max(before) < 0.5, before
    assert max(behind) < 0.5, behind
    assert results == [results[0] + n * MINUTE for n in range(len(results))]
    assert results[0] == clock.began_ms - 200 * MINUTE
    expected = list(made_up("BTCUSDT", "1m", results[0], results[-1] + MINUTE))
    assert len(expected) == len(results)


async def punctual(engine: Engine, session_id: UUID, clock: FastClock) -> list[float]:
    """Measure after the next candle, and up to eight times: another process may keep the machine busy."""
    await latenesses(engine, session_id, clock, 1)
    for _ in range(8):
        seen = await latenesses(engine, session_id, clock, 2)
        if max(seen) < 0.5:
            break
    return seen
