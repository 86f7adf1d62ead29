"""An exchange that is away for twenty seconds, while a session follows its newest candles."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from app import clock as clock_module
from app.candles.sources.synthetic import candles as made_up
from tests.support.fast_clock import FastClock, lateness, latenesses
from tests.support.network.klines import KlineServer, kline_server
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, Engine, running_engine

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

OUTAGE_S = 20
SOON_S = 0.5


async def test_each_candle_comes_within_half_a_second_of_being_due_through_an_outage_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exchange publishes a candle every second; one due while it is away is due when it is back."""
    pytest.importorskip("ccxt")
    monkeypatch.setattr(clock_module, "_STEP_S", 0.02)
    clock = FastClock()
    async with kline_server() as klines:
        klines.now_ms = clock.now_ms
        sources = {"sources": f"demo=exchange:binance@{klines.address}"}
        async with running_engine(database, clock=clock, poll_ms=5_000, **sources) as engine:
            start_ms = clock.began_ms - 100 * MINUTE
            session = await engine.start(
                start_ms=start_ms, end_ms=None, lag_ms=0, gap_policy="skip", gap_grace_ms=60 * MINUTE
            )
            await latenesses(engine, session.id, clock, 2)
            late = await through_an_outage(engine, session.id, clock, klines)
            if max(late) >= SOON_S:  # Something else kept the machine busy: it must not happen at the same place again.
                late = list(map(min, late, await through_an_outage(engine, session.id, clock, klines)))
            log = await engine.log(session.id)
    opens = [event["payload"]["candle"]["openTimeMs"] for event in log if event["type"] == "candle"]
    assert opens == [candle.open_time_ms for candle in made_up("BTCUSDT", "1m", start_ms, opens[-1] + MINUTE)]
    assert not [event for event in log if event["type"] == "gap"]
    assert max(late) < SOON_S, late


async def through_an_outage(engine: Engine, session_id: UUID, clock: FastClock, klines: KlineServer) -> list[float]:
    """Return how many seconds late candles were before an outage, right behind it, and after it."""
    late = await latenesses(engine, session_id, clock, 5)
    before = len(klines.requests)
    klines.down = True
    await asyncio.sleep(OUTAGE_S)
    stood_ms = (await engine.get(session_id)).cursor_ms or 0
    missed_ms, klines.down = clock.now_ms() // MINUTE * MINUTE, False
    back_ms = clock.now_ms()
    assert missed_ms - stood_ms > (OUTAGE_S - 2) * MINUTE, "The exchange was not away."
    assert len(klines.requests) - before < OUTAGE_S * 10, "The exchange is hammered while it is away."
    await lateness(engine, session_id, clock, missed_ms)
    caught_up = (clock.now_ms() - back_ms) / MINUTE
    return [*late, caught_up, *await latenesses(engine, session_id, clock, 5)]
