"""A market in which a minute passes every second, and how late its candles are in a session's log."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

from app.clock import Clock
from tests.support.running_engine import MINUTE, START_MS, Engine


class FastClock(Clock):
    """A wall clock of which a minute passes every second."""

    def __init__(self) -> None:
        self.began_ms = START_MS + 10_000 * MINUTE
        self.began = time.monotonic()

    def now_ms(self) -> int:
        """Return the accelerated time in ms."""
        return self.began_ms + int((time.monotonic() - self.began) * MINUTE)


async def lateness(engine: Engine, session_id: UUID, clock: FastClock, close_ms: int) -> float:
    """Wait until a candle is in the log; returns how many seconds after its close that was seen."""
    while ((await engine.get(session_id)).cursor_ms or 0) < close_ms - MINUTE:
        assert clock.now_ms() < close_ms + 60 * MINUTE, await engine.get(session_id)
        await asyncio.sleep(0.01)
    return (clock.now_ms() - close_ms) / MINUTE


async def latenesses(engine: Engine, session_id: UUID, clock: FastClock, count: int) -> list[float]:
    """Measure for the next candles how many seconds after their close they are in the log."""
    due_ms = clock.now_ms() // MINUTE * MINUTE + MINUTE
    return [
        await lateness(engine, session_id, clock, close_ms)
        for close_ms in range(due_ms, due_ms + count * MINUTE, MINUTE)
    ]
