"""The event a runner sleeps by."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.clock import TimedEvent


@pytest.mark.parametrize("timeout_s", [0.0004, 0.0011, 0.02])
async def test_a_wait_ends_at_its_time_and_not_before(timeout_s: float) -> None:
    began = time.monotonic()
    assert await TimedEvent().wait(timeout_s) is False
    assert time.monotonic() - began >= timeout_s


async def test_an_event_that_is_set_is_not_waited_for_until_it_is_cleared() -> None:
    event = TimedEvent()
    event.set()
    assert await asyncio.wait_for(event.wait(60), 1) is True
    assert await event.wait(0) is True
    event.clear()
    assert await event.wait(0.001) is False


async def test_a_waiter_is_woken_at_once_and_may_be_cancelled() -> None:
    event = TimedEvent()
    waiting = asyncio.create_task(event.wait(60))
    await asyncio.sleep(0)
    event.set()
    assert await asyncio.wait_for(waiting, 1) is True
    event.clear()
    cancelled = asyncio.create_task(event.wait(60))
    await asyncio.sleep(0)
    cancelled.cancel()
    event.set()
    assert (await asyncio.gather(cancelled, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    assert await event.wait(60) is True


async def test_every_waiter_is_woken_though_the_event_is_cleared_at_once() -> None:
    event = TimedEvent()
    waiting = [asyncio.create_task(event.wait(timeout_s)) for timeout_s in (60, 60, None)]
    await asyncio.sleep(0)
    event.set()
    event.clear()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 1) == [True, True, True]
