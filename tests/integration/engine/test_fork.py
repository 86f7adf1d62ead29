"""Forks: the past is shared, the future is the fork's own, and nothing is lost on the way."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from app.db.log.stats import stats
from app.domain.session import Pace, SessionSpec
from app.domain.trading.settings import TradingSettings
from app.errors import SeqAheadError
from tests.integration.strategies.test_strategies import CROSS, interrupted
from tests.support.postgres import Database
from tests.support.running_engine import USER, Engine, running_engine, store


def unchanged(spec: SessionSpec) -> SessionSpec:
    return spec


async def parent(engine: Engine, **changes: Any) -> Any:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        await store(engine.pool, symbol=symbol, without={30, 31, 55, 98, 99}.__contains__)
    session = await engine.finished((await engine.start(**{**CROSS, "gap_policy": "skip", **changes})).id)
    assert session.status == "finished", session.error
    return session


@pytest.mark.parametrize(
    "changes",
    [
        {"profile_slug": "ema_state", "config": {"fast": 3, "slow": 8}},
        {"config": {"fast": 2, "slow": 5}},
        {"trading": TradingSettings(taker_fee_bps=Decimal(50))},
        {"trading": TradingSettings(fill="same_close")},
        {"profile_slug": "none", "config": {}},
    ],
)
async def test_a_fork_with_other_settings_resumes_and_survives_its_parent(
    database: Database, changes: dict[str, Any]
) -> None:
    async with running_engine(database) as engine:
        whole = await parent(engine)
        fork = await engine.sim.fork(USER, whole.id, whole.last_seq // 2, lambda spec: replace(spec, **changes))
        twin = await engine.sim.fork(USER, whole.id, whole.last_seq // 2, lambda spec: replace(spec, **changes))
        await engine.sim.delete(USER, whole.id)
        await engine.sim.start(USER, fork.id)
        done = await engine.finished(fork.id)
        assert done.status == "finished", (done.error, done.error_details)
        assert fork.fork_seq is not None
        assert {x["type"] for x in (await engine.log(fork.id))[fork.fork_seq :]} >= {"status", "candle"}
        await engine.act(twin.id, "pace", Pace(1))
        await engine.sim.start(USER, twin.id)
        cut = await interrupted(engine, twin)
        assert cut.status == "finished", (cut.error, cut.error_details)
        assert await engine.digest(twin.id) == await engine.digest(fork.id)


async def test_a_fork_of_a_fork_keeps_the_whole_lineage(database: Database) -> None:
    async with running_engine(database) as engine:
        whole = await parent(engine)
        first = await engine.sim.fork(USER, whole.id, 60, lambda spec: replace(spec, config={"fast": 2, "slow": 5}))
        await engine.sim.start(USER, first.id)
        await engine.finished(first.id)
        second = await engine.sim.fork(
            USER, first.id, 150, lambda spec: replace(spec, profile_slug="ema_revert", config={})
        )
        assert [ancestor.profile_slug for ancestor in second.lineage] == ["sma_cross", "sma_cross"]
        await engine.sim.start(USER, second.id)
        done = await engine.finished(second.id)
        assert done.status == "finished", (done.error, done.error_details)
        back = await engine.sim.fork(USER, first.id, 20, unchanged)
        assert len(back.lineage) == 1


async def test_a_fork_in_the_past_that_its_parent_shares_remembers_who_wrote_that(database: Database) -> None:
    async with running_engine(database) as engine:
        whole = await parent(engine)
        first = await engine.sim.fork(USER, whole.id, 150, lambda spec: replace(spec, config={"fast": 2, "slow": 5}))
        back = await engine.sim.fork(USER, first.id, 100, unchanged)
        assert [(ancestor.session_id, ancestor.to_seq, ancestor.config) for ancestor in back.lineage] == [
            (whole.id, back.fork_seq, whole.spec.config)
        ]
        await engine.sim.start(USER, back.id)
        done = await engine.finished(back.id)
        assert done.status == "finished", (done.error, done.error_details)


async def test_a_diff_has_the_position_the_events_and_the_results(database: Database) -> None:
    async with running_engine(database) as engine:
        whole = await parent(engine)
        fork = await engine.sim.fork(USER, whole.id, 60, lambda spec: replace(spec, config={"fast": 2, "slow": 5}))
        await engine.sim.start(USER, fork.id)
        await engine.finished(fork.id)
        result = await engine.sim.diff(USER, whole.id, fork.id)
        assert result.first_difference is not None
        assert result.first_difference.seq_b is not None
        assert result.first_difference.seq_b > fork.fork_seq
        assert result.first_difference.event_a != result.first_difference.event_b
        figures = [(await engine.pool.run(stats, session.id)).figures for session in (whole, fork)]
        results = {row.figure: row for row in result.results}
        assert {"equity", "return_pct", "trades", "fees", "max_drawdown_pct"} <= set(results)
        assert results["trades"].difference != 0
        for name, result_row in results.items():
            assert [result_row.value_a, result_row.value_b] == [side[name] for side in figures], name
            both = result_row.value_a is not None and result_row.value_b is not None
            assert result_row.difference == (result_row.value_b - result_row.value_a if both else None), name
        same = await engine.sim.diff(USER, whole.id, whole.id)
        assert same.first_difference is None
        assert all(not row.difference for row in same.results)


async def test_a_seq_ahead_of_the_log_cannot_be_forked_at(database: Database) -> None:
    async with running_engine(database) as engine:
        whole = await parent(engine)
        with pytest.raises(SeqAheadError):
            await engine.sim.fork(USER, whole.id, whole.last_seq + 1, unchanged)


@pytest.mark.parametrize("slug", ["none", "ema_state", "sma_cross"])
async def test_changed_code_of_an_ancestor_that_computes_the_same_log_lets_a_fork_go_on(
    database: Database, slug: str
) -> None:
    async with running_engine(database) as engine:
        whole = await parent(engine)
        fork = await engine.sim.fork(USER, whole.id, 150, lambda spec: replace(spec, profile_slug=slug, config={}))
        assert [ancestor.strategy_hash for ancestor in fork.lineage] == [whole.strategy_hash]
        early = await engine.sim.fork(USER, whole.id, 1, lambda spec: replace(spec, profile_slug=slug, config={}))
        for session in (fork, early):
            database.query(
                "UPDATE sim_sessions SET lineage = jsonb_set(lineage, '{0,strategyHash}', '\"other\"')"
                " WHERE id = %s RETURNING id",
                session.id,
            )
        for session in (fork, early):
            await engine.sim.start(USER, session.id)
            assert (await engine.finished(session.id)).status == "finished"
        (ancestor,) = (await engine.get(fork.id)).lineage
        assert ancestor.strategy_hash == whole.strategy_hash
        actions = [[event["payload"].get("action") for event in await engine.log(s.id)] for s in (fork, early)]
        assert ["codeChanged" in of for of in actions] == [True, False], "nothing of the other was written by that code"


async def test_a_fork_created_before_code_hashes_were_stored_continues(database: Database) -> None:
    async with running_engine(database) as engine:
        whole = await parent(engine)
        fork = await engine.sim.fork(USER, whole.id, 150, unchanged)
        database.query(
            "UPDATE sim_sessions SET lineage = jsonb_build_array((lineage -> 0) - 'strategyHash')"
            " WHERE id = %s RETURNING id",
            fork.id,
        )
        await engine.sim.start(USER, fork.id)
        assert (await engine.finished(fork.id)).status == "finished"
        assert await engine.digest(fork.id) == await engine.digest(whole.id)
