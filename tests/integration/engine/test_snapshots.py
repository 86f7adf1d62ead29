"""Snapshots: a long session resumes from one, its log is the same, and one that is doubtful is dropped."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.clock import Clock
from app.domain.session import PAUSED, Session
from app.domain.trading.settings import TradingSettings
from app.domain.trading.strategy_runner import StrategyRunner
from app.engine.replay import chunk_builder, snapshots
from app.engine.replay.verify import verify
from app.strategies.registry import BUILT_IN
from app.strategies.versions import VERSIONS
from app.strategy_hosts import remote_host
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, USER, Engine, running_engine, store
from tests.support.strategies import write
from tests.unit.domain.test_snapshot import Busy

COUNT = 300
ASKED: dict[str, Any] = {
    "profile_slug": "busy",
    "end_ms": START_MS + COUNT * MINUTE,
    "trading": TradingSettings(leverage=None, taker_fee_bps=Decimal("7.5")),
}
LATE = START_MS + 207 * MINUTE


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Take snapshots often, and record each from which a trader of this process continues."""
    calls: list[int] = []
    restore = StrategyRunner.restore

    def noted(self: StrategyRunner, snapshot: dict[str, Any]) -> None:
        calls.append(snapshot["progress"][1])
        restore(self, snapshot)

    monkeypatch.setattr(StrategyRunner, "restore", noted)
    monkeypatch.setattr(snapshots, "INTERVAL_SLOTS", 40)
    monkeypatch.setattr(snapshots, "PROOF_SLOTS", 5)
    monkeypatch.setattr(chunk_builder, "_MAX_SLOTS", 7)
    monkeypatch.setitem(BUILT_IN, "busy", Busy)
    monkeypatch.setitem(VERSIONS, "busy", 1)
    return calls


async def paused(engine: Engine, settings: dict[str, Any], at_ms: int = LATE) -> Session:
    """Run a new session up to a time."""
    session = await engine.create(**settings)
    await engine.act(session.id, "runUntil", time_ms=at_ms)
    return await engine.until(session.id, lambda row: row.status == PAUSED)


async def whole_digest(engine: Engine, settings: dict[str, Any]) -> str:
    whole = await engine.finished((await engine.start(**settings)).id)
    assert whole.status == "finished", (whole.error, whole.error_details)
    return await engine.digest(whole.id)


async def resumed_digest(engine: Engine, session: Session) -> str:
    await engine.act(session.id, "resume")
    ended = await engine.finished(session.id)
    assert ended.status == "finished", (ended.error, ended.error_details)
    return await engine.digest(session.id)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"symbols": ("BTCUSDT", "ETHUSDT")},
        {"extra_timeframes": ("5m", "1h"), "gap_policy": "fill"},
        {"trading": TradingSettings(record="trades", leverage=None)},
        {"trading": TradingSettings(volume_share=Decimal("0.001"), leverage=None, fill="same_close")},
        {"profile_slug": "sma_cross", "config": {"fast": 3, "slow": 8, "side": "both"}},
        {"profile_slug": "keltner_revert", "start_ms": START_MS + 20 * MINUTE, "warmup_candles": 20},
    ],
)
async def test_a_session_resumed_from_snapshots_writes_the_same_log(
    database: Database, restored: list[int], changes: dict[str, Any]
) -> None:
    request = {**ASKED, "gap_policy": "skip", **changes}
    async with running_engine(database) as engine:
        for symbol in ("BTCUSDT", "ETHUSDT"):
            await store(engine.pool, symbol=symbol, count=COUNT, without={30, 31, 155, 298, 299}.__contains__)
        expected = await whole_digest(engine, request)
        session = await paused(engine, request, START_MS + 61 * MINUTE)
        for minute in range(75, 280, 17):
            await engine.act(session.id, "runUntil", time_ms=START_MS + minute * MINUTE)
            row = await engine.until(session.id, lambda row: row.status != "running")
            assert row.status == PAUSED, (row.error, row.error_details)
        assert await resumed_digest(engine, session) == expected
        assert len(restored) >= 10
        assert restored == sorted(restored)
        assert len(set(restored)) >= 4, "it goes on from newer ones as they are taken"
        assert database.query("SELECT count(*) FROM sim_snapshots") == [(0,)], "a session that has ended needs none"


OWN = """
from decimal import Decimal

class Own(Strategy):
    def on_start(self):
        self._closes = []

    def on_candle(self, candle):
        self._closes = [*self._closes[-19:], candle.close]
        self.plot("mean", sum(self._closes) / len(self._closes))
        if not self.position.qty and self.rng.random() < 0.2:
            self.buy(cash=100, stop_loss=candle.close * Decimal("0.999"))
        elif self.rng.random() < 0.1:
            self.close()
        {action}
"""
OFFERED = """
    def snapshot(self):
        return {taken}

    def restore(self, kept):
        {put}
"""


async def test_user_strategies_may_offer_snapshots(database: Database, tmp_path: Path) -> None:
    offered = OFFERED.format(taken="self._closes", put="self._closes = kept")
    write(tmp_path, "own", OWN.format(action="pass") + offered)
    request = {**ASKED, "profile_slug": "own"}
    async with running_engine(database, strategies=(str(tmp_path),)) as engine:
        await store(engine.pool, count=COUNT)
        expected = await whole_digest(engine, request)
        session = await paused(engine, request)
        assert database.query("SELECT count(*) FROM sim_snapshots") == [(2,)]
        _tamper(database, session, 200)  # The resume does not read this part: it uses the snapshot.
        await engine.act(session.id, "resume")
        assert (await engine.finished(session.id)).status == "finished"
        again = await paused(engine, request)
        assert await resumed_digest(engine, again) == expected


@pytest.mark.parametrize(
    ("taken", "put"),
    [
        ("None", "pass"),
        ("self._closes[:3]", "self._closes = kept"),
        ("self._closes", "raise ValueError('no')"),
        ("self._closes", "self._closes = kept[1:]"),
        ("{1, 2}", "pass"),
        ("1 / 0", "pass"),
        ("self.buy()", "pass"),
        ("[self.log('x'), self.rng.random()]", "self._closes = kept"),
        ("time.sleep(9)", "pass"),
        ("'x' * 2_000_000", "pass"),
    ],
)
async def test_a_snapshot_that_does_not_lead_to_the_log_is_not_used(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str, put: str
) -> None:
    write(tmp_path, "own", "import time\n" + OWN.format(action="pass") + OFFERED.format(taken=taken, put=put))
    request = {**ASKED, "profile_slug": "own"}
    monkeypatch.setattr(remote_host, "_GRACE_S", 30)
    patience = {"candle_timeout_ms": 200 if "sleep" in taken else 1000}
    async with running_engine(database, strategies=(str(tmp_path),), **patience) as engine:
        await store(engine.pool, count=COUNT)
        expected = await whole_digest(engine, request)
        assert await resumed_digest(engine, await paused(engine, request)) == expected


CORRUPT = {
    "body": "UPDATE sim_snapshots SET body = replace(body, '\"cursorMs\\\"', '\"cursorms\\\"')",
    "digits": "UPDATE sim_snapshots SET body = regexp_replace(body, '7', '8')",
    "rubbish": "UPDATE sim_snapshots SET body = 'rubbish'",
    "hash": "UPDATE sim_snapshots SET body_hash = 'x'",
    "log": "UPDATE sim_snapshots SET log_hash = 'x'",
    "seq": "UPDATE sim_snapshots SET seq = seq + 1",
    "cursor": f"UPDATE sim_snapshots SET cursor_ms = cursor_ms - {MINUTE}",
}


@pytest.mark.parametrize("name", CORRUPT)
async def test_a_corrupt_snapshot_is_ignored(database: Database, name: str) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, count=COUNT)
        expected = await whole_digest(engine, ASKED)
        session = await paused(engine, ASKED)
        with psycopg.connect(database.owner_url) as owner:
            assert owner.execute(CORRUPT[name]).rowcount == 2
        assert await resumed_digest(engine, session) == expected


async def test_a_snapshot_of_another_session_or_of_other_code_is_ignored(
    database: Database, restored: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, count=COUNT)
        expected = await whole_digest(engine, ASKED)
        other, session = [await paused(engine, {**ASKED, "name": name}) for name in ("a", "b")]
        with psycopg.connect(database.owner_url) as owner:
            owner.execute("DELETE FROM sim_snapshots WHERE session_id = %s", (session.id,))
            owner.execute("UPDATE sim_snapshots SET session_id = %s", (session.id,))
        assert await resumed_digest(engine, session) == expected
        assert restored == [], "the very same log, and yet another session's"
        third = await paused(engine, ASKED)
        monkeypatch.setattr(snapshots, "_code_hash", lambda: "newer")
        assert await resumed_digest(engine, third) == expected
        assert restored == []
        assert await resumed_digest(engine, other) == expected


async def test_the_log_after_a_snapshot_is_still_compared_with_what_is_computed(
    database: Database, restored: list[int]
) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, count=COUNT)
        session = await paused(engine, ASKED)
        _tamper(database, session, 1)
        await engine.act(session.id, "resume")
        ended = await engine.finished(session.id)
        assert ended.status == "failed"
        assert ended.error_details["logged"]["payload"]["cash"] == 1
        assert len(restored) == 1
        assert database.query("SELECT count(*) FROM sim_snapshots") == [(0,)]


async def test_revised_candles_make_a_snapshot_invalid(database: Database, restored: list[int]) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, count=COUNT)
        expected = await whole_digest(engine, ASKED)
        session = await paused(engine, ASKED)
        database.query("UPDATE market_candles SET volume = volume + 1 WHERE open_time_ms = %s", START_MS + 9 * MINUTE)
        await engine.act(session.id, "resume", accept_revised=True)
        assert (await engine.finished(session.id)).status == "finished"
        assert await engine.digest(session.id) == expected
        result = await engine.get(session.id)
        assert result.candles_hash != session.candles_hash


async def test_verifying_computes_the_whole_log(database: Database, restored: list[int]) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, count=COUNT)
        session = await paused(engine, ASKED)
        _tamper(database, session, 100)
        result = await verify(engine.pool, Clock(), engine.sim.strategies, USER, session.id, engine.sim.calendars)
        assert result.difference is not None
        assert restored == []


async def test_a_long_log_without_a_snapshot_gets_one_when_it_has_been_computed(
    database: Database, restored: list[int]
) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, count=COUNT)
        expected = await whole_digest(engine, ASKED)
        session = await paused(engine, ASKED)
        with psycopg.connect(database.owner_url) as owner:
            owner.execute("DELETE FROM sim_snapshots")
        for minute in (208, 209, 210, 211, 212, 213, 214):
            await engine.act(session.id, "runUntil", time_ms=START_MS + minute * MINUTE)
            await engine.until(session.id, lambda row: row.status == PAUSED)
        assert restored == [206, 206], "it was taken behind that tick, and used once there were enough behind it"
        assert await resumed_digest(engine, session) == expected


async def test_a_deleted_session_leaves_no_snapshot(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool, count=COUNT)
        session = await paused(engine, ASKED)
        assert database.query("SELECT count(*) FROM sim_snapshots") == [(2,)]
        await engine.sim.delete(USER, session.id)
        assert database.query("SELECT count(*) FROM sim_snapshots") == [(0,)]
        stopped = await paused(engine, ASKED)
        await engine.act(stopped.id, "stop")
        assert database.query("SELECT count(*) FROM sim_snapshots") == [(0,)]


def _tamper(database: Database, session: Session, number: int) -> None:
    """Change the `number`-th equity event from the end, as only the tables' owner can."""
    with psycopg.connect(database.owner_url) as owner:
        changed = owner.execute(
            "UPDATE sim_events SET payload = jsonb_set(payload, '{cash}', '1') WHERE session_id = %s AND seq = ("
            " SELECT seq FROM sim_events WHERE session_id = %s AND type = 'equity'"
            " ORDER BY seq DESC LIMIT 1 OFFSET %s)",
            (session.id, session.id, number - 1),
        )
        assert changed.rowcount == 1
