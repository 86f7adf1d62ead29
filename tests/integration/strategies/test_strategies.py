"""Strategies in the engine: the same log whatever happens on the way, and a state that comes back from the log."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from app.domain.session import Pace, Session
from app.domain.trading.settings import TradingSettings
from app.errors import BadInputError, InputsChangedError, WarmupMissingError, WrongStatusError
from tests.integration.engine.test_engine import assert_sound
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, USER, Engine, running_engine, store

CROSS: dict[str, Any] = {"profile_slug": "sma_cross", "config": {"fast": 3, "slow": 8}}


async def interrupted(engine: Engine, session: Session) -> Session:
    """Pause and resume a session as often as it can be before it ends."""
    while not (await engine.get(session.id)).ended:
        try:
            await engine.act(session.id, "pause")
            await engine.act(session.id, "resume")
        except WrongStatusError:
            pass
        await asyncio.sleep(0.01)
    return await engine.finished(session.id)


async def test_a_strategy_writes_signals_orders_fills_trades_and_equity(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.finished((await engine.start(**CROSS)).id)
        log = await engine.log(session.id)
    assert session.status == "finished", session.error
    types = {event["type"] for event in log}
    assert types == {"status", "candle", "signal", "order", "fill", "trade", "equity"}
    assert sum(event["type"] == "equity" for event in log) == 100
    assert_sound(log)


@pytest.mark.parametrize(
    "changes",
    [
        CROSS,
        {**CROSS, "trading": TradingSettings(record="trades")},
        {**CROSS, "trading": TradingSettings(fill="same_close", slippage_bps=Decimal(5))},
        {**CROSS, "extra_timeframes": ("5m",)},
        {**CROSS, "symbols": ("BTCUSDT", "ETHUSDT")},
        {"profile_slug": "keltner_revert"},
        {**CROSS, "start_ms": START_MS + 20 * MINUTE, "warmup_candles": 20},
    ],
)
@pytest.mark.parametrize("policy", ["skip", "fill"])
async def test_pauses_and_rebuilds_do_not_change_the_digest(
    database: Database, changes: dict[str, Any], policy: str
) -> None:
    async with running_engine(database) as engine:
        for symbol in ("BTCUSDT", "ETHUSDT"):
            await store(engine.pool, symbol=symbol, without={30, 31, 55, 98, 99}.__contains__)
        whole = await engine.finished((await engine.start(**changes, gap_policy=policy)).id)
        assert whole.status == "finished", whole.error
        session = await engine.start(**changes, gap_policy=policy, pace=Pace(60_000))
        await engine.act(session.id, "pause")
        await engine.act(session.id, "pace", Pace(1))
        await engine.act(session.id, "resume")
        cut = await interrupted(engine, session)
        assert cut.status == "finished", (cut.error, cut.error_details)
        assert sum(event["type"] == "status" for event in await engine.log(cut.id)) > 3
        assert await engine.digest(cut.id) == await engine.digest(whole.id)
        assert cut.candles_hash == whole.candles_hash


async def halfway(engine: Engine, **changes: Any) -> Session:
    """Let a session of `CROSS` take 40 steps."""
    session = await engine.create(**CROSS, **changes)
    await engine.act(session.id, "step", steps=40)
    return await engine.until(session.id, lambda s: s.status == "paused")


async def test_a_log_that_the_strategy_does_not_reproduce_fails_the_session(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await halfway(engine)
        with psycopg.connect(database.owner_url) as owner:
            owner.execute(
                "UPDATE sim_events SET payload = jsonb_set(payload, '{cash}', '1')"
                " WHERE session_id = %s AND seq = (SELECT max(seq) FROM sim_events WHERE type = 'equity')",
                (session.id,),
            )
        await engine.act(session.id, "resume")
        failed = await engine.finished(session.id)
        assert failed.status == "failed"
        assert failed.error_details["logged"]["payload"]["cash"] == 1
        assert f"seq {failed.error_details['seq']}" in failed.error


async def test_revised_candles_are_noticed_before_a_session_uses_them(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        paused = session = await halfway(engine)
        database.query("UPDATE market_candles SET volume = volume + 1 WHERE open_time_ms = %s", START_MS + 3 * MINUTE)
        with pytest.raises(InputsChangedError) as raised:
            await engine.act(session.id, "resume")
        assert raised.value.code == "candles_changed"
        assert (await engine.get(session.id)).last_seq == paused.last_seq
        await engine.act(session.id, "resume", accept_revised=True)
        assert (await engine.finished(session.id)).status == "finished"
        log = await engine.log(session.id)
        assert [x["payload"]["action"] for x in log if x["type"] == "control"] == ["step", "acceptRevised"]


async def test_revised_candles_that_were_not_used_yet_change_nothing(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(pace=Pace(60_000))
        await engine.until(session.id, lambda s: s.last_seq >= 2)
        await engine.act(session.id, "pause")
        database.query("UPDATE market_candles SET volume = volume + 1 WHERE open_time_ms = %s", START_MS + 30 * MINUTE)
        assert (await engine.act(session.id, "resume")).status == "running"


async def test_a_candle_that_comes_late_is_no_revision(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, without={3, 4}.__contains__)
        session = await halfway(engine, gap_policy="skip")
        await store(engine.pool)
        await engine.act(session.id, "resume")
        done = await engine.finished(session.id)
        assert done.status == "finished", done.error
        assert sum(event["type"] == "gap" for event in await engine.log(session.id)) == 1


async def test_a_session_does_not_resume_with_other_warmup_candles(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(**CROSS, start_ms=START_MS + 20 * MINUTE, warmup_candles=20, pace=Pace(60_000))
        await engine.until(session.id, lambda s: s.last_seq >= 2)
        await engine.act(session.id, "pause")
        database.query("UPDATE market_candles SET volume = volume + 1 WHERE open_time_ms = %s", START_MS + 3 * MINUTE)
        with pytest.raises(InputsChangedError) as raised:
            await engine.act(session.id, "resume")
        assert raised.value.code == "warmup_changed"


async def test_too_few_warmup_candles_are_an_error(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.create(**CROSS, warmup_candles=5)
        with pytest.raises(WarmupMissingError):
            await engine.sim.start(USER, session.id)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"profile_slug": "sma_cros"}, "did you mean sma_cross"),
        ({"profile_slug": "sma_cross", "config": {"fats": 3}}, "did you mean fast"),
        ({"profile_slug": "sma_cross", "config": {"fast": "x"}}, "config.fast"),
    ],
)
async def test_an_error_names_the_wrong_parameter(database: Database, changes: dict[str, Any], words: str) -> None:
    async with running_engine(database) as engine:
        with pytest.raises(BadInputError, match=words):
            await engine.create(**changes)
