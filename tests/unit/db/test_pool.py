"""The pool lets go of what it began, however its opening ends."""

from __future__ import annotations

import asyncio
import socket

import pytest

from app.db.pool import Database


async def test_an_opening_cancelled_while_the_database_is_silent_leaves_no_task_that_ignores_its_end() -> None:
    before = asyncio.all_tasks()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # Connections come up and are never answered.
        address = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/zeon"
        opening = asyncio.ensure_future(Database(address, size=2).open())
        await asyncio.sleep(0.2)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        left = asyncio.all_tasks() - before
        for task in left:
            task.cancel()  # Once, as an event loop does at its end.
        ended, _ = await asyncio.wait(left, timeout=3)
    assert ended == left
