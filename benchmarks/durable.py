"""A whole session with a strategy, durable in Postgres: against engines in memory, and resumed at its end."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from statistics import median
from typing import Any
from uuid import UUID

from app.db import candles
from app.db.pool import Connection
from app.domain.market.candle import Candle
from app.domain.session import ENDED, FINISHED, PAUSED, SessionSpec
from app.engine import garbage_collection
from app.engine.session_service import Action
from benchmarks import rivals
from benchmarks.environment import USER, BenchDatabase, Engine, engine, spec
from benchmarks.row import Goal, Row, middle
from benchmarks.trading import CANDLES, minutes

ROUNDS = 3
_BEHIND = 1_000
"""Candles behind those that are measured, for a session to go on with."""
_LOOK_S = 0.05
_RIVALS = {"backtrader": (rivals.backtrader, 3), "nautilus_trader": (rivals.nautilus, 1.5)}


async def against(target: BenchDatabase) -> list[Row]:
    """Measure a session of SMA cross 20/50 from its first candle to the end of its range, in turn with the others."""
    note, found = minutes(CANDLES)
    runs = {name: make(found) for name, (make, _) in _RIVALS.items() if find_spec(name)}
    async with engine(target) as running:
        wanted = await _stored(running, found)
        garbage_collection.tune_gc()  # A server holds neither these candles nor what the others make of them.
        await _afresh(running, target, wanted)
        turns = [
            (await _afresh(running, target, wanted), {name: _rate(run) for name, run in runs.items()})
            for _ in range(ROUNDS)
        ]
    what = f"unpaced session, durable, SMA cross 20/50, 200,000 {note} 1m candles"
    rows = []
    for name, (_, bound) in _RIVALS.items():
        if name in runs:
            figure, other = middle([(ours, rates[name]) for ours, rates in turns])
            rows.append(
                Row(what, figure, "candles/s", other, Goal(bound), f"against {name} in memory, in its middle turn")
            )
        else:
            figure = median(ours for ours, _ in turns)
            rows.append(Row(what, figure, "candles/s", None, None, f"not measured: pip install {name}"))
    return rows


async def resume(target: BenchDatabase) -> list[Row]:
    """Measure how long a session takes to go on behind candle 200,000, without and with a snapshot."""
    note, found = minutes(CANDLES + _BEHIND)
    async with engine(target) as running:
        wanted = await _stored(running, found)
        garbage_collection.tune_gc()
        turns = [await _resumed(running, target, wanted, found[CANDLES].open_time_ms) for _ in range(ROUNDS)]
    without, whole = middle([(without, whole) for whole, without, _ in turns])
    kept = median(kept for *_, kept in turns)
    what = f"resume at candle 200,000 of SMA cross, {note}"
    compared = "compared with the log; against the run itself"
    return [
        Row(what, without, "s", whole, Goal(1.0, at_most=True), compared),
        Row(f"{what}, with a snapshot", kept, "s", None, Goal(1.0, at_most=True), "what is behind it is compared"),
    ]


async def _stored(running: Engine, found: Sequence[Candle]) -> SessionSpec:
    """Store candles and return the session over them."""
    await running.database.run(candles.store, "demo", "BTCUSDT", "1m", found)
    first, last = found[0].open_time_ms, found[-1].close_time_ms
    return replace(spec(len(found)), profile_slug="sma_cross", start_ms=first, end_ms=last)


def _rate(run: Callable[[], Any]) -> float:
    gc.collect()
    begun = time.perf_counter()
    run()
    return CANDLES / (time.perf_counter() - begun)


async def _afresh(running: Engine, target: BenchDatabase, wanted: SessionSpec) -> float:
    """Run a session as the first one of a server that has run for a while: its log is empty, nothing is left to do."""
    _empty(target)
    return await _ours(running, wanted)


def _empty(target: BenchDatabase) -> None:
    target.owner("TRUNCATE sim_events")
    target.settle()
    gc.collect()


async def _ours(running: Engine, wanted: SessionSpec) -> float:
    session, _ = await running.sim.create(USER, wanted)
    await running.sim.start(USER, session.id)
    assert await _until(running, session.id, *ENDED) == FINISHED
    return CANDLES / await running.database.run(_took, session.id)


async def _resumed(
    running: Engine, target: BenchDatabase, wanted: SessionSpec, time_ms: int
) -> tuple[float, float, float]:
    """Return how long a run up to a time takes, and its resume without and with a snapshot, in seconds."""
    _empty(target)
    session, _ = await running.sim.create(USER, wanted)
    begun = time.perf_counter()
    await running.sim.act(USER, session.id, Action("runUntil", time_ms=time_ms))
    await _until(running, session.id, PAUSED)
    whole = time.perf_counter() - begun
    kept = await _step(running, session.id)
    target.owner("TRUNCATE sim_snapshots")
    without = await _step(running, session.id)
    return whole, without, kept


async def _step(running: Engine, session_id: UUID) -> float:
    """Return how long a paused session takes to go on by one candle."""
    begun = time.perf_counter()
    await running.sim.act(USER, session_id, Action("step", steps=1))
    await _until(running, session_id, PAUSED)
    return time.perf_counter() - begun


async def _until(running: Engine, session_id: UUID, *statuses: str) -> str:
    """Look at a session's status until it is one of some; reading its log would be work that is not to be measured."""
    while (status := await running.database.run(_status, session_id)) not in statuses:  # noqa: ASYNC110 - a row, not an event
        await asyncio.sleep(_LOOK_S)
    return status


async def _took(connection: Connection, session_id: UUID) -> float:
    """Return the time from the start of a session to its end by the clock of the log, in seconds."""
    cursor = await connection.execute(
        "SELECT extract(epoch FROM max(created_at) - min(created_at))::float AS took FROM sim_events"
        " WHERE session_id = %s AND type = 'status' AND payload ->> 'status' IN ('running', 'finished')",
        (session_id,),
    )
    row = await cursor.fetchone()
    assert row is not None
    return float(row["took"])


async def _status(connection: Connection, session_id: UUID) -> str:
    row = await (await connection.execute("SELECT status FROM sim_sessions WHERE id = %s", (session_id,))).fetchone()
    assert row is not None
    return str(row["status"])
