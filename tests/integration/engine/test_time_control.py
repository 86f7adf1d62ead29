"""Steps, runs up to a point, jumps and changes of pace, from any process, and a grid that never drifts."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from app.clock import Clock, TimedEvent
from app.domain.session import Pace
from app.errors import CursorMovedError, MissingCandlesError, WrongStatusError
from tests.integration.engine.test_engine import assert_sound
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, Engine, running_engine, store
from tests.support.session_log import open_minutes


def controls(log: list[dict]) -> list[tuple[str, dict]]:
    return [(e["payload"]["action"], e["payload"]["args"]) for e in log if e["type"] == "control"]


async def paused(engine: Engine, session_id: Any) -> Any:
    return await engine.until(session_id, lambda s: s.status == "paused")


async def test_a_step_shows_so_many_candles_and_pauses_with_the_last(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.create(pace=Pace(60_000))
        for steps, reached in ((1, 0), (3, 3), (20, 23)):
            await engine.act(session.id, "step", steps=steps)
            at = await paused(engine, session.id)
            assert (at.cursor_ms - START_MS) // MINUTE == reached
            assert (at.steps_left, at.runner) == (None, None)
        log = await engine.log(session.id)
        assert open_minutes(log) == list(range(24))
        assert controls(log) == [("step", {"candles": n}) for n in (1, 3, 20)]
        assert [x["payload"]["reason"] for x in log if x["type"] == "status"] == ["step"] * 6
        assert log[-1]["type"] == "status"
        assert_sound(log)


async def test_a_step_counts_ticks_however_many_symbols_and_over_gaps(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, symbol="A", without={2, 3}.__contains__)
        await store(engine.pool, symbol="B", without={2, 3, 5}.__contains__)
        session = await engine.create(symbols=("A", "B"), gap_policy="skip")
        await engine.act(session.id, "step", steps=4)
        at = await paused(engine, session.id)
        assert at.cursor_ms == START_MS + 5 * MINUTE


BEGINNINGS = [("start", {}), ("step", {"steps": 3}), ("runUntil", {"time_ms": START_MS + 60 * MINUTE})]


@pytest.mark.parametrize(("call", "arguments"), BEGINNINGS)
async def test_however_a_session_starts_longer_candles_and_those_of_the_warm_up_are_built(
    database: Database, call: str, arguments: dict[str, Any]
) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, start_ms=START_MS - 60 * MINUTE, count=200)
        strategy = {"profile_slug": "sma_cross", "config": {"fast": 2, "slow": 4}, "warmup_candles": 6}
        session = await engine.create(timeframe="5m", **strategy)
        await engine.act(session.id, call, **arguments)
        at = await engine.until(session.id, lambda s: s.status in ("paused", "finished", "failed"))
        assert at.status == ("finished" if call == "start" else "paused"), at.error
        assert at.cursor_ms is not None


@pytest.mark.parametrize(("call", "arguments"), BEGINNINGS)
async def test_however_a_session_starts_gaps_fail_it_at_once_where_the_policy_is_fail(
    database: Database, call: str, arguments: dict[str, Any]
) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, without={90}.__contains__)
        session = await engine.create()
        with pytest.raises(MissingCandlesError) as raised:
            await engine.act(session.id, call, **arguments)
        assert raised.value.details["missing"] == 1
        failed = await engine.get(session.id)
        assert (failed.status, failed.error_details, failed.cursor_ms) == ("failed", raised.value.details, None)


async def test_a_step_from_another_cursor_does_not_check_the_candles(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, without={90}.__contains__)
        session = await engine.create()
        with pytest.raises(CursorMovedError):
            await engine.act(session.id, "step", steps=1, if_cursor=(START_MS,))
        assert (await engine.get(session.id)).status == "created"


async def test_a_step_past_the_end_finishes(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.create()
        await engine.act(session.id, "step", steps=1000)
        done = await engine.finished(session.id)
        assert (done.status, done.steps_left) == ("finished", None)


async def test_a_run_until_a_time_stops_before_its_candle(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, without=set(range(20, 30)).__contains__)
        session = await engine.create(gap_policy="skip")
        for until, reached in ((10, 9), (25, 19), (31, 30)):
            await engine.act(session.id, "runUntil", time_ms=START_MS + until * MINUTE)
            at = await paused(engine, session.id)
            assert (at.cursor_ms - START_MS) // MINUTE == reached
        await engine.act(session.id, "runUntil", time_ms=START_MS)
        assert (await paused(engine, session.id)).cursor_ms == START_MS + 30 * MINUTE
        await engine.act(session.id, "resume")
        await engine.finished(session.id)
        assert_sound(await engine.log(session.id))


async def test_a_run_until_an_event_type_stops_after_its_tick(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, without={40, 41}.__contains__)
        session = await engine.create(gap_policy="skip")
        await engine.act(session.id, "runUntil", event_type="gap")
        assert (await paused(engine, session.id)).cursor_ms == START_MS + 42 * MINUTE
        assert [event["type"] for event in (await engine.log(session.id))[-3:]] == ["gap", "candle", "status"]


async def test_a_jump_ignores_the_pace_up_to_a_time_and_then_keeps_it(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(pace=Pace(60_000))
        await engine.until(session.id, lambda s: s.last_seq >= 2)
        await engine.act(session.id, "jump", time_ms=START_MS + 50 * MINUTE)
        await engine.until(session.id, lambda s: s.cursor_ms == START_MS + 49 * MINUTE)
        await asyncio.sleep(0.2)
        assert (await engine.get(session.id)).cursor_ms == START_MS + 49 * MINUTE
        await engine.act(session.id, "pause")
        with pytest.raises(WrongStatusError):
            await engine.act(session.id, "jump", time_ms=START_MS + 50 * MINUTE)
        assert controls(await engine.log(session.id)) == [("jump", {"timeMs": START_MS + 50 * MINUTE})]


async def test_a_control_works_from_any_process(database: Database) -> None:
    async with (
        running_engine(database, runner_ttl_ms=3000) as engine,
        running_engine(database, runner="two", runner_ttl_ms=3000) as other,
    ):
        await store(engine.pool)
        session = await engine.start(pace=Pace(60_000))
        await engine.until(session.id, lambda s: s.last_seq >= 2)
        await other.act(session.id, "jump", time_ms=START_MS + 10 * MINUTE)
        await engine.until(session.id, lambda s: s.cursor_ms == START_MS + 9 * MINUTE)
        await other.act(session.id, "pause")
        await other.act(session.id, "step", steps=2)
        assert (await paused(engine, session.id)).cursor_ms == START_MS + 11 * MINUTE
        await engine.act(session.id, "resume")
        await other.act(session.id, "pace", Pace(0))
        await engine.finished(session.id)
        log = await engine.log(session.id)
        assert open_minutes(log) == list(range(100))
        assert_sound(log)


async def test_a_step_is_refused_when_running_or_when_the_cursor_is_elsewhere(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.create(pace=Pace(60_000))
        with pytest.raises(CursorMovedError):
            await engine.act(session.id, "step", steps=1, if_cursor=(START_MS,))
        await engine.act(session.id, "step", steps=1, if_cursor=(None,))
        await paused(engine, session.id)
        await engine.act(session.id, "resume")
        for call, arguments in (("step", {"steps": 1}), ("runUntil", {"event_type": "gap"})):
            with pytest.raises(WrongStatusError):
                await engine.act(session.id, call, **arguments)


async def test_a_crash_while_stepping_leaves_it_paused_and_cleared(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.create()
        database.query("SELECT sim_run_until(%s, 5, NULL, NULL, 'x', 'dead', 1)", session.id)
        at = await paused(engine, session.id)
        assert (at.steps_left, at.cursor_ms) == (None, None)


async def test_a_step_taken_over_runs_its_remaining_candles(database: Database) -> None:
    async with running_engine(database, on_orphan="resume") as engine:
        await store(engine.pool)
        session = await engine.create()
        database.query("SELECT sim_run_until(%s, 5, NULL, NULL, 'x', 'dead', 1)", session.id)
        at = await paused(engine, session.id)
        assert at.cursor_ms == START_MS + 4 * MINUTE


async def test_steps_and_pauses_do_not_change_the_digest(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        whole = await engine.finished((await engine.start(extra_timeframes=("5m", "15m"))).id)
        session = await engine.create(extra_timeframes=("5m", "15m"))
        random = Random(7)
        while not (await engine.get(session.id)).ended:
            await engine.act(session.id, "step", steps=random.randint(1, 9))
            await engine.until(session.id, lambda s: s.status != "running")
        assert await engine.digest(session.id) == await engine.digest(whole.id)


class JumpyClock(Clock):
    """A clock that moves on only by being waited for, and then too far by up to 30 ms."""

    def __init__(self) -> None:
        self.ns = 0
        self._random = Random(1)

    def monotonic_ns(self) -> int:
        return self.ns

    async def wait(self, event: TimedEvent, timeout_s: float) -> bool:
        await asyncio.sleep(0)
        if timeout_s > 0 and not event.is_set():
            self.ns += int(timeout_s * 1e9) + self._random.randrange(30_000_000)
        return event.is_set()


@pytest.mark.parametrize("pace", [Pace(10_000), Pace(333), Pace(speed=7), Pace(speed=200)])
async def test_over_an_hour_of_ticks_the_grid_does_not_drift(database: Database, pace: Pace) -> None:
    clock = JumpyClock()
    async with running_engine(database, clock=clock, poll_ms=60_000, renew_ms=1000, runner_ttl_ms=60_000) as engine:
        writer = engine.supervisor.writer
        append, stamps = writer.append, []

        def stamped(chunk: Any, **options: Any) -> Any:
            stamps.append(clock.ns)
            return append(chunk, **options)

        writer.append = stamped  # type: ignore[method-assign]
        count = 600
        await store(engine.pool, count=count)
        began = clock.ns
        session = await engine.start(pace=pace, end_ms=START_MS + count * MINUTE)
        await engine.until(session.id, lambda s: s.ended, timeout_s=60)
        grid = session.spec.grid
        late = [stamp - began - pace.offset_ns(k, grid) for k, stamp in enumerate(stamps)]
        assert len(late) == count
        assert min(late) >= 0
        assert max(late[-100:]) < 100_000_000
        assert sum(late[-100:]) / 100 < sum(late[:100]) / 100 + 30_000_000
