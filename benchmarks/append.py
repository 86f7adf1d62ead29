"""Appending against COPY of the same rows, and group commit against a commit per tick."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import count

from app.db.log.chunks import Chunk, append_chunks, events_to_json
from app.db.pool import Connection, Database
from app.domain.event import Event
from app.domain.session import Session
from app.engine.replay.writer import Writer
from app.metrics import EngineMetrics
from benchmarks.environment import BenchDatabase, pool, running
from benchmarks.row import Goal, Row, alternate
from benchmarks.ticks import chain, events

BATCH = 1_000
BATCHES = 10
ROUNDS = 9
DUE = 1_000
COPIED = "sim_events_copied"


async def append(target: BenchDatabase) -> list[Row]:
    """Measure batches of 1,000 events, as one tick and as many."""
    target.owner(f"CREATE TABLE {COPIED} (LIKE sim_events INCLUDING ALL)")
    target.owner(f"GRANT INSERT ON {COPIED} TO PUBLIC")
    log = events(BATCH)
    rows = []
    async with pool(target) as database:
        for what, per_tick in (("1,000 events in one tick", BATCH), ("1,000 ticks of one event", 1)):
            bench = _Shape((await database.run(running, 1))[0], log, per_tick)
            ours, reference = await alternate(
                partial(database.run, bench.append), partial(database.run, bench.copy), ROUNDS
            )
            rows.append(Row(f"append, {what}", ours, "events/s", reference, Goal(0.65), "against COPY"))
    return rows


class _Shape:
    """One way to cut a batch into ticks, and the same rows as COPY takes them."""

    def __init__(self, session: Session, log: list[Event], per_tick: int) -> None:
        self._session = session
        self._log = log
        self._per_tick = per_tick
        self._ticks = 0
        self._seqs = count(1)

    async def append(self, connection: Connection) -> float:
        """Append batches, each its own commit; returns events per second, the rendering of the events included."""
        batches = [self._batch() for _ in range(BATCHES)]
        ticks = [self._log[at : at + self._per_tick] for at in range(0, len(self._log), self._per_tick)]
        begun = time.perf_counter()
        for batch in batches:
            assert ",".join([events_to_json(tick) for tick in ticks]) == batch.rows
            outcomes = await append_chunks(connection, [batch])
            assert [outcome.answer for outcome in outcomes] == ["written"], outcomes
        return BATCH * BATCHES / (time.perf_counter() - begun)

    async def copy(self, connection: Connection) -> float:
        """COPY batches of the same rows, rendered beforehand, each its own commit; returns events per second."""
        batches = [self._lines() for _ in range(BATCHES)]
        begun = time.perf_counter()
        for lines in batches:
            async with connection.cursor().copy(
                f"COPY {COPIED} (session_id, seq, ts, type, payload) FROM STDIN"
            ) as copy:
                await copy.write(lines)
        return BATCH * BATCHES / (time.perf_counter() - begun)

    def _batch(self) -> Chunk:
        """Join the next ticks, as a session does before it hands them over."""
        ticks = list(chain(self._session, self._log, self._per_tick, self._ticks))
        self._ticks += len(ticks)
        return ticks[-1]._replace(
            prev_cursor_ms=ticks[0].prev_cursor_ms,
            rows=",".join([tick.rows for tick in ticks]),
            events=len(self._log),
            ticks=len(ticks),
        )

    def _lines(self) -> str:
        return "".join(
            f"{self._session.id}\t{seq}\t{each.ts}\t{each.type}\t{each.body}\n"
            for each, seq in zip(self._log, self._seqs, strict=False)
        )


async def group_commit(target: BenchDatabase) -> list[Row]:
    """Measure 1,000 sessions whose next tick, of three events, is due at once."""
    async with pool(target) as database:
        due = _Due(database, await database.run(running, DUE), events(3))
        ours, reference = await alternate(due.grouped, due.single, 5)
    return [Row("1,000 sessions due at once, 3 events each", ours, "ticks/s", reference, Goal(10), "commit per tick")]


class _Due:
    """Many sessions and the number of the tick that comes next."""

    def __init__(self, database: Database, sessions: Sequence[Session], log: list[Event]) -> None:
        self._database = database
        self._sessions = sessions
        self._log = log
        self._numbers = count()

    async def grouped(self) -> float:
        """Hand every tick to the writer at once; returns ticks per second."""
        ticks = self._next()
        writer = Writer(self._database, EngineMetrics())
        task = asyncio.ensure_future(writer.run())
        begun = time.perf_counter()
        await asyncio.gather(*[writer.append(tick) for tick in ticks])
        took = time.perf_counter() - begun
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return len(ticks) / took

    async def single(self) -> float:
        """Append each tick by a call and a commit of its own; returns ticks per second."""
        return await self._database.run(self._one_by_one, self._next())

    async def _one_by_one(self, connection: Connection, ticks: Sequence[Chunk]) -> float:
        begun = time.perf_counter()
        for tick in ticks:
            [outcome] = await append_chunks(connection, [tick])
            assert outcome.answer == "written"
        return len(ticks) / (time.perf_counter() - begun)

    def _next(self) -> list[Chunk]:
        number = next(self._numbers)
        return [tick for session in self._sessions for tick in chain(session, self._log, 3, number)]
