"""End async tests that hang, and fail those that leave tasks behind. See README.md."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

LIMIT_S = 240
"""An async test that takes as long hangs, unless it is marked with a longer timeout; shorter than pytest-timeout's."""


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> None:
    if collector.istestfunction(obj, name) and inspect.iscoroutinefunction(obj):
        pytest.mark.usefixtures("no_leaked_tasks")(obj)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if inspect.iscoroutinefunction(item.obj):  # type: ignore[attr-defined]
            marker = item.get_closest_marker("timeout")
            limit_s = LIMIT_S if marker is None else marker.args[0] - 60
            item.obj = _with_time_limit(item.obj, limit_s)  # type: ignore[attr-defined]


@pytest.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail the test when a task it or its fixtures started is still there five seconds after their end."""
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if not _is_of_anyio(task)}
    if left:
        _, left = await asyncio.wait(left, timeout=5)
    for task in left:
        task.cancel()
    assert not left, f"leaked tasks: {left}"


def _with_time_limit(test: Callable[..., Any], limit_s: float) -> Callable[..., Any]:
    """End a test that hangs where it waits: pytest-timeout breaks the loop, on which its fixtures hang for ever."""

    @functools.wraps(test)
    async def limited(*arguments: Any, **named: Any) -> None:
        async with asyncio.timeout(limit_s):
            await test(*arguments, **named)

    return limited


def _is_of_anyio(task: asyncio.Task[Any]) -> bool:
    return getattr(task.get_coro(), "__qualname__", "").startswith("TestRunner.")
