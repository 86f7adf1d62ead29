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
from tests.support.engine import MINUTE, START_MS, USER, Engine, engine, store
from tests.support.servers import Database

CROSS: dict[str, Any] = {"profile_slug": "sma_cross", "config": {"fast": 3, "slow": 8}}


async def interrupted(e: Engine, session: Session) -> Session:
    """Pause and resume a session as often as it can be before it ends."""
    while not (await e.get(session.id)).ended:
        try:
            await e.act(session.id, "pause")
            await e.act(session.id, "resume")
        except WrongStatusError:
            pass
        await asyncio.sleep(0.01)
    return await e.finished(session.id)


async def test_a_strategy_writes_signals_orders_fills_trades_and_equity(database: Database) -> None:
    async with engine(database) as e:
        await store(e.pool)
        session = await e.finished((await e.start(**CROSS)).id)
        log = await e.log(session.id)
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
    async with engine(database) as e:
        for symbol in ("BTCUSDT", "ETHUSDT"):
            await store(e.pool, symbol=symbol, without={30, 31, 55, 98, 99}.__contains__)
        whole = await e.finished((await e.start(**changes, gap_policy=policy)).id)
        assert whole.status == "finished", whole.error
        session = await e.start(**changes, gap_policy=policy, pace=Pace(60_000))
        await e.act(session.id, "pause")
        await e.act(session.id, "pace", Pace(1))
        await e.act(session.id, "resume")
        cut = await interrupted(e, session)
        assert cut.status == "finished", (cut.error, cut.error_details)
        assert sum(event["type"] == "status" for event in await e.log(cut.id)) > 3
        assert await e.digest(cut.id) == await e.digest(whole.id)
        assert cut.candles_hash == whole.candles_hash


async def halfway(e: Engine, **changes: Any) -> Session:
    """Let a session of `CROSS` take 40 steps."""
    session = await e.create(**CROSS, **changes)
    await e.act(session.id, "step", steps=40)
    return await e.until(session.id, lambda s: s.status == "paused")


async def test_a_log_that_the_strategy_does_not_reproduce_fails_the_session(database: Database) -> None:
    async with engine(database) as e:
        await store(e.pool)
        session = await halfway(e)
        with psycopg.connect(database.owner_url) as owner:
            owner.execute(
                "UPDATE sim_events SET payload = jsonb_set(payload, '{cash}', '1')"
                " WHERE session_id = %s AND seq = (SELECT max(seq) FROM sim_events WHERE type = 'equity')",
                (session.id,),
            )
        await e.act(session.id, "resume")
        failed = await e.finished(session.id)
        assert failed.status == "failed"
        assert failed.error_details["logged"]["payload"]["cash"] == 1
        assert f"seq {failed.error_details['seq']}" in failed.error


async def test_revised_candles_are_noticed_before_a_session_uses_them(database: Database) -> None:
    async with engine(database) as e:
        await store(e.pool)
        paused = session = await halfway(e)
        database.query("UPDATE market_candles SET volume = volume + 1 WHERE open_time_ms = %s", START_MS + 3 * MINUTE)
        with pytest.raises(InputsChangedError) as raised:
            await e.act(session.id, "resume")
        assert raised.value.code == "candles_changed"
        assert (await e.get(session.id)).last_seq == paused.last_seq
        await e.act(session.id, "resume", accept_revised=True)
        assert (await e.finished(session.id)).status == "finished"
        log = await e.log(session.id)
        assert [x["payload"]["action"] for x in log if x["type"] == "control"] == ["step", "acceptRevised"]


async def test_revised_candles_that_were_not_used_yet_change_nothing(database: Database) -> None:
    async with engine(database) as e:
        await store(e.pool)
        session = await e.start(pace=Pace(60_000))
        await e.until(session.id, lambda s: s.last_seq >= 2)
        await e.act(session.id, "pause")
        database.query("UPDATE market_candles SET volume = volume + 1 WHERE open_time_ms = %s", START_MS + 30 * MINUTE)
        assert (await e.act(session.id, "resume")).status == "running"


async def test_a_candle_that_comes_late_is_no_revision(database: Database) -> None:
    async with engine(database) as e:
        await store(e.pool, without={3, 4}.__contains__)
        session = await halfway(e, gap_policy="skip")
        await store(e.pool)
        await e.act(session.id, "resume")
        done = await e.finished(session.id)
        assert done.status == "finished", done.error
        assert sum(event["type"] == "gap" for event in await e.log(session.id)) == 1


async def test_a_session_does_not_resume_with_other_code_or_warmup_candles(database: Database) -> None:
    async with engine(database) as e:
        await store(e.pool)
        session = await e.start(**CROSS, start_ms=START_MS + 20 * MINUTE, warmup_candles=20, pace=Pace(60_000))
        await e.until(session.id, lambda s: s.last_seq >= 2)
        await e.act(session.id, "pause")
        database.query("UPDATE sim_sessions SET strategy_hash = 'other' WHERE id = %s RETURNING id", session.id)
        with pytest.raises(InputsChangedError) as raised:
            await e.act(session.id, "resume")
        assert raised.value.code == "strategy_changed"
        hashed = "SELECT strategy_hash FROM sim_sessions WHERE id = %s"
        fresh = await e.start(**CROSS, pace=Pace(60_000))
        database.query(f"UPDATE sim_sessions SET strategy_hash = ({hashed}) WHERE id = %s", fresh.id, session.id)
        database.query("UPDATE market_candles SET volume = volume + 1 WHERE open_time_ms = %s", START_MS + 3 * MINUTE)
        with pytest.raises(InputsChangedError) as raised:
            await e.act(session.id, "resume")
        assert raised.value.code == "warmup_changed"


async def test_too_few_warmup_candles_are_an_error(database: Database) -> None:
    async with engine(database) as e:
        await store(e.pool)
        session = await e.create(**CROSS, warmup_candles=5)
        with pytest.raises(WarmupMissingError):
            await e.sim.start(USER, session.id)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"profile_slug": "sma_cros"}, "did you mean sma_cross"),
        ({"profile_slug": "sma_cross", "config": {"fats": 3}}, "did you mean fast"),
        ({"profile_slug": "sma_cross", "config": {"fast": "x"}}, "config.fast"),
    ],
)
async def test_an_error_names_the_wrong_parameter(database: Database, changes: dict[str, Any], words: str) -> None:
    async with engine(database) as e:
        with pytest.raises(BadInputError, match=words):
            await e.create(**changes)
