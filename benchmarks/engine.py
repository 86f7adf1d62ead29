"""The engine in this process: ticks on time, and candles per second without a pace."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from uuid import UUID

from app.clock import Clock
from app.db import sessions
from app.db.log.chunks import AppendOutcome, Chunk
from app.db.pool import Connection, Database
from app.domain.session import Pace, Session
from app.engine.replay.writer import Writer
from benchmarks.environment import MINUTE, USER, BenchDatabase, Engine, engine, spec, store
from benchmarks.row import Goal, Row, quantile

SESSIONS = 2_000
SECONDS = 22  # Long enough to need a second look at the candles.
CANDLES = 200
PAUSE_NS = 1_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
LONG = 100_000


async def pace(target: BenchDatabase) -> list[Row]:
    """Measure how late ticks are in the log, with anchors spread over the pause and with all of them equal."""
    rows = []
    for what, equal, allowed_ms in (("anchors spread", False, 100), ("anchors equal", True, 250)):
        clock = _Held()
        async with engine(target, clock) as running:
            late_ms = await _lateness(running, clock, equal=equal)
        punctual = 100 * sum(late <= allowed_ms for late in late_ms) / (SESSIONS * SECONDS)
        note = f"within {allowed_ms} ms; p50 {quantile(late_ms, 0.5):.0f}, p99 {quantile(late_ms, 0.99):.0f} ms"
        rows.append(
            Row(f"2,000 sessions at 1 candle/s of 3 symbols, {what}", punctual, "% of ticks", None, Goal(99), note)
        )
    return rows


class _Held(Clock):
    """A clock that stands still at `until_ns` until real time has come so far: that is where anchors lie."""

    until_ns = 0

    def monotonic_ns(self) -> int:
        return max(self.until_ns, time.monotonic_ns())


class _Stamped(Writer):
    """A writer that notes when ticks were in the log."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._noted: list[tuple[int, Chunk]] = []

    def append(self, chunk: Chunk, *, unpaced: bool = False) -> asyncio.Future[AppendOutcome]:
        done = super().append(chunk, unpaced=unpaced)
        done.add_done_callback(lambda _: self._noted.append((time.monotonic_ns(), chunk)))
        return done

    def written(self) -> dict[tuple[str, int | None], int]:
        """Return when (ns, monotonic) the tick of a session and cursor was in the log."""
        return {(chunk.session_id, chunk.cursor_ms): at for at, chunk in self._noted}


async def _lateness(running: Engine, clock: _Held, *, equal: bool) -> list[float]:
    """Run every session for `SECONDS` ticks behind its first; returns how late each tick was, those missing left out.

    The first tick is due when its session is launched, before the measurement begins.
    """
    writer = running.supervisor.writer = _Stamped(running.database)
    running.supervisor._spawn(writer.run())
    await store(running.database, CANDLES, SYMBOLS)
    anchors = await _start(running, clock, equal=equal)
    await asyncio.sleep((max(anchors.values()) - time.monotonic_ns()) / 1e9 + SECONDS + 2)
    written = writer.written()
    return [
        (written[key] - anchor - number * PAUSE_NS) / 1e6
        for session_id, anchor in anchors.items()
        for number in range(1, SECONDS + 1)
        if (key := (str(session_id), spec(1).start_ms + number * MINUTE)) in written
    ]


async def _start(running: Engine, clock: _Held, *, equal: bool) -> dict[UUID, int]:
    """Launch all sessions, their anchors far enough ahead for every first look at the candles; returns the anchors."""
    claimed = await running.database.run(_claimed, running.supervisor.owner)
    first = time.monotonic_ns() + 10 * PAUSE_NS
    anchors = {}
    for number, session in enumerate(claimed):
        clock.until_ns = anchors[session.id] = first + (0 if equal else number * PAUSE_NS // SESSIONS)
        running.supervisor.run_claimed(session)
    return anchors


async def _claimed(connection: Connection, owner: tuple[str, int]) -> list[Session]:
    """Make sessions that this process has claimed and does not run yet: it hears of them when all are there."""
    wanted = spec(CANDLES, symbols=SYMBOLS, pace=Pace(1000))
    claimed = []
    async with connection.transaction():
        for _ in range(SESSIONS):
            session, _ = await sessions.create(connection, USER, wanted)
            moved = await sessions.transition(connection, session.id, "start", reason="bench", by=USER, runner=owner)
            assert moved is not None
            claimed.append(moved)
    return claimed


async def unpaced(target: BenchDatabase) -> list[Row]:
    """Measure one unpaced session from its first candle to the end of its range."""
    async with engine(target) as running:
        await store(running.database, LONG)
        speeds = [await _run(running) for _ in range(3)]
    return [Row("one unpaced session, end to end", median(speeds), "candles/s")]


async def _run(running: Engine) -> float:
    session, _ = await running.sim.create(USER, spec(LONG))
    begun = time.perf_counter()
    await running.sim.start(USER, session.id)
    with running.supervisor.hub.tail(session.id, 1, ("status",)) as tail:
        while (page := await tail.next(60)) is None or page.status != "finished":
            assert page is not None, "nothing came for a minute"
    return LONG / (time.perf_counter() - begun)
