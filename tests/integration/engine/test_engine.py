"""The engine against a real database: what a session's log holds, whatever happens on the way."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from app.domain.session import Pace
from app.engine.replay.runner import SessionRunner
from app.errors import MissingCandlesError, WrongStatusError
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, USER, running_engine, store
from tests.support.server_process import until
from tests.support.session_log import gaps, minute, open_minutes


def gap_minutes(log: list[dict]) -> list[tuple[str, int, int]]:
    return [(gap.symbol, minute(gap.from_ms), minute(gap.to_ms)) for gap in gaps(log)]


def assert_sound(log: list[dict]) -> None:
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
    assert all(a["ts"] <= b["ts"] for a, b in pairwise(log))


async def test_a_bounded_session_runs_to_the_end_of_its_range(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.finished((await engine.start()).id)
        log = await engine.log(session.id)
    assert session.status == "finished"
    assert session.cursor_ms == START_MS + 99 * MINUTE
    assert [event["type"] for event in log] == ["status", *["candle"] * 100, "status"]
    assert open_minutes(log) == list(range(100))
    assert [event["payload"]["status"] for event in log if event["type"] == "status"] == ["running", "finished"]
    assert_sound(log)


async def test_an_end_off_the_grid_finishes_too(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.finished((await engine.start(end_ms=START_MS + 9 * MINUTE + 1)).id)
        assert session.status == "finished"
        assert open_minutes(await engine.log(session.id)) == list(range(10))


async def test_a_start_off_the_grid_begins_at_the_next_candle(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.finished((await engine.start(start_ms=START_MS + 1)).id)
        assert open_minutes(await engine.log(session.id)) == list(range(1, 100))


async def test_a_range_without_a_slot_finishes_at_once(database: Database) -> None:
    async with running_engine(database) as engine:
        session = await engine.finished((await engine.start(start_ms=START_MS + 1, end_ms=START_MS + 2)).id)
        assert session.status == "finished"
        assert session.cursor_ms is None


async def test_ticks_come_at_the_pace(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        began = asyncio.get_running_loop().time()
        session = await engine.start(pace=Pace(50), end_ms=START_MS + 10 * MINUTE)
        await engine.finished(session.id)
        assert 0.44 <= asyncio.get_running_loop().time() - began < 5


async def test_after_a_pause_no_candle_follows_and_resume_continues(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(pace=Pace(100))
        await engine.until(session.id, lambda s: s.last_seq > 5)
        paused = await engine.act(session.id, "pause")
        await asyncio.sleep(0.3)
        assert (await engine.get(session.id)).last_seq == paused.last_seq
        assert (await engine.act(session.id, "pause")).last_seq == paused.last_seq
        await engine.act(session.id, "resume")
        await engine.act(session.id, "pace", Pace(0))
        await engine.finished(session.id)
        log = await engine.log(session.id)
        assert open_minutes(log) == list(range(100))
        assert_sound(log)


async def test_a_stopped_session_stays_stopped(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(pace=Pace(200))
        stopped = await engine.act(session.id, "stop")
        assert (await engine.act(session.id, "stop")).last_seq == stopped.last_seq
        for call in ("start", "resume", "pause"):
            with pytest.raises(WrongStatusError):
                await (engine.sim.start(USER, session.id) if call == "start" else engine.act(session.id, call))
        assert (await engine.get(session.id)).last_seq == stopped.last_seq


async def test_two_simultaneous_starts_make_one_runner(database: Database) -> None:
    async with (
        running_engine(database, runner_ttl_ms=3000) as engine,
        running_engine(database, runner="two", runner_ttl_ms=3000) as other,
    ):
        await store(engine.pool)
        session = await engine.create(pace=Pace(60_000))
        started = await asyncio.gather(*(x.sim.start(USER, session.id) for x in (engine, other, engine, other)))
        assert {s.status for s in started} == {"running"}
        assert engine.supervisor.running + other.supervisor.running == 1
        await engine.act(session.id, "pace", Pace(0))
        await engine.finished(session.id)
        log = await engine.log(session.id)
        assert open_minutes(log) == list(range(100))
        assert sum(event["type"] == "status" for event in log) == 2


async def test_a_runner_does_not_read_its_row_again_because_of_its_own_start(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[object] = []
    read_row = SessionRunner._read_row

    async def counted(runner: SessionRunner) -> None:
        reads.append(runner)
        await read_row(runner)

    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.create(pace=Pace(600_000))
        heard: list[str] = []
        on_control = engine.supervisor._on_control
        monkeypatch.setattr(engine.supervisor, "_on_control", lambda text: (heard.append(text), on_control(text)))
        monkeypatch.setattr(SessionRunner, "_read_row", counted)
        started = await engine.sim.start(USER, session.id)
        await until(lambda: heard == [f"{session.id}:running:{engine.supervisor.name}:{started.epoch}"])
        await engine.until(session.id, lambda now: now.last_seq == 2)
        assert not reads
        await engine.act(session.id, "pace", Pace(500_000))
        await until(lambda: len(reads) == 1)


async def test_the_pace_changes_while_running(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(pace=Pace(60_000))
        await engine.until(session.id, lambda s: s.last_seq >= 2)
        await engine.act(session.id, "pace", Pace(0))
        await engine.until(session.id, lambda s: s.ended)
        log = await engine.log(session.id)
        assert [event["payload"]["args"] for event in log if event["type"] == "control"] == [{"replayMsPerCandle": 0}]
        assert_sound(log)


@pytest.mark.parametrize("missing", [{0}, {50}, {50, 51, 70}, {99}])
async def test_a_gap_fails_the_start_and_is_listed(database: Database, missing: set[int]) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, without=missing.__contains__)
        session = await engine.create()
        with pytest.raises(MissingCandlesError) as raised:
            await engine.sim.start(USER, session.id)
        assert raised.value.details["missing"] == len(missing)
        failed = await engine.get(session.id)
        assert failed.status == "failed"
        assert failed.error_details == raised.value.details
        await store(engine.pool)
        await engine.sim.start(USER, session.id)
        done = await engine.finished(session.id)
        assert (done.status, done.error, done.error_details) == ("finished", None, None)


@pytest.mark.parametrize("policy", ["skip", "fill"])
async def test_gaps_are_the_same_events_however_the_session_was_paused(database: Database, policy: str) -> None:
    missing = {0, 1, 10, 11, 12, 13, 14, 15, 60, 61, 98, 99}
    async with running_engine(database) as engine:
        await store(engine.pool, without=missing.__contains__)
        whole = await engine.finished((await engine.start(gap_policy=policy)).id)
        log = await engine.log(whole.id)
        assert gap_minutes(log) == [("BTCUSDT", 0, 2), ("BTCUSDT", 10, 16), ("BTCUSDT", 60, 62), ("BTCUSDT", 98, 100)]
        expected = set(range(100)) - missing if policy == "skip" else set(range(2, 100))
        assert open_minutes(log) == sorted(expected)
        assert whole.cursor_ms == START_MS + 99 * MINUTE
        assert_sound(log)
        session = await engine.start(gap_policy=policy, pace=Pace(1))
        while not (await engine.get(session.id)).ended:
            try:
                await engine.act(session.id, "pause")
                await engine.act(session.id, "resume")
            except WrongStatusError:
                break
            await asyncio.sleep(0.005)
        await engine.finished(session.id)
        assert await engine.digest(session.id) == await engine.digest(whole.id)


async def test_several_symbols_share_one_clock_in_their_order(database: Database) -> None:
    symbols = ("ETHUSDT", "BTCUSDT", "SOLUSDT")
    async with running_engine(database) as engine:
        await store(engine.pool, symbol="ETHUSDT", without=lambda n: n < 20)
        await store(engine.pool, symbol="BTCUSDT", without=lambda n: n in {5, 6, 50})
        await store(engine.pool, symbol="SOLUSDT", without=lambda n: n > 80)
        session = await engine.finished((await engine.start(symbols=symbols, gap_policy="skip")).id)
        log = await engine.log(session.id)
        assert open_minutes(log, "ETHUSDT") == list(range(20, 100))
        assert open_minutes(log, "SOLUSDT") == list(range(81))
        assert gap_minutes(log) == [
            ("BTCUSDT", 5, 7), ("ETHUSDT", 0, 20), ("BTCUSDT", 50, 51), ("SOLUSDT", 81, 100),
        ]  # fmt: skip
        order = [
            event["payload"]["symbol"]
            for event in log
            if event["type"] == "candle" and event["ts"] == START_MS + 30 * MINUTE
        ]
        assert order == list(symbols)
        assert_sound(log)


async def test_without_an_end_it_waits_and_continues_when_a_candle_is_stored(database: Database) -> None:
    async with running_engine(database, poll_ms=60_000, renew_ms=100, runner_ttl_ms=10_000) as engine:
        await store(engine.pool, count=10)
        session = await engine.start(end_ms=None, gap_policy="skip")
        await engine.until(session.id, lambda s: s.cursor_ms == START_MS + 9 * MINUTE)
        await asyncio.sleep(0.1)
        assert (await engine.get(session.id)).status == "running"
        await store(engine.pool, count=12)
        await engine.until(session.id, lambda s: s.cursor_ms == START_MS + 11 * MINUTE)


async def test_a_note_by_hand_is_in_the_log_and_not_in_the_digest(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(pace=Pace(5))
        await engine.until(session.id, lambda s: s.last_seq > 5)
        await engine.sim.note(USER, session.id, {"message": "look here"})
        await engine.finished(session.id)
        plain = await engine.finished((await engine.start()).id)
        log = await engine.log(session.id)
        assert [event["payload"] for event in log if event["type"] == "note"] == [{"message": "look here"}]
        assert_sound(log)
        assert await engine.digest(session.id) == await engine.digest(plain.id)


async def test_a_session_started_before_fingerprints_were_stored_resumes_again_and_again(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(pace=Pace(200))
        await engine.until(session.id, lambda s: s.last_seq > 2)
        await engine.act(session.id, "pause")
        database.query("UPDATE sim_sessions SET candles_hash = NULL WHERE id = %s", session.id)
        for _ in range(2):
            resumed = await engine.act(session.id, "resume")
            await engine.until(session.id, lambda s, at=resumed.last_seq: s.last_seq > at)
            await engine.act(session.id, "pause")
        await engine.act(session.id, "resume")
        await engine.act(session.id, "pace", Pace(0))
        await engine.finished(session.id)
        assert open_minutes(await engine.log(session.id)) == list(range(100))
