"""Background tasks end, whatever they do with a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from app.tasks import GroupedCalls, cancel_and_wait


async def test_a_task_that_loses_its_first_cancellation_still_ends() -> None:
    lost = asyncio.Event()

    async def deaf() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        lost.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(deaf())
    await asyncio.sleep(0)
    await cancel_and_wait([task])
    assert lost.is_set()
    assert task.cancelled()


async def test_ending_no_tasks_returns_at_once() -> None:
    await cancel_and_wait([])


async def test_calls_that_come_during_a_call_share_the_next_one_and_get_their_own_results() -> None:
    calls: list[list[int]] = []

    async def work(numbers: Sequence[int]) -> list[int | Exception]:
        calls.append(list(numbers))
        await asyncio.sleep(0)
        return [ValueError(str(number)) if number == 3 else 10 * number for number in numbers]

    grouped = GroupedCalls[int, int](work, most=3)
    results = await asyncio.gather(*[grouped(number) for number in range(6)], return_exceptions=True)
    assert [result for result in results if isinstance(result, int)] == [0, 10, 20, 40, 50]
    assert isinstance(results[3], ValueError)
    assert calls == [[0, 1, 2], [3, 4, 5]]


async def test_a_failed_call_fails_all_who_share_it_and_not_the_next_nor_a_cancelled_caller() -> None:
    async def work(numbers: Sequence[int]) -> list[int]:
        await asyncio.sleep(0)
        if 0 in numbers:
            raise OSError("away")
        return list(numbers)

    grouped = GroupedCalls[int, int](work)
    first, other, cancelled = (asyncio.ensure_future(grouped(number)) for number in (0, 1, 2))
    await asyncio.sleep(0)
    cancelled.cancel()
    for failed in (first, other):
        with pytest.raises(OSError, match="away"):
            await failed
    assert await grouped(4) == 4
