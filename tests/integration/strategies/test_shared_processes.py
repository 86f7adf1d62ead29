"""Sessions that share a strategy process: what one does to it, and what the others notice."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from app.domain.session import Pace
from app.errors import StrategyProcessLostError
from app.settings import Settings
from app.strategy_hosts.process_pool import ProcessPool
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, running_engine, store
from tests.support.strategies import GOOD, IMPATIENT, ONE_CHILD, misbehaving, write


@asynccontextmanager
async def lateness() -> AsyncIterator[dict[str, float]]:
    """Measure by how many seconds the event loop, and beside it a thread, wake too late at most."""
    late, over = {"loop": 0.0, "machine": 0.0}, asyncio.Event()

    async def loop() -> None:
        while not over.is_set():
            begun = time.monotonic()
            await asyncio.sleep(0.01)
            late["loop"] = max(late["loop"], time.monotonic() - begun - 0.01)

    def machine() -> None:
        while not over.is_set():
            begun = time.monotonic()
            time.sleep(0.01)
            late["machine"] = max(late["machine"], time.monotonic() - begun - 0.01)

    watching = asyncio.gather(loop(), asyncio.to_thread(machine))
    try:
        yield late
    finally:
        over.set()
        await watching


@pytest.mark.alone
async def test_one_of_eight_that_loops_affects_no_other(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "bad", misbehaving("sum(range(10 ** 12))", at=50))
    write(tmp_path, "good", GOOD)
    async with running_engine(database, strategies=(str(tmp_path),), **IMPATIENT | {"children": 2}) as engine:
        await store(engine.pool)
        alone = await engine.finished((await engine.start(profile_slug="good")).id)
        built_in = await engine.start(profile_slug="sma_cross", pace=Pace(10))
        beside = [await engine.start(profile_slug="good", pace=Pace(10)) for _ in range(6)]
        bad = await engine.start(profile_slug="bad", pace=Pace(10))
        async with lateness() as late:
            await engine.finished(bad.id)
        assert late["loop"] - late["machine"] < 0.15  # The server still answers meanwhile.
        await engine.undisturbed(beside, await engine.digest(alone.id))
        assert (await engine.finished(built_in.id)).status == "finished"


async def test_sessions_of_a_process_that_is_killed_go_on_in_another(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
        await store(engine.pool)
        alone = await engine.finished((await engine.start(profile_slug="good")).id)
        running = [await engine.start(profile_slug="good", pace=Pace(ms)) for ms in (10, 12, 12)]
        looks_at_code, *_ = engine.supervisor.strategies.pids
        killed = {looks_at_code}
        for done in (20, 40, 60):
            for session in running:
                await engine.until(session.id, lambda s, done=done: (s.cursor_ms or 0) >= START_MS + done * MINUTE)
            deadline = time.monotonic() + 20
            while not (at_work := set(engine.supervisor.strategies.pids) - killed):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            for pid in at_work:
                os.kill(pid, signal.SIGKILL)
            killed |= at_work
        await engine.undisturbed(running, await engine.digest(alone.id))


async def test_an_unpaced_session_of_a_slow_strategy_can_be_followed(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "bad", misbehaving("pass").replace("self._seen += 1", "self._seen += 1; time.sleep(0.03)"))
    async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
        append, written = engine.supervisor.writer.append, []

        def counted(chunk: Any, **options: Any) -> Any:
            written.append(chunk.ticks)
            return append(chunk, **options)

        engine.supervisor.writer.append = counted  # type: ignore[method-assign]
        await store(engine.pool, count=1000)
        session = await engine.start(profile_slug="bad", end_ms=START_MS + 1000 * MINUTE)
        await engine.until(session.id, lambda row: row.cursor_ms is not None and len(written) >= 3)
        await engine.act(session.id, "stop")
        assert written[0] == 5
        assert all(ticks <= 60 for ticks in written), written  # Half of its candles would take fifteen seconds.


SLOW = """
import time

class Slow(Strategy):
    def on_candle(self, candle):
        time.sleep(0.15)
"""


def test_requests_to_a_process_whose_death_is_not_known_yet_fail(tmp_path: Path) -> None:
    uvloop.run(send_into_a_closed_pipe(tmp_path))  # As a server does; asyncio's own loop would only log it.


async def send_into_a_closed_pipe(tmp_path: Path) -> None:
    pool = ProcessPool(Settings(strategies=str(tmp_path)))
    try:
        process = await pool.acquire({})
        for pid in (process.pid, process._process.pid):  # Its parent would end it with the pipe.
            os.kill(pid, signal.SIGSTOP)
        answers = [process.send({"call": "hello"}, 60)]
        process._process.stdin.transport.abort()  # type: ignore[union-attr]
        await asyncio.sleep(0.05)
        assert not process.dead
        answers.append(process.send({"call": "hello"}, 60))
        process.kill()
        for answer in answers:
            with pytest.raises(StrategyProcessLostError):
                await answer
    finally:
        await pool.close()


@pytest.mark.parametrize("more", ["time.sleep(0.15)", "pass"])
async def test_a_strategy_that_closes_its_pipe_fails_and_the_others_go_on(
    database: Database, tmp_path: Path, more: str
) -> None:
    write(tmp_path, "good", GOOD)
    write(tmp_path, "bad", misbehaving(f"[os.close(number) for number in (3, 4)]; {more}", at=5))
    async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
        await store(engine.pool)
        alone = await engine.finished((await engine.start(profile_slug="good")).id)
        running = [await engine.start(profile_slug="good", pace=Pace(20)) for _ in range(2)]
        bad = await engine.finished((await engine.start(profile_slug="bad")).id)
        assert bad.status == "failed"
        assert bad.error is not None
        assert "process" in bad.error
        await engine.undisturbed(running, await engine.digest(alone.id))


async def test_processes_with_stray_threads_are_shared_if_need_be(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    write(tmp_path, "leaves", THREAD)
    async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
        await store(engine.pool, count=1000)
        for _ in range(4):
            await engine.start(profile_slug="good", pace=Pace(50), end_ms=START_MS + 1000 * MINUTE)
            await engine.finished((await engine.start(profile_slug="leaves")).id)
        assert len(engine.supervisor.strategies.pids) <= 3  # One looks at code.


async def test_slow_strategies_do_not_slow_down_the_others(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    write(tmp_path, "slow", SLOW)
    async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
        await store(engine.pool, count=9000)
        until = {"end_ms": START_MS + 9000 * MINUTE}
        quick = await engine.start(profile_slug="good", pace=Pace(10), **until)
        await engine.until(quick.id, lambda row: row.cursor_ms is not None)
        slow = [await engine.start(profile_slug="slow", **until) for _ in range(2)]
        for session in slow:
            await engine.until(session.id, lambda row: (row.cursor_ms or 0) >= START_MS + 3 * MINUTE)
        later = await engine.start(profile_slug="good", pace=Pace(10), **until)
        before = [await engine.slots_done(session.id) for session in (quick, later)]
        await asyncio.sleep(2)
        done = [await engine.slots_done(session.id) for session in (quick, later)]
        # Alone they would do 200 each; a round through a process with two slow ones takes 0.3 s, so 7.
        assert all(now - then >= 67 for now, then in zip(done, before, strict=True)), (before, done)
        for session in slow:
            assert (await engine.get(session.id)).status == "running"
            await engine.act(session.id, "stop")


async def test_a_process_that_stood_still_is_not_taken_for_a_slow_strategy(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "slow", SLOW.replace("0.15", "0.3"))
    async with running_engine(database, strategies=(str(tmp_path),), **IMPATIENT) as engine:
        await store(engine.pool)
        session = await engine.start(profile_slug="slow", end_ms=START_MS + 6 * MINUTE)
        await engine.until(session.id, lambda row: row.cursor_ms is not None)
        process = engine.supervisor.strategies.pids[-1]
        os.kill(process, signal.SIGSTOP)
        await asyncio.sleep(1.5)
        os.kill(process, signal.SIGCONT)
        ended = await engine.finished(session.id)
        assert ended.status == "finished", ended.error
        assert engine.supervisor.strategies.pids[-1] == process


THREAD = """
import threading, time

class Leaves(Strategy):
    def on_start(self):
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()

    def on_candle(self, candle):
        pass
"""


async def test_a_thread_ends_with_the_last_session_of_its_process(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    write(tmp_path, "leaves", THREAD)
    async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
        await store(engine.pool, count=1000)
        quick = await engine.start(profile_slug="good", pace=Pace(50), end_ms=START_MS + 1000 * MINUTE)
        await engine.until(quick.id, lambda row: row.cursor_ms is not None)
        before = set(engine.supervisor.strategies.pids)
        assert (await engine.finished((await engine.start(profile_slug="leaves")).id)).status == "finished"
        deadline = time.monotonic() + 10
        while before == set(
            engine.supervisor.strategies.pids
        ):  # Once the thread is known, the process gets no new session.
            assert time.monotonic() < deadline
            assert (await engine.finished((await engine.start(profile_slug="good")).id)).status == "finished"
        assert before < set(engine.supervisor.strategies.pids)
        assert (await engine.get(quick.id)).status == "running"
        await engine.act(quick.id, "stop")
        deadline = time.monotonic() + 5
        while len(before & set(engine.supervisor.strategies.pids)) > 1:  # One looks at code.
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
