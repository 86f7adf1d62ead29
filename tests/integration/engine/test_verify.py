"""Verification computes a log again from its candles, and finds events that were changed afterwards."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from app.clock import Clock
from app.db.log import simulated_events
from app.domain.event import Event
from app.domain.session import Pace, Session
from app.domain.trading.settings import TradingSettings
from app.engine.replay import rebuild
from app.engine.replay.verify import VerifyResult, verify
from app.errors import DivergedError
from tests.integration.engine.test_fork import parent
from tests.integration.strategies.test_strategies import CROSS
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, USER, Engine, running_engine, store

HOLES: Any = {30, 31, 55, 98, 99}.__contains__
LONGER = {"symbols": ("BTCUSDT", "ETHUSDT"), "extra_timeframes": ("5m",), "gap_policy": "fill"}
NONE = {"profile_slug": "none", "config": {}}


@pytest.fixture(params=["long", "short"], autouse=True)
def chunk_sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a chunk of the log end anywhere: inside a slot, after its candles, before its equity."""
    if request.param == "short":
        for name, value in {
            "_SLOTS_PER_CALL": 5,
            "_FIRST_EVENTS": 7,
            "_MAX_EVENTS": 7,
            "_MAX_CHARACTERS": 1_000,
        }.items():
            monkeypatch.setattr(rebuild, name, value)


async def verified(engine: Engine, session_id: Any) -> VerifyResult:
    return await verify(engine.pool, Clock(), engine.sim.strategies, USER, session_id, engine.sim.calendars)


def tamper(database: Database, session_id: Any, chosen: str, change: str) -> int:
    """Change the first event that `chosen` fits, as only the owner of the tables can; returns its seq."""
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        row = owner.execute(
            f"UPDATE sim_events SET {change} WHERE session_id = %s AND seq = (SELECT min(seq) FROM sim_events"
            f" WHERE session_id = %s AND {chosen}) RETURNING seq",
            (session_id, session_id),
        ).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(
    "changes",
    [{}, NONE, {"trading": TradingSettings(record="trades")}, LONGER, {**LONGER, **NONE}, {"end_ms": None, **NONE}],
    ids=["strategy", "none", "trades", "longer", "none longer", "endless"],
)
async def test_a_session_computes_its_log_again(database: Database, changes: dict[str, Any]) -> None:
    async with running_engine(database) as engine:
        if changes.get("end_ms", 0) is None:
            await store(engine.pool, without=HOLES)
            session = await engine.start(**{**CROSS, "gap_policy": "skip", **changes})
            await engine.until(session.id, lambda s: s.cursor_ms == START_MS + 97 * MINUTE)
            assert (await verified(engine, session.id)).digest is None
            await engine.act(session.id, "pause")
        else:
            session = await parent(engine, **changes)
        result = await verified(engine, session.id)
        assert (result.difference, result.warnings) == (None, [])
        assert result.digest == await engine.digest(session.id)


async def test_a_paused_session_is_verified_up_to_its_cursor_and_a_new_one_has_nothing_to_verify(
    database: Database,
) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.create(**CROSS)
        assert (await verified(engine, session.id)).difference is None
        for record in ("full", "trades"):
            session = await engine.create(**CROSS, trading=TradingSettings(record=record))
            await engine.act(session.id, "step", steps=37)
            await engine.until(session.id, lambda s: s.status == "paused")
            result = await verified(engine, session.id)
            assert (result.difference, result.warnings) == (None, [])


async def test_forks_are_verified_one_ancestor_after_the_other(database: Database) -> None:
    async with running_engine(database) as engine:
        whole = await parent(engine)
        changes: list[dict[str, Any]] = [
            {"profile_slug": "ema_state", "config": {"fast": 3, "slow": 8}},
            {"trading": TradingSettings(taker_fee_bps=Decimal(50))},
            NONE,
        ]
        latest = whole
        for at_seq, change in zip((60, 120, 180), changes, strict=True):
            latest = await engine.sim.fork(USER, latest.id, at_seq, lambda spec, change=change: replace(spec, **change))
            assert (await verified(engine, latest.id)).difference is None
            await engine.sim.start(USER, latest.id)
            assert (await engine.finished(latest.id)).status == "finished"
            result = await verified(engine, latest.id)
            assert (result.difference, result.warnings) == (None, [])
        seq = tamper(database, latest.id, "type = 'equity' AND seq > 70", "payload = jsonb_set(payload, '{cash}', '1')")
        result = await verified(engine, latest.id)
        assert result.difference is not None
        assert result.difference["seq"] == seq
        assert result.difference["logged"]["payload"]["cash"] == 1
        assert result.difference["computed"]["payload"]["cash"] != 1


@pytest.mark.parametrize(
    ("changes", "chosen", "change"),
    [
        ({}, "type = 'gap'", "payload = jsonb_set(payload, '{missing}', '7')"),
        (LONGER, "payload ? 'synthetic'", "payload = jsonb_set(payload, '{candle,close}', '1')"),
        (LONGER, "payload ->> 'timeframe' = '5m'", "payload = jsonb_set(payload, '{candle,high}', '1e9')"),
        (LONGER, "type = 'candle'", "ts = ts - 1"),
        (None, "type = 'candle' AND seq > 50", "type = 'note'"),
    ],
    ids=["gap", "synthetic", "longer candle", "time", "hole"],
)
async def test_without_a_strategy_too_a_changed_event_is_reported(
    database: Database, changes: dict[str, Any] | None, chosen: str, change: str
) -> None:
    async with running_engine(database) as engine:
        if changes is None:
            await store(engine.pool)
            session = await engine.finished((await engine.start()).id)
        else:
            session = await parent(engine, **{**changes, **NONE})
        seq = tamper(database, session.id, chosen, change)
        result = await verified(engine, session.id)
        assert result.difference is not None
        assert result.difference["seq"] == (seq + 1 if changes is None else seq)
        assert result.difference["logged"] != result.difference["computed"]


@pytest.mark.parametrize("type_", ["type || ' x'", "E'log\\nx'", "'candle'", "E'candle\\n'", "'candle {'"])
@pytest.mark.parametrize("chosen", ["type = 'signal'", "type = 'equity' AND seq > 100"])
async def test_an_event_of_another_type_is_reported(database: Database, chosen: str, type_: str) -> None:
    async with running_engine(database) as engine:
        session = await parent(engine)
        seq = tamper(database, session.id, chosen, f"type = {type_}")
        result = await verified(engine, session.id)
        assert result.difference is not None
        assert result.difference["seq"] == seq


async def test_a_difference_before_a_gap_is_reported_first(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.finished((await engine.start(**CROSS)).id)
        hole = tamper(database, session.id, "type = 'candle' AND seq > 150", "type = 'note'")
        result = await verified(engine, session.id)
        assert result.difference is not None
        assert result.difference["seq"] == hole + 1
        seq = tamper(
            database, session.id, "type = 'equity' AND seq > 20", "payload = jsonb_set(payload, '{cash}', '1')"
        )
        result = await verified(engine, session.id)
        assert result.difference is not None
        assert result.difference["seq"] == seq


async def test_a_difference_after_a_given_seq_has_its_own_seq(database: Database) -> None:
    async with running_engine(database) as engine:
        session = await parent(engine)
        begun = await engine.pool.run(simulated_events.seq_of, session.id, 30)
        behind = await engine.pool.run(simulated_events.read_page, session.id, begun, 10_000)
        assert behind is not None
        computed = [Event(int(ts), type_, body) for ts, type_, body in (line.split(" ", 2) for line in behind.lines)]
        await check(engine, session, begun, computed)
        changed = computed[40]._replace(ts=computed[40].ts + 1)
        with pytest.raises(DivergedError) as raised:
            await check(engine, session, begun, [*computed[:40], changed, *computed[41:]])
        assert raised.value.details["seq"] == await engine.pool.run(simulated_events.seq_of, session.id, 30 + 41)


async def check(engine: Engine, session: Session, after_seq: int, computed: list[Event]) -> None:
    comparer = rebuild.LogComparer(engine.pool, session, after_seq)
    for start in range(0, len(computed), 6):
        await comparer.add([computed[start : start + 6]], [None])
    await comparer.finish()


async def test_a_log_with_too_few_or_too_many_events_is_found(database: Database) -> None:
    async with running_engine(database) as engine:
        whole = await parent(engine, trading=TradingSettings(record="trades"))
        database.query("SELECT sim_append_event(%s, NULL, 'note', '{}')", whole.id)
        seq = tamper(database, whole.id, "type = 'note'", """type = 'log', payload = '{"message": "x"}'""")
        result = await verified(engine, whole.id)
        assert result.difference is not None
        assert (result.difference["seq"], result.difference["computed"]) == (seq, None)
        tamper(database, whole.id, f"seq = {seq}", "type = 'note'")
        last = f"seq = (SELECT max(seq) FROM sim_events WHERE session_id = '{whole.id}' AND type = 'equity')"
        tamper(database, whole.id, last, "type = 'note'")
        result = await verified(engine, whole.id)
        assert result.difference is not None
        assert (result.difference["seq"], result.difference["computed"]["type"]) == (None, "equity")


async def test_changed_candles_and_code_are_warnings_as_long_as_the_log_is_the_same(database: Database) -> None:
    async with running_engine(database) as engine:
        full, trades = await parent(engine), await parent(engine, trading=TradingSettings(record="trades"))
        at = [START_MS + number * MINUTE for number in (3, 5)]
        database.query("UPDATE market_candles SET volume = volume + 1 WHERE open_time_ms = %s", at[0])
        database.query("DELETE FROM market_candles WHERE open_time_ms = %s AND symbol = 'BTCUSDT'", at[1])
        await store(engine.pool, without=lambda number: number != 30)
        database.query("UPDATE sim_sessions SET strategy_hash = 'x'")
        result = await verified(engine, full.id)
        assert result.difference is None
        messages = [
            "The code of strategy",
            f" at {at[0]} is 5",
            f" at {at[1]} is no longer in the cache",
            " was stored after ",
        ]
        assert len(result.warnings) == len(messages)
        assert all(part in warning for part, warning in zip(messages, result.warnings, strict=True))
        result = await verified(engine, trades.id)
        assert result.warnings[1:] == ["Cached candles that the session has used have changed since."]


async def test_a_session_continues_while_it_is_verified(database: Database) -> None:
    async with running_engine(database) as engine:
        await store(engine.pool)
        session = await engine.start(**CROSS, pace=Pace(5))
        while not (await engine.get(session.id)).ended:
            assert (await verified(engine, session.id)).difference is None
