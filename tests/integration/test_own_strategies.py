"""Strategies of a user's own: found, described, run in children; what goes wrong in one disturbs nothing else."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import uvloop

from app.db.profiles import Profile
from app.domain.session import Pace, Session
from app.domain.terms import Terms
from app.engine.children import Children
from app.errors import BadInput, Changed, ChildGone
from app.settings import Settings
from tests.support.engine import MINUTE, START_MS, USER, Engine, engine, store
from tests.support.servers import Database
from tests.support.strategies import EXAMPLE, GOOD, SETS, misbehaving, write

QUICK: dict[str, Any] = {"children": 1, "candle_timeout_ms": 200}


async def failed(e: Engine, session: Session) -> Session:
    ended = await e.finished(session.id)
    assert ended.status == "failed"
    return ended


async def slots_done(e: Engine, session: Session) -> int:
    cursor_ms = (await e.get(session.id)).cursor_ms
    return 0 if cursor_ms is None else (cursor_ms - START_MS) // MINUTE + 1


async def assert_undisturbed(e: Engine, sessions: list[Session], digest: str) -> None:
    for session in sessions:
        ended = await e.finished(session.id)
        assert ended.status == "finished", (ended.error, ended.error_details)
        assert await e.digest(ended.id) == digest


async def test_the_example_runs_in_a_child(database: Database, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE, tmp_path)
    changes = {"profile_slug": "breakout_with_stop", "config": {"entry": 5, "stop_pct": 0.05}}
    async with engine(database, strategies=(str(tmp_path),), children=1) as e:
        await store(e.pool, count=500)
        session = await e.finished((await e.start(**changes, end_ms=START_MS + 500 * MINUTE)).id)
        assert session.status == "finished", session.error
        log = await e.log(session.id)
        assert {"signal", "order", "fill", "trade", "plot"} <= {event["type"] for event in log}
        assert len(e.supervisor.strategies.pids) == 2  # One looks at code, one trades.
        with pytest.raises(BadInput, match="did you mean entry"):
            await e.create(**changes | {"config": {"entri": 5}})
        with pytest.raises(BadInput, match=r"config\.entry: Input should be greater"):
            await e.create(**changes | {"config": {"entry": 0}})


FAULTS = {
    "1 / 0": "ZeroDivisionError: division by zero",
    "raise ValueError('a\\0b\\ud800\\nlast')": "last",
    "sys.exit(3)": "SystemExit: 3",
    "while True: pass": "TimeLimit: the strategy took more than 200 ms for a candle",
    "time.sleep(100)": "TimeLimit: the strategy took more than 200 ms for a candle",
    "self.plot('x', 'rubbish')": "ValueError: 'rubbish' is not a number",
    "self.signal('LONG', 'x', y=float('nan'))": "ValueError: nan is not a finite number",
    "self.log('x' * 70_000)": "payload: 70014 bytes, at most 65536 are allowed",
    "self._desk._events.append('rubbish')": "TypeError: among the events of the slot is something else",
    "import not_there_at_all": "ModuleNotFoundError: No module named 'not_there_at_all'",
    "[self.log('x') for _ in range(20_000)]": "events in one slot, at most 10000 are allowed",
    "self.buy(sise=3)": "TypeError: an order has no sise",
}
"""What a strategy may do that Python can stop, and what its session says then."""

DEATHS = {
    "os._exit(3)": "The strategy ended its process with exit code 3.",
    "sum(range(10 ** 12))": "TimeLimit: the strategy took more than 200 ms for a candle",
    "from app.domain.event import Event; self._desk._events.append(Event(1, 'log', '{]'))": "broke the process",
    "os.write(4, b'rubbish' * 999); time.sleep(9)": "broke the process",
    "os.kill(os.getpid(), 9)": "The process of the strategy ended 3 times at one candle (signal 9).",
    "self._hoard = b'x' * (1 << 30)": "MemoryError: the strategy took more than 150 MB",
}
"""What takes the whole process down, and what the session says then."""


async def test_a_faulty_strategy_fails_its_own_session(database: Database, tmp_path: Path) -> None:
    for number, deed in enumerate(FAULTS):
        write(tmp_path, f"bad{number}", misbehaving(deed).replace("Bad", f"Bad{number}"))
    write(tmp_path, "good", GOOD)
    async with engine(database, strategies=(str(tmp_path),), **QUICK) as e:
        await store(e.pool)
        alone = await e.finished((await e.start(profile_slug="good")).id)
        beside = [await e.start(profile_slug="good", pace=Pace(10)) for _ in range(2)]
        pids = e.supervisor.strategies.pids
        bad = [await e.start(profile_slug=f"bad{number}") for number in range(len(FAULTS))]
        for session, error in zip(bad, FAULTS.values(), strict=True):
            ended = await failed(e, session)
            assert error in str(ended.error)
            assert await slots_done(e, session) == 20  # All before the candle it failed at is in its log.
        assert (await e.get(bad[0].id)).error_details == {"at": "bad0.py:14 in on_candle"}
        await assert_undisturbed(e, beside, await e.digest(alone.id))
        assert e.supervisor.strategies.pids == pids


@pytest.mark.parametrize(
    ("deed", "error", "said"),
    [
        (
            "__import__('json').loads('x')",
            "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
            None,
        ),
        ("raise ValueError('first\\nlast\\0')", "last?", "ValueError: first\nlast?"),
    ],
)
async def test_a_fault_names_the_strategys_own_line_and_all_that_was_said(
    database: Database, tmp_path: Path, deed: str, error: str, said: str | None
) -> None:
    write(tmp_path, "bad", misbehaving(deed))
    async with engine(database, strategies=(str(tmp_path),), **QUICK) as e:
        await store(e.pool)
        session = await failed(e, await e.start(profile_slug="bad"))
        assert session.error == error
        at = {"at": "bad.py:14 in on_candle"}
        assert session.error_details == (at if said is None else {**at, "exception": said})


async def test_a_strategy_that_takes_its_process_down_fails_its_own_session(database: Database, tmp_path: Path) -> None:
    for number, deed in enumerate(DEATHS):
        write(tmp_path, f"bad{number}", misbehaving(deed).replace("Bad", f"Bad{number}"))
    write(tmp_path, "good", GOOD)
    async with engine(database, strategies=(str(tmp_path),), strategy_memory_mb=150, **QUICK) as e:
        await store(e.pool)
        alone = await e.finished((await e.start(profile_slug="good")).id)
        for number, error in enumerate(DEATHS.values()):
            beside = [await e.start(profile_slug="good", pace=Pace(5)) for _ in range(2)]
            ended = await failed(e, await e.start(profile_slug=f"bad{number}"))
            assert error in str(ended.error)
            assert await slots_done(e, ended) <= 20
            await assert_undisturbed(e, beside, await e.digest(alone.id))


@pytest.mark.alone
async def test_one_of_eight_that_loops_disturbs_no_other(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "bad", misbehaving("sum(range(10 ** 12))", at=50))
    write(tmp_path, "good", GOOD)
    async with engine(database, strategies=(str(tmp_path),), candle_timeout_ms=200, children=2) as e:
        await store(e.pool)
        alone = await e.finished((await e.start(profile_slug="good")).id)
        built_in = await e.start(profile_slug="sma_cross", pace=Pace(10))
        beside = [await e.start(profile_slug="good", pace=Pace(10)) for _ in range(6)]
        bad = await e.start(profile_slug="bad", pace=Pace(10))
        late_s = 0.0
        while not (await e.get(bad.id)).ended:
            begun = time.monotonic()
            await asyncio.sleep(0.01)
            late_s = max(late_s, time.monotonic() - begun - 0.01)
        assert late_s < 0.15  # The server itself goes on answering meanwhile.
        await assert_undisturbed(e, beside, await e.digest(alone.id))
        assert (await e.finished(built_in.id)).status == "finished"


async def test_sessions_of_a_child_that_is_killed_go_on_in_another(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    async with engine(database, strategies=(str(tmp_path),), **QUICK) as e:
        await store(e.pool)
        alone = await e.finished((await e.start(profile_slug="good")).id)
        running = [await e.start(profile_slug="good", pace=Pace(ms)) for ms in (10, 12, 12)]
        for done in (20, 40, 60):
            for each in running:
                await e.until(each.id, lambda s, done=done: (s.cursor_ms or 0) >= START_MS + done * MINUTE)
            os.kill(e.supervisor.strategies.pids[-1], signal.SIGKILL)
        await assert_undisturbed(e, running, await e.digest(alone.id))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"symbols": ("BTCUSDT", "ETHUSDT"), "extra_timeframes": ("5m",), "gap_policy": "fill"},
        {"start_ms": START_MS + 20 * MINUTE, "warmup_candles": 20, "terms": Terms(record="trades", fill="same_close")},
    ],
)
async def test_a_strategy_writes_the_same_log_in_a_child(
    database: Database, tmp_path: Path, changes: dict[str, Any]
) -> None:
    text = "from app.strategies.sma_cross import SmaCross\nclass Mine(SmaCross): pass\nMine.__name__ = 'SmaCross'\n"
    write(tmp_path, "mine", text)  # The name stands in the log.
    config = {"fast": 3, "slow": 8}
    missing = {30, 31, 99} if "gap_policy" in changes else set()
    async with engine(database, strategies=(str(tmp_path),), **QUICK) as e:
        for symbol in ("BTCUSDT", "ETHUSDT"):
            await store(e.pool, symbol=symbol, without=missing.__contains__)
        inside = await e.finished((await e.start(profile_slug="sma_cross", config=config, **changes)).id)
        child = await e.finished((await e.start(profile_slug="mine", config=config, **changes)).id)
        assert (inside.status, child.status) == ("finished", "finished"), child.error
        assert await e.digest(child.id) == await e.digest(inside.id)
        assert child.candles_hash == inside.candles_hash


async def test_an_unpaced_session_of_a_slow_strategy_can_be_followed(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "bad", misbehaving("pass").replace("self._seen += 1", "self._seen += 1; time.sleep(0.03)"))
    async with engine(database, strategies=(str(tmp_path),), **QUICK) as e:
        await store(e.pool, count=1000)
        session = await e.start(profile_slug="bad", end_ms=START_MS + 1000 * MINUTE)
        await e.until(session.id, lambda row: row.cursor_ms is not None)  # Its process has to start first.
        done = {await slots_done(e, session)}
        deadline = time.monotonic() + 5
        while len(done) < 3:  # Half of its candles alone would take fifteen seconds.
            assert time.monotonic() < deadline, done
            done.add(await slots_done(e, session))
            await asyncio.sleep(0.02)
        assert min(done) == 5
        assert all(later - sooner <= 60 for sooner, later in pairwise(sorted(done)))


SLOW = """
import time

class Slow(Strategy):
    def on_candle(self, candle):
        time.sleep(0.15)
"""


def test_a_child_that_has_died_unheard_is_gone_for_whoever_asks(tmp_path: Path) -> None:
    uvloop.run(ask_behind_a_closed_pipe(tmp_path))  # As a server does; asyncio's own loop would only log it.


async def ask_behind_a_closed_pipe(tmp_path: Path) -> None:
    children = Children(Settings(strategies=str(tmp_path)))
    try:
        child = await children.child({})
        os.kill(child.pid, signal.SIGSTOP)
        asked = [child.ask({"call": "hello"}, 60)]
        child._process.stdin.transport.abort()  # type: ignore[union-attr]
        await asyncio.sleep(0.05)
        assert not child.gone
        asked.append(child.ask({"call": "hello"}, 60))
        child.kill()
        for each in asked:
            with pytest.raises(ChildGone):
                await each
    finally:
        await children.close()


@pytest.mark.parametrize("more", ["time.sleep(0.15)", "pass"])
async def test_a_strategy_that_closes_its_pipe_fails_and_the_others_go_on(
    database: Database, tmp_path: Path, more: str
) -> None:
    write(tmp_path, "good", GOOD)
    write(tmp_path, "bad", misbehaving(f"[os.close(number) for number in (3, 4)]; {more}", at=5))
    async with engine(database, strategies=(str(tmp_path),), **QUICK) as e:
        await store(e.pool)
        alone = await e.finished((await e.start(profile_slug="good")).id)
        running = [await e.start(profile_slug="good", pace=Pace(20)) for _ in range(2)]
        bad = await e.finished((await e.start(profile_slug="bad")).id)
        assert bad.status == "failed"
        assert bad.error is not None
        assert "process" in bad.error
        await assert_undisturbed(e, running, await e.digest(alone.id))


async def test_haunted_children_are_shared_once_there_are_enough(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    write(tmp_path, "leaves", THREAD)
    async with engine(database, strategies=(str(tmp_path),), **QUICK) as e:
        await store(e.pool, count=1000)
        for _ in range(4):
            await e.start(profile_slug="good", pace=Pace(50), end_ms=START_MS + 1000 * MINUTE)
            await e.finished((await e.start(profile_slug="leaves")).id)
        assert len(e.supervisor.strategies.pids) <= 3  # One looks at code.


async def test_slow_strategies_leave_the_others_their_pace(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    write(tmp_path, "slow", SLOW)
    async with engine(database, strategies=(str(tmp_path),), **QUICK) as e:
        await store(e.pool, count=1000)
        until = {"end_ms": START_MS + 1000 * MINUTE}
        quick = await e.start(profile_slug="good", pace=Pace(10), **until)
        await e.until(quick.id, lambda row: row.cursor_ms is not None)
        slow = [await e.start(profile_slug="slow", **until) for _ in range(2)]
        for each in slow:
            await e.until(each.id, lambda row: (row.cursor_ms or 0) >= START_MS + 3 * MINUTE)
        later = await e.start(profile_slug="good", pace=Pace(10), **until)
        before = [await slots_done(e, each) for each in (quick, later)]
        await asyncio.sleep(3)
        done = [await slots_done(e, each) for each in (quick, later)]
        # Alone they would do 300 each; a round through a child with two slow ones takes 0.3 s, so 10.
        assert all(now - then >= 100 for now, then in zip(done, before, strict=True)), (before, done)
        for each in slow:
            assert (await e.get(each.id)).status == "running"
            await e.act(each.id, "stop")


async def test_ta_lib_computes_for_a_strategy(database: Database, tmp_path: Path) -> None:
    write(
        tmp_path,
        "technical",
        """
import numpy
import talib

class Technical(Strategy):
    def on_start(self):
        self._closes = []

    def on_candle(self, candle):
        self._closes.append(float(candle.close))
        if len(self._closes) >= 5:
            closes = numpy.array(self._closes[-5:])
            average = talib.SMA(closes, 5)[-1]
            self.plot("average", average)
            self.plot("seen", closes.size + numpy.int64(1))
            if candle.close > average and not self.position.qty:
                self.buy(qty=numpy.float32(0.1), limit=average * 0.999, reason="above")
                self.signal("LONG", "above", average=average)
""",
    )
    async with engine(database, strategies=(str(tmp_path),), **{**QUICK, "candle_timeout_ms": 1000}) as e:
        await store(e.pool, count=50)
        session = await e.finished((await e.start(profile_slug="technical", end_ms=START_MS + 50 * MINUTE)).id)
        assert session.status == "finished", session.error
        log = await e.log(session.id)
    closes = [event["payload"]["candle"]["close"] for event in log if event["type"] == "candle"]
    averages = [event["payload"]["value"] for event in log if event["payload"].get("name") == "average"]
    assert averages == pytest.approx([sum(closes[n : n + 5]) / 5 for n in range(46)], rel=1e-12)
    orders = [event["payload"] for event in log if event["type"] == "order"]
    assert {order["qty"] for order in orders} == {0.1}


THREAD = """
import threading, time

class Leaves(Strategy):
    def on_start(self):
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()

    def on_candle(self, candle):
        pass
"""


async def test_a_thread_ends_with_the_last_session_of_its_child(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    write(tmp_path, "leaves", THREAD)
    async with engine(database, strategies=(str(tmp_path),), **QUICK) as e:
        await store(e.pool, count=1000)
        quick = await e.start(profile_slug="good", pace=Pace(50), end_ms=START_MS + 1000 * MINUTE)
        await e.until(quick.id, lambda row: row.cursor_ms is not None)
        before = set(e.supervisor.strategies.pids)
        assert (await e.finished((await e.start(profile_slug="leaves")).id)).status == "finished"
        deadline = time.monotonic() + 10
        while before == set(e.supervisor.strategies.pids):  # Once it is known, nobody new comes beside the thread.
            assert time.monotonic() < deadline
            assert (await e.finished((await e.start(profile_slug="good")).id)).status == "finished"
        assert before < set(e.supervisor.strategies.pids)
        assert (await e.get(quick.id)).status == "running"
        await e.act(quick.id, "stop")
        deadline = time.monotonic() + 5
        while len(before & set(e.supervisor.strategies.pids)) > 1:  # One looks at code.
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


async def test_pausing_at_an_event_is_exact_in_a_child(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    async with engine(database, strategies=(str(tmp_path),), **QUICK) as e:
        await store(e.pool)
        whole = await e.finished((await e.start(profile_slug="good")).id)
        session = await e.create(profile_slug="good")
        while (await e.get(session.id)).status != "finished":
            await e.act(session.id, "runUntil", event_type="trade")
            paused = await e.until(session.id, lambda s: s.status != "running")
            if paused.status == "paused":
                assert "trade" in [event["type"] for event in (await e.log(session.id))[-6:]]
        assert await e.digest(session.id) == await e.digest(whole.id)


async def test_changed_code_is_refused_at_resume(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "helper", "LEAST = 3\n")
    good = write(tmp_path, "good", "from helper import LEAST\n" + GOOD)
    async with engine(database, strategies=(str(tmp_path),), **QUICK) as e:
        await store(e.pool)
        session = await e.create(profile_slug="good")
        await e.act(session.id, "step", steps=50)
        paused = await e.until(session.id, lambda s: s.status == "paused")
        for path, text in ((good, good.read_text() + "# new\n"), (tmp_path / "helper.py", "LEAST = 4\n")):
            before = path.read_text()
            path.write_text(text)
            with pytest.raises(Changed) as caught:
                await e.act(session.id, "resume")
            assert caught.value.code == "strategy_changed"
            path.write_text(before)
        await e.act(session.id, "resume")
        assert (await e.finished(session.id)).status == "finished"
        assert paused.strategy_hash is not None


async def test_code_that_cannot_be_used_is_reported_and_disturbs_nothing_else(
    database: Database, tmp_path: Path
) -> None:
    write(tmp_path, "good", GOOD)
    write(tmp_path, "syntax", "def (:\n")
    write(tmp_path, "missing", "import not_there_at_all\n")
    write(tmp_path, "ends", "import os; os._exit(0)\n")
    write(tmp_path, "taken", "class SmaCross(Strategy): pass\n")
    write(tmp_path, "again", "class Good(Strategy): pass\n")
    write(tmp_path, "none_at_all", "class NotOne: pass\n")
    places = (str(tmp_path), "json:JSONDecoder", "nowhere.at.all:Thing", "not a place")
    async with engine(database, strategies=places, **QUICK) as e:
        await e.supervisor.strategies.look()
        faults = {Path(each.label).name: each.sentence for each in e.supervisor.strategies.faults}
        listed = [each.slug for each in await e.supervisor.strategies.every(e.pool) if each.source == "folder"]
    assert listed == ["good"]
    assert {name: sentence.partition(":")[0] for name, sentence in faults.items()} == {
        "syntax.py": "SyntaxError",
        "missing.py": "ModuleNotFoundError",
        "ends.py": "It could not be imported",
        "taken.py": "sma_cross is the name of a built-in strategy; call yours something else.",
        "good.py": f"good is the name of the strategy in {tmp_path}/again.py already; call yours something else.",
        "json:JSONDecoder": "TypeError",
        "nowhere.at.all:Thing": "There is no module named nowhere.",
        "not a place": "It is neither a folder nor module",
    }


async def test_a_fork_goes_on_with_a_strategy_of_ones_own_and_back(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    cross = {"profile_slug": "sma_cross", "config": {"fast": 3, "slow": 8}}
    async with engine(database, strategies=(str(tmp_path),), **QUICK) as e:
        await store(e.pool)
        for first, second in (({"profile_slug": "good", "config": {}}, cross), (cross, {"profile_slug": "good"})):
            whole = await e.finished((await e.start(**first)).id)
            same = await e.sim.fork(USER, whole.id, 150, lambda spec: spec)
            other = await e.sim.fork(USER, whole.id, 150, lambda spec, to=second: replace(spec, **{"config": {}} | to))
            for fork in (same, other):
                await e.sim.start(USER, fork.id)
                ended = await e.finished(fork.id)
                assert ended.status == "finished", (ended.error, ended.error_details)
            assert await e.digest(same.id) == await e.digest(whole.id)
            assert await e.digest(other.id) != await e.digest(whole.id)
            assert (await e.log(other.id))[: other.fork_seq] == (await e.log(whole.id))[: other.fork_seq]


async def test_code_of_ones_own_is_never_imported_into_the_server(database: Database, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    deed = f"open({str(notes)!r}, 'a').write(f'{{os.getpid()}} {{sorted(os.environ)}}\\n')"
    write(tmp_path / "code", "good", f"import os\nprint('noise')\n{deed}\n{GOOD}")
    async with engine(database, strategies=(str(tmp_path / "code"),), **QUICK) as e:
        await store(e.pool)
        assert (await e.finished((await e.start(profile_slug="good")).id)).status == "finished"
    written = notes.read_text().splitlines()
    assert written
    assert str(os.getpid()) not in {line.split()[0] for line in written}
    assert not any("DATABASE_URL" in line or "ZEON_" in line for line in written)


async def test_hash_seeds_and_rebuilds_leave_the_log_alone(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "sets", SETS)
    digests = set()
    for seed in ("0", "7"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)  # The children's: that of this process is fixed by now.
        async with engine(database, strategies=(str(tmp_path),), **QUICK) as e:
            await store(e.pool)
            whole = await e.finished((await e.start(profile_slug="sets")).id)
            cut = await e.start(profile_slug="sets", pace=Pace(10))
            for done in (20, 50, 80):
                await e.until(cut.id, lambda s, done=done: s.cursor_ms and s.cursor_ms >= START_MS + done * MINUTE)
                await e.act(cut.id, "pause")
                await e.act(cut.id, "resume")
            ended = await e.finished(cut.id)
            assert (whole.status, ended.status) == ("finished", "finished"), (whole.error, ended.error)
            digests |= {await e.digest(whole.id), await e.digest(cut.id)}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("slug", "strategy", "config", "sentence"),
    [
        ("good", "good", {}, "good is the name of a strategy"),
        ("none", "good", {}, "none is the name of a strategy"),
        ("No", "good", {}, "No cannot be a profile"),
        ("x", "goood", {}, "did you mean good?"),
        ("x", "good", {"fats": 1}, "did you mean fast?"),
        ("x", "good", {"fast": "many"}, r"config\.fast"),
        ("x", "sma_cross", {"fast": "many"}, r"config\.fast"),
    ],
)
async def test_a_profile_that_is_none_is_refused(
    database: Database, tmp_path: Path, slug: str, strategy: str, config: dict[str, Any], sentence: str
) -> None:
    write(tmp_path, "good", GOOD)
    async with engine(database, strategies=(str(tmp_path),), **QUICK) as e:
        with pytest.raises(BadInput, match=sentence):
            await e.supervisor.strategies.add(e.pool, Profile(slug, strategy, config))
