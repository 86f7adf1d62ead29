"""The same input gives the same log: dropped runners, hash seeds, any order of controls, stalls."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from app.clock import Clock, TimedEvent
from app.domain.session import Pace
from tests.integration.engine.test_engine import assert_sound
from tests.reference import needs_data
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, running_engine, store
from tests.support.scenarios.dropped_runner import COUNT, dropped
from tests.support.scenarios.many_symbols import same_digests
from tests.support.scenarios.random_calls import make_random_calls
from tests.support.server_process import StartServer
from tests.support.session_log import open_minutes


async def test_dropped_between_any_two_ticks_with_orders_resting_and_resumed_the_digest_is_equal(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = {0, 299, 302, COUNT - 2, *Random(3).sample(range(2, 298), 2)}
    await dropped(database, monkeypatch, cuts)


@needs_data
async def test_20_symbols_of_real_candles_have_one_digest_whatever_the_hash_seed(
    database: Database, start_server: StartServer
) -> None:
    await same_digests(database, start_server, 200)


def test_no_walk_of_control_calls_changes_what_is_simulated(database: Database, start_server: StartServer) -> None:
    make_random_calls(database, start_server, steps=15)


class StalledClock(Clock):
    """A clock that moves on by what is waited for, and once by much more."""

    def __init__(self, stall_s: int) -> None:
        self.ns = 0
        self.waits = 0
        self._stall_s = stall_s

    def monotonic_ns(self) -> int:
        return self.ns

    async def wait(self, event: TimedEvent, timeout_s: float) -> bool:
        await asyncio.sleep(0)
        if timeout_s > 0 and not event.is_set():
            self.waits += 1
            self.ns += int((timeout_s + (self._stall_s if self.waits == 20 else 0)) * 1e9)
        return event.is_set()


@pytest.mark.parametrize("stall_s", [5, 90])
async def test_a_stall_under_a_minute_is_caught_up_at_once_and_a_longer_one_moves_the_grid_and_says_so(
    database: Database, stall_s: int
) -> None:
    clock = StalledClock(stall_s)
    async with running_engine(database, clock=clock, poll_ms=60_000, renew_ms=1000, runner_ttl_ms=60_000) as engine:
        await store(engine.pool)
        session = await engine.finished((await engine.start(pace=Pace(1000))).id)
        log = await engine.log(session.id)
        stalls = [x["payload"] for x in log if x["type"] == "control"]
        if stall_s == 5:
            assert stalls == []
            assert round(clock.ns / 1e9) == 99
        else:
            assert [(x["action"], x["args"]["movedMs"] // 1000) for x in stalls] == [("stall", stall_s)]
            assert round(clock.ns / 1e9) == 99 + stall_s
        assert open_minutes(log) == list(range(100))
        assert_sound(log)
        plain = await engine.finished((await engine.start(start_ms=START_MS, end_ms=START_MS + 100 * MINUTE)).id)
        assert await engine.digest(session.id) == await engine.digest(plain.id)
