"""The alarm a runner sleeps by."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.clock import Alarm


@pytest.mark.parametrize("timeout_s", [0.0004, 0.0011, 0.02])
async def test_a_wait_ends_at_its_time_and_not_before(timeout_s: float) -> None:
    begun = time.monotonic()
    assert await Alarm().wait(timeout_s) is False
    assert time.monotonic() - begun >= timeout_s


async def test_what_was_set_before_is_not_waited_for_until_it_is_cleared() -> None:
    alarm = Alarm()
    alarm.set()
    assert await asyncio.wait_for(alarm.wait(60), 1) is True
    assert await alarm.wait(0) is True
    alarm.clear()
    assert await alarm.wait(0.001) is False


async def test_a_waiter_is_woken_at_once_and_may_be_cancelled() -> None:
    alarm = Alarm()
    waiting = asyncio.create_task(alarm.wait(60))
    await asyncio.sleep(0)
    alarm.set()
    assert await asyncio.wait_for(waiting, 1) is True
    alarm.clear()
    cancelled = asyncio.create_task(alarm.wait(60))
    await asyncio.sleep(0)
    cancelled.cancel()
    alarm.set()
    assert (await asyncio.gather(cancelled, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    assert await alarm.wait(60) is True
