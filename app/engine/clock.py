"""The two clocks of the engine: one to pace by, one to know what the market has closed."""

from __future__ import annotations

import asyncio
import time


class Clock:
    """Real time; tests put another one in its place."""

    def now_ms(self) -> int:
        """Return the wall clock in ms since the epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_ns(self) -> int:
        """Return a clock in ns that never jumps."""
        return time.monotonic_ns()

    async def wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        """Wait until `event` is set, at most `timeout_s` of this clock; returns whether it is."""
        return await wait(event, timeout_s)


async def wait(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait until `event` is set, at most `timeout_s` of real time; returns whether it is."""
    if timeout_s <= 0 or event.is_set():
        return event.is_set()
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return False
