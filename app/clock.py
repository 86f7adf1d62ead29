"""The two clocks of the engine: one to pace by, one to know what the market has closed."""

from __future__ import annotations

import asyncio
import time
from math import ceil


class Alarm:
    """An event for one waiter with a time limit, which runs out without the exception that ends `asyncio.timeout`.

    Waits last whole milliseconds, the grain of the event loop's timers: one rounded down would end before its time.
    """

    def __init__(self) -> None:
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Wake the waiter, now or when it comes."""
        self._set = True
        self._ring()

    def clear(self) -> None:
        """Take back what was set."""
        self._set = False

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._set

    async def wait(self, timeout_s: float) -> bool:
        """Wait until it is set, at most `timeout_s` of real time; returns whether it is."""
        if timeout_s > 0 and not self._set:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(ceil(1000 * timeout_s) / 1000, self._ring)
            try:
                await self._waiter
            finally:
                timer.cancel()
        return self._set

    def _ring(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Clock:
    """Real time; tests put another one in its place."""

    def now_ms(self) -> int:
        """Return the wall clock in ms since the epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_ns(self) -> int:
        """Return a clock in ns that never jumps."""
        return time.monotonic_ns()

    async def wait(self, alarm: Alarm, timeout_s: float) -> bool:
        """Wait until `alarm` is set, at most `timeout_s` of this clock; returns whether it is."""
        return await alarm.wait(timeout_s)


async def wait(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait until `event` is set, at most `timeout_s` of real time; returns whether it is."""
    if timeout_s <= 0 or event.is_set():
        return event.is_set()
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return False
