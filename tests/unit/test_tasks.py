"""Background tasks end, whatever they do with a cancellation."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from app.tasks import cancel_and_wait


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
