"""Candles of extra timeframes: complete, in the tick in which they close, and the same after any pause."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from app.domain.session import Pace
from app.errors import WrongStatusError
from tests.integration.engine.test_engine import assert_sound
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, running_engine, store
from tests.support.session_log import candles_of, gaps, minute, open_minutes


def gap_minutes(log: list[dict], timeframe: str) -> list[tuple[int, int, int]]:
    return [(minute(gap.from_ms), minute(gap.to_ms), gap.missing) for gap in gaps(log) if gap.timeframe == timeframe]


async def test_a_longer_candle_appears_with_the_last_of_its_own(database: Database) -> None:
    async with running_engine(database) as engine:
        for symbol in ("BTCUSDT", "ETHUSDT"):
            await store(engine.pool, symbol=symbol)
        session = await engine.start(symbols=("BTCUSDT", "ETHUSDT"), extra_timeframes=("5m", "15m"))
        await engine.finished(session.id)
        log = await engine.log(session.id)
    assert open_minutes(log, timeframe="5m") == list(range(0, 100, 5))
    assert open_minutes(log, timeframe="15m") == list(range(0, 90, 15))
    assert gap_minutes(log, "5m") == gap_minutes(log, "15m") == []
    tick = [event["payload"] for event in log if event["type"] == "candle" and event["ts"] == START_MS + 14 * MINUTE]
    assert [(p["timeframe"], p["symbol"]) for p in tick] == [
        (timeframe, symbol) for timeframe in ("1m", "5m", "15m") for symbol in ("BTCUSDT", "ETHUSDT")
    ]
    members = candles_of(log, timeframe="1m")[15:30]
    built = candles_of(log, timeframe="15m")[1]["candle"]
    assert built["open"] == members[0]["candle"]["open"]
    assert built["close"] == members[-1]["candle"]["close"]
    assert built["high"] == max(m["candle"]["high"] for m in members)
    assert built["low"] == min(m["candle"]["low"] for m in members)
    assert Decimal(str(built["volume"])) == sum(Decimal(str(m["candle"]["volume"])) for m in members)
    assert_sound(log)


async def test_only_longer_candles_completely_in_the_range_count(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(
            start_ms=START_MS + 7 * MINUTE, end_ms=START_MS + 33 * MINUTE, extra_timeframes=("15m",)
        )
        await engine.finished(session.id)
        log = await engine.log(session.id)
    assert open_minutes(log, timeframe="15m") == [15]
    assert gap_minutes(log, "15m") == []


@pytest.mark.parametrize("policy", ["skip", "fill"])
async def test_a_missing_candle_makes_its_longer_candle_a_gap_or_synthetic(database: Database, policy: str) -> None:
    missing = {7, 20, 21, 22, 23, 24, 29, 97, 98, 99}
    async with running_engine(database) as engine:
        await store(engine.pool, without=missing.__contains__)
        whole = await engine.finished((await engine.start(gap_policy=policy, extra_timeframes=("5m",))).id)
        log = await engine.log(whole.id)
        if policy == "skip":
            assert open_minutes(log, timeframe="5m") == [*range(0, 5, 5), 10, 15, *range(30, 95, 5)]
            assert gap_minutes(log, "5m") == [(5, 10, 1), (20, 30, 2), (95, 100, 1)]
        else:
            assert open_minutes(log, timeframe="5m") == list(range(0, 100, 5))
            made_up = [candle for candle in candles_of(log, timeframe="5m") if candle.get("synthetic")]
            assert [minute(candle["candle"]["openTimeMs"]) for candle in made_up] == [5, 20, 25, 95]
            assert gap_minutes(log, "5m") == []
        assert_sound(log)
        session = await engine.start(gap_policy=policy, extra_timeframes=("5m",), pace=Pace(1))
        while not (await engine.get(session.id)).ended:
            try:
                await engine.act(session.id, "pause")
                await engine.act(session.id, "resume")
            except WrongStatusError:
                break
            await asyncio.sleep(0.004)
        await engine.finished(session.id)
        assert await engine.digest(session.id) == await engine.digest(whole.id)
