"""User strategies: discovered, described, run in strategy processes; an error in one affects nothing else."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.db.profiles import Profile
from app.domain.session import Pace, Session
from app.domain.trading.settings import TradingSettings
from app.errors import BadInputError
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, USER, Engine, running_engine, store
from tests.support.strategies import EXAMPLE, GOOD, IMPATIENT, ONE_CHILD, SETS, misbehaving, write


async def failed(engine: Engine, session: Session) -> Session:
    ended = await engine.finished(session.id)
    assert ended.status == "failed"
    return ended


async def test_the_example_runs_in_a_strategy_process(database: Database, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE, tmp_path)
    changes = {"profile_slug": "breakout_with_stop", "config": {"entry": 5, "stop_pct": 0.05}}
    async with running_engine(database, strategies=(str(tmp_path),), children=1) as engine:
        await store(engine.pool, count=500)
        session = await engine.finished((await engine.start(**changes, end_ms=START_MS + 500 * MINUTE)).id)
        assert session.status == "finished", session.error
        log = await engine.log(session.id)
        assert {"signal", "order", "fill", "trade", "plot"} <= {event["type"] for event in log}
        assert len(engine.supervisor.strategies.pids) == 2  # One looks at code, one trades.
        with pytest.raises(BadInputError, match="did you mean entry"):
            await engine.create(**changes | {"config": {"entri": 5}})
        with pytest.raises(BadInputError, match=r"config\.entry: Input should be greater"):
            await engine.create(**changes | {"config": {"entry": 0}})


EVENTS = "self._Strategy__context._events"
"""The events of a slot, which a strategy may write into only on purpose."""

FAULTS = {
    "1 / 0": "ZeroDivisionError: division by zero",
    "raise ValueError('a\\0b\\ud800\\nlast')": "last",
    "sys.exit(3)": "SystemExit: 3",
    "while True: pass": "The strategy took more than 1000 ms for a candle",
    "time.sleep(100)": "The strategy took more than 1000 ms for a candle",
    "self.plot('x', 'rubbish')": "ValueError: 'rubbish' is not a number",
    "self.signal('LONG', 'x', y=float('inf'))": "ValueError: inf is not a finite number",
    "self.buy(limit=float('nan'))": "ValueError: limit is NaN: an indicator has no value yet",
    "self.log('x' * 70_000)": "payload: 70014 bytes, at most 65536 are allowed",
    "[self.log('x' * 60_000) for _ in range(80)]": "bytes at one candle; at most 1,048,576 bytes are allowed",
    f"{EVENTS}.append('rubbish')": "TypeError: the events of the slot contain an object that is not an event",
    "import not_there_at_all": "ModuleNotFoundError: No module named 'not_there_at_all'",
    f"{EVENTS}.extend({EVENTS} * 20_000)": "events in one slot, at most 10000 are allowed",
    "self.buy(sise=3)": "TypeError: an order has no sise",
}
"""What a strategy may do that Python can stop, and what its session says then."""

DEATHS = {
    "os._exit(3)": "The strategy ended its process with exit code 3.",
    "sum(range(10 ** 12))": "The strategy took more than 1000 ms for a candle",
    f"from app.domain.event import Event; {EVENTS}.append(Event(1, 'log', '{{]'))": "corrupted its process",
    "os.write(4, b'rubbish' * 999); time.sleep(9)": "corrupted its process",
    "os.kill(os.getpid(), 9)": "The strategy's process died 3 times at the same candle (signal 9).",
    "sys.hoard = b'x' * (1 << 30)": "The strategy took more than 150 MB of memory.",
}
"""What takes the whole process down, and what the session says then."""


async def test_a_faulty_strategy_fails_its_own_session(database: Database, tmp_path: Path) -> None:
    for number, action in enumerate(FAULTS):
        write(tmp_path, f"bad{number}", misbehaving(action).replace("Bad", f"Bad{number}"))
    write(tmp_path, "good", GOOD)
    async with running_engine(database, strategies=(str(tmp_path),), **IMPATIENT) as engine:
        await store(engine.pool)
        alone = await engine.finished((await engine.start(profile_slug="good")).id)
        beside = [await engine.start(profile_slug="good", pace=Pace(10)) for _ in range(2)]
        pids = engine.supervisor.strategies.pids
        bad = [await engine.start(profile_slug=f"bad{number}") for number in range(len(FAULTS))]
        for session, error in zip(bad, FAULTS.values(), strict=True):
            ended = await failed(engine, session)
            assert error in str(ended.error)
            assert await engine.slots_done(session.id) == 20  # All before the candle it failed at is in its log.
        details = (await engine.get(bad[0].id)).error_details
        assert details is not None
        assert (details["at"], details["candleMs"]) == ("bad0.py:14 in on_candle", START_MS + 20 * MINUTE)
        await engine.undisturbed(beside, await engine.digest(alone.id))
        assert engine.supervisor.strategies.pids == pids


@pytest.mark.parametrize(
    ("action", "error", "said"),
    [
        (
            "__import__('json').loads('x')",
            "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
            None,
        ),
        ("raise ValueError('first\\nlast\\0')", "last?", "ValueError: first\nlast?"),
    ],
)
async def test_an_error_has_the_line_of_the_strategy_and_the_whole_text(
    database: Database, tmp_path: Path, action: str, error: str, said: str | None
) -> None:
    write(tmp_path, "bad", misbehaving(action))
    async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
        await store(engine.pool)
        session = await failed(engine, await engine.start(profile_slug="bad"))
        assert session.error == error
        at = {"at": "bad.py:14 in on_candle", "source": action, "candleMs": START_MS + 20 * MINUTE}
        assert session.error_details == (at if said is None else {**at, "exception": said})


async def test_a_strategy_that_takes_its_process_down_fails_its_own_session(database: Database, tmp_path: Path) -> None:
    for number, action in enumerate(DEATHS):
        write(tmp_path, f"bad{number}", misbehaving(action).replace("Bad", f"Bad{number}"))
    write(tmp_path, "good", GOOD)
    async with running_engine(database, strategies=(str(tmp_path),), strategy_memory_mb=150, **IMPATIENT) as engine:
        await store(engine.pool)
        alone = await engine.finished((await engine.start(profile_slug="good")).id)
        for number, error in enumerate(DEATHS.values()):
            beside = [await engine.start(profile_slug="good", pace=Pace(5)) for _ in range(2)]
            ended = await failed(engine, await engine.start(profile_slug=f"bad{number}"))
            assert error in str(ended.error)
            assert await engine.slots_done(ended.id) <= 20
            await engine.undisturbed(beside, await engine.digest(alone.id))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"symbols": ("BTCUSDT", "ETHUSDT"), "extra_timeframes": ("5m",), "gap_policy": "fill"},
        {
            "start_ms": START_MS + 20 * MINUTE,
            "warmup_candles": 20,
            "trading": TradingSettings(record="trades", fill="same_close"),
        },
    ],
)
async def test_a_strategy_writes_the_same_log_in_a_strategy_process(
    database: Database, tmp_path: Path, changes: dict[str, Any]
) -> None:
    text = "from app.strategies.sma_cross import SmaCross\nclass Mine(SmaCross): pass\nMine.__name__ = 'SmaCross'\n"
    write(tmp_path, "mine", text)  # The name stands in the log.
    config = {"fast": 3, "slow": 8}
    missing = {30, 31, 99} if "gap_policy" in changes else set()
    async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
        for symbol in ("BTCUSDT", "ETHUSDT"):
            await store(engine.pool, symbol=symbol, without=missing.__contains__)
        inside = await engine.finished((await engine.start(profile_slug="sma_cross", config=config, **changes)).id)
        child = await engine.finished((await engine.start(profile_slug="mine", config=config, **changes)).id)
        assert (inside.status, child.status) == ("finished", "finished"), child.error
        assert await engine.digest(child.id) == await engine.digest(inside.id)
        assert child.candles_hash == inside.candles_hash


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
    async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
        await store(engine.pool, count=50)
        session = await engine.finished(
            (await engine.start(profile_slug="technical", end_ms=START_MS + 50 * MINUTE)).id
        )
        assert session.status == "finished", session.error
        log = await engine.log(session.id)
    closes = [event["payload"]["candle"]["close"] for event in log if event["type"] == "candle"]
    averages = [event["payload"]["value"] for event in log if event["payload"].get("name") == "average"]
    assert averages == pytest.approx([sum(closes[n : n + 5]) / 5 for n in range(46)], rel=1e-12)
    orders = [event["payload"] for event in log if event["type"] == "order"]
    assert {order["qty"] for order in orders} == {0.1}


async def test_pausing_at_an_event_is_exact_in_a_strategy_process(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
        await store(engine.pool)
        whole = await engine.finished((await engine.start(profile_slug="good")).id)
        session = await engine.create(profile_slug="good")
        while (await engine.get(session.id)).status != "finished":
            await engine.act(session.id, "runUntil", event_type="trade")
            paused = await engine.until(session.id, lambda s: s.status != "running")
            if paused.status == "paused":
                assert "trade" in [event["type"] for event in (await engine.log(session.id))[-6:]]
        assert await engine.digest(session.id) == await engine.digest(whole.id)


async def test_code_that_cannot_be_used_is_reported_and_affects_nothing_else(
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
    async with running_engine(database, strategies=places, **ONE_CHILD) as engine:
        await engine.supervisor.strategies.refresh()
        problems = {Path(problem.label).name: problem.sentence for problem in engine.supervisor.strategies.problems}
        listed = [
            profile.slug
            for profile in await engine.supervisor.strategies.list_profiles(engine.pool)
            if profile.source == "folder"
        ]
    assert listed == ["good"]
    assert {name: sentence.partition(":")[0] for name, sentence in problems.items()} == {
        "syntax.py": "SyntaxError",
        "missing.py": "ModuleNotFoundError",
        "ends.py": "It could not be imported",
        "taken.py": "sma_cross is the name of a built-in strategy; rename yours.",
        "good.py": f"good is already the name of the strategy in {tmp_path}/again.py; rename yours.",
        "json:JSONDecoder": "TypeError",
        "nowhere.at.all:Thing": "There is no module named nowhere.",
        "not a place": "It is neither a folder, a file nor module",
    }


async def test_a_fork_switches_to_a_user_strategy_and_back(database: Database, tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    cross = {"profile_slug": "sma_cross", "config": {"fast": 3, "slow": 8}}
    async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
        await store(engine.pool)
        for first, second in (({"profile_slug": "good", "config": {}}, cross), (cross, {"profile_slug": "good"})):
            whole = await engine.finished((await engine.start(**first)).id)
            same = await engine.sim.fork(USER, whole.id, 150, lambda spec: spec)
            other = await engine.sim.fork(
                USER, whole.id, 150, lambda spec, to=second: replace(spec, **{"config": {}} | to)
            )
            for fork in (same, other):
                await engine.sim.start(USER, fork.id)
                ended = await engine.finished(fork.id)
                assert ended.status == "finished", (ended.error, ended.error_details)
            assert await engine.digest(same.id) == await engine.digest(whole.id)
            assert await engine.digest(other.id) != await engine.digest(whole.id)
            assert (await engine.log(other.id))[: other.fork_seq] == (await engine.log(whole.id))[: other.fork_seq]


async def test_a_user_strategy_is_never_imported_into_the_server(database: Database, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    action = f"open({str(notes)!r}, 'a').write(f'{{os.getpid()}} {{sorted(os.environ)}}\\n')"
    write(tmp_path / "code", "good", f"import os\nprint('noise')\n{action}\n{GOOD}")
    async with running_engine(database, strategies=(str(tmp_path / "code"),), **ONE_CHILD) as engine:
        await store(engine.pool)
        assert (await engine.finished((await engine.start(profile_slug="good")).id)).status == "finished"
    written = notes.read_text().splitlines()
    assert written
    assert str(os.getpid()) not in {line.split()[0] for line in written}
    assert not any("DATABASE_URL" in line or "ZEON_" in line for line in written)


async def test_hash_seeds_and_rebuilds_do_not_change_the_log(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "sets", SETS)
    digests = set()
    for seed in ("0", "7"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)  # Of the strategy processes: that of this process is fixed by now.
        async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
            await store(engine.pool)
            whole = await engine.finished((await engine.start(profile_slug="sets")).id)
            cut = await engine.create(profile_slug="sets")
            for done in (20, 50, 80):
                await engine.act(cut.id, "runUntil", time_ms=START_MS + done * MINUTE)
                await engine.until(cut.id, lambda s: s.status == "paused")
            await engine.act(cut.id, "resume")
            ended = await engine.finished(cut.id)
            assert (whole.status, ended.status) == ("finished", "finished"), (whole.error, ended.error)
            digests |= {await engine.digest(whole.id), await engine.digest(cut.id)}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("slug", "strategy", "config", "sentence"),
    [
        ("good", "good", {}, "good is the name of a strategy"),
        ("none", "good", {}, "none is the name of a strategy"),
        ("No", "good", {}, "No is not a valid slug"),
        ("x", "goood", {}, "did you mean good?"),
        ("x", "good", {"fats": 1}, "did you mean fast?"),
        ("x", "good", {"fast": "many"}, r"config\.fast"),
        ("x", "sma_cross", {"fast": "many"}, r"config\.fast"),
    ],
)
async def test_an_invalid_profile_is_refused(
    database: Database, tmp_path: Path, slug: str, strategy: str, config: dict[str, Any], sentence: str
) -> None:
    write(tmp_path, "good", GOOD)
    async with running_engine(database, strategies=(str(tmp_path),), **ONE_CHILD) as engine:
        with pytest.raises(BadInputError, match=sentence):
            await engine.supervisor.strategies.add_profile(engine.pool, Profile(slug, strategy, config))
