"""Forks at seqs all over a session's log; shared with the chaos runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from app.clock import Clock
from app.domain.session import Pace, SessionSpec
from app.domain.trading.settings import TradingSettings
from app.engine.replay.verify import verify
from tests.integration.engine.test_engine import assert_sound
from tests.integration.engine.test_fork import parent, unchanged
from tests.support.postgres import Database
from tests.support.running_engine import USER, running_engine

CHANGES: Sequence[dict[str, Any]] = (
    {"config": {"fast": 2, "slow": 5}},
    {"profile_slug": "ema_state", "config": {"fast": 3, "slow": 8}},
    {"trading": TradingSettings(maker_fee_bps=Decimal(1), taker_fee_bps=Decimal(50))},
    {"trading": TradingSettings(fill="same_close")},
    {"pace": Pace(1)},
    {"profile_slug": "none", "config": {}},
)
"""What forks of a session of `sma_cross` do differently, by turns."""


async def forked_alike(database: Database, every: int, changes: dict[str, Any]) -> None:
    """Fork at every so many seqs; each fork has its parent's log up to `forkSeq`, and run on the same digest."""
    async with running_engine(database) as engine:
        whole = await parent(engine, **changes)
        log, digest = await engine.log(whole.id), await engine.digest(whole.id)
        for at_seq in range(0, whole.last_seq + 1, every):
            fork = await engine.sim.fork(USER, whole.id, at_seq, unchanged)
            shared = await engine.log(fork.id)
            assert fork.fork_seq >= at_seq
            assert shared[: fork.fork_seq] == log[: fork.fork_seq]
            assert [x["payload"]["reason"] for x in shared[fork.fork_seq :]] == ["forked"]
            await engine.sim.start(USER, fork.id)
            done = await engine.finished(fork.id)
            assert done.status == "finished", (at_seq, done.error, done.error_details)
            assert await engine.digest(fork.id) == digest, at_seq
            assert done.candles_hash == whole.candles_hash
            assert_sound(await engine.log(fork.id))


async def forked_differently(database: Database, every: int) -> None:
    """Fork at every so many seqs with changes; each fork steps, pauses, resumes, finishes and verifies."""
    async with running_engine(database) as engine:
        whole = await parent(engine)
        log = await engine.log(whole.id)
        for number, at_seq in enumerate(range(0, whole.last_seq + 1, every)):
            changes = CHANGES[number % len(CHANGES)]

            def change(spec: SessionSpec, changes: dict[str, Any] = changes) -> SessionSpec:
                return replace(spec, **changes)

            fork = await engine.sim.fork(USER, whole.id, at_seq, change)
            await engine.act(fork.id, "step", steps=3)
            at = await engine.until(fork.id, lambda s: s.status != "running")
            if at.status == "paused":
                await engine.act(fork.id, "resume")
            done = await engine.finished(fork.id)
            assert done.status == "finished", (at_seq, changes, done.error, done.error_details)
            assert (await engine.log(fork.id))[: fork.fork_seq] == log[: fork.fork_seq]
            result = await verify(engine.pool, Clock(), engine.sim.strategies, USER, fork.id)
            assert (result.difference, result.warnings) == (None, []), (at_seq, changes)
