"""Sessions of a venue with a source: what they lack is fetched, and what comes later is followed."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from app import clock as clock_module
from app.candles import fetch
from app.candles.synthetic import candles as made_up
from app.db import candles as cache
from app.engine import start_preparation
from app.errors import BadInputError, MissingCandlesError
from tests.support.engine import MINUTE, START_MS, Engine, engine, store
from tests.support.fast import Fast, latenesses
from tests.support.klines import KlineServer, kline_server
from tests.support.servers import Database

pytest.importorskip("ccxt")


@pytest.fixture
async def klines() -> AsyncIterator[KlineServer]:
    async with kline_server() as server:
        yield server


def by(klines: KlineServer) -> dict[str, str]:
    return {"sources": f"demo=exchange:binance@{klines.address}"}


async def opens(running: Engine, session_id: object) -> list[int]:
    log = await running.log(session_id)
    return [each["payload"]["candle"]["openTimeMs"] for each in log if each["type"] == "candle"]


async def test_a_start_fetches_what_is_missing(database: Database, klines: KlineServer) -> None:
    async with engine(database, **by(klines)) as running:
        await store(running.pool, count=30)
        session = await running.finished((await running.start()).id)
        assert (session.status, session.error) == ("finished", None)
        assert await opens(running, session.id) == [START_MS + n * MINUTE for n in range(100)]
        assert [start for _, _, start in klines.asked] == [START_MS + 30 * MINUTE]
        again = await running.finished((await running.start()).id)
        assert again.status == "finished"
    assert len(klines.asked) == 1


async def test_a_step_that_begins_a_session_fetches_what_is_missing_and_what_it_warms_up_on(
    database: Database, klines: KlineServer
) -> None:
    async with engine(database, **by(klines)) as running:
        strategy = {"profile_slug": "sma_cross", "config": {"fast": 2, "slow": 4}, "warmup_candles": 20}
        session = await running.create(**strategy)
        await running.act(session.id, "step", steps=3)
        at = await running.until(session.id, lambda s: s.status != "running")
        assert (at.status, at.cursor_ms) == ("paused", START_MS + 2 * MINUTE)
    assert [start for _, _, start in klines.asked] == [START_MS - 20 * MINUTE]


async def test_a_true_hole_fails_the_start_and_says_that_the_source_was_asked(
    database: Database, klines: KlineServer
) -> None:
    klines.holes = {START_MS + 50 * MINUTE}
    async with engine(database, **by(klines)) as running:
        session = await running.create()
        with pytest.raises(MissingCandlesError) as raised:
            await running.sim.start("tester", session.id)
        assert raised.value.details["missing"] == 1
        assert raised.value.details["reasons"] == {"notTraded": 1}
        assert (await running.get(session.id)).status == "failed"
        skipping = await running.finished((await running.start(gap_policy="skip")).id)
        assert skipping.status == "finished"
        assert len(await opens(running, skipping.id)) == 99


@pytest.mark.parametrize("policy", ["fail", "skip", "fill"])
async def test_a_slow_source_lets_the_session_run_and_nothing_is_a_gap_before_it_was_asked(
    database: Database, klines: KlineServer, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    monkeypatch.setattr(start_preparation, "FETCH_S", 0.2)
    klines.down = True
    async with engine(database, **by(klines)) as running:
        await store(running.pool, count=100, without=lambda number: 20 <= number < 60)
        session = await running.start(gap_policy=policy)
        assert session.status == "running"
        assert session.progress() is not None
        assert (session.progress() or {})["fetching"]["done"] == 0
        await asyncio.sleep(0.5)
        assert len(await opens(running, session.id)) <= 20
        klines.down = False
        session = await running.finished(session.id)
        assert (session.status, session.error) == ("finished", None)
        log = await running.log(session.id)
        assert [each for each in log if each["type"] == "gap" or each["payload"].get("synthetic")] == []
        assert await opens(running, session.id) == [START_MS + n * MINUTE for n in range(100)]


async def test_a_source_that_stays_away_fails_the_session(
    database: Database, klines: KlineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_preparation, "FETCH_S", 0.1)
    monkeypatch.setattr(fetch, "ATTEMPTS", 3)
    klines.down = True
    async with engine(database, **by(klines)) as running:
        session = await running.finished((await running.start()).id)
        assert session.status == "failed"
        assert session.error_details == {"code": "source_unavailable"}
        assert (session.error or "").startswith("The source of candles cannot be reached: binance: ")
        klines.down = False
        again = await running.sim.start("tester", session.id)
        assert (await running.finished(again.id)).status == "finished"


async def test_a_symbol_the_source_does_not_have_is_said_so(database: Database, klines: KlineServer) -> None:
    async with engine(database, **by(klines)) as running:
        session = await running.create(symbols=("DOGEUSDT",))
        with pytest.raises(BadInputError, match="symbol: binance has no DOGEUSDT"):
            await running.sim.start("tester", session.id)
        assert (await running.get(session.id)).status == "failed"


async def test_a_resumed_session_fetches_the_rest(database: Database, klines: KlineServer) -> None:
    async with engine(database, **by(klines)) as running:
        session = await running.create()
        stepped = await running.act(session.id, "step", steps=3)
        await running.until(stepped.id, lambda each: each.status == "paused")
        behind = START_MS + 10 * MINUTE
        kept = await running.pool.run(cache.window, "demo", ["BTCUSDT"], "1m", None, behind, 100)
        await running.pool.run(cache.delete, "demo", "BTCUSDT", "1m")
        await running.pool.run(cache.store, "demo", "BTCUSDT", "1m", kept)
        await running.act(session.id, "resume")
        assert (await running.finished(session.id)).status == "finished"
        assert len(await opens(running, session.id)) == 100


async def test_a_venue_without_a_source_is_cache_only(database: Database, klines: KlineServer) -> None:
    async with engine(database, sources=f"other=exchange:binance@{klines.address}") as running:
        session = await running.create()
        with pytest.raises(MissingCandlesError):
            await running.sim.start("tester", session.id)
    assert klines.asked == []


async def test_longer_candles_are_built_before_anybody_is_asked(database: Database, klines: KlineServer) -> None:
    async with engine(database, **by(klines)) as running:
        await store(running.pool, count=300)
        session = await running.start(timeframe="15m", end_ms=START_MS + 300 * MINUTE, gap_policy="skip")
        assert (await running.finished(session.id)).status == "finished"
        assert len(await opens(running, session.id)) == 20
    assert klines.asked == []


@pytest.mark.alone
async def test_an_endless_session_gets_each_candle_within_half_a_second_of_being_due(
    database: Database, klines: KlineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute passes every second, from a wall clock that all share; before an outage as well as behind it."""
    monkeypatch.setattr(clock_module, "_STEP_S", 0.02)
    clock = Fast()
    klines.now_ms = clock.now_ms
    async with engine(database, clock=clock, poll_ms=5_000, **by(klines)) as running:
        session = await running.start(
            start_ms=clock.began_ms - 200 * MINUTE, end_ms=None, lag_ms=0, gap_policy="skip", gap_grace_ms=60 * MINUTE
        )
        before = await punctual(running, session.id, clock)
        klines.down = True
        await asyncio.sleep(3)
        klines.down = False
        behind = await punctual(running, session.id, clock)
        found = await opens(running, session.id)
    assert max(before) < 0.5, before
    assert max(behind) < 0.5, behind
    assert found == [found[0] + n * MINUTE for n in range(len(found))]
    assert found[0] == clock.began_ms - 200 * MINUTE
    expected = list(made_up("BTCUSDT", "1m", found[0], found[-1] + MINUTE))
    assert len(expected) == len(found)


async def punctual(running: Engine, session_id: UUID, clock: Fast) -> list[float]:
    """Measure behind the next two candles, and up to five times: something else may keep the machine busy."""
    await latenesses(running, session_id, clock, 2)
    for _ in range(5):
        seen = await latenesses(running, session_id, clock, 3)
        if max(seen) < 0.5:
            break
    return seen
