"""The clock, and waiting for a time or an event."""

from __future__ import annotations

import asyncio
import time
from math import ceil

_STEP_S = 0.2


class TimedEvent:
    """An event whose wait has a time limit.

    Unlike `asyncio.timeout` around `asyncio.Event.wait` it raises no exception on timeout: the exception would cost
    more than the wait. A wait lasts whole milliseconds, rounded up, because the event loop's timers round down.
    """

    def __init__(self) -> None:
        self._set = False
        self._waiters: set[asyncio.Future[bool]] = set()

    def set(self) -> None:
        """Wake all waiters; later waits return at once until `clear`."""
        self._set = True
        for waiter in self._waiters:
            _wake(waiter, True)

    def clear(self) -> None:
        """Let later waits wait again."""
        self._set = False

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._set

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is set, at most `timeout_s` of real time; returns false on timeout."""
        if self._set or (timeout_s is not None and timeout_s <= 0):
            return self._set
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiters.add(waiter)
        timer = None if timeout_s is None else loop.call_later(ceil(1000 * timeout_s) / 1000, _wake, waiter, False)
        try:
            return await waiter
        finally:
            self._waiters.discard(waiter)
            if timer is not None:
                timer.cancel()


class Clock:
    """Real time; tests use another clock."""

    def now_ms(self) -> int:
        """Return the wall clock in ms since the epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_ns(self) -> int:
        """Return a clock in ns that never jumps."""
        return time.monotonic_ns()

    async def wait(self, event: TimedEvent, timeout_s: float) -> bool:
        """Wait until `event` is set, at most `timeout_s` of this clock; returns whether it is."""
        return await event.wait(timeout_s)

    async def sleep(self, seconds: float) -> None:
        """Wait for a time."""
        await asyncio.sleep(seconds)

    async def sleep_until(self, time_ms: int) -> None:
        """Wait until the wall clock shows a time, in short steps, because that clock may be set."""
        while (left_ms := time_ms - self.now_ms()) > 0:
            await self.sleep(min(left_ms / 1000, _STEP_S))


def _wake(waiter: asyncio.Future[bool], was_set: bool) -> None:
    if not waiter.done():
        waiter.set_result(was_set)
