"""Helpers for background tasks and threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
K = TypeVar("K")


async def cancel_and_wait(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended: on CPython 3.11 a cancellation can be lost in what they call."""
    while left := {task for task in tasks if not task.done()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=1)


async def run_in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function in a thread; unlike `asyncio.to_thread`, the end of the program does not wait for it."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def finish(value: Any, error: Exception | None) -> None:
        if result.done():  # The caller was cancelled.
            return
        if error is None:
            result.set_result(value)
        else:
            result.set_exception(error)

    def work() -> None:
        value, error = None, None
        try:
            value = function(*args, **kwargs)
        except Exception as raised:
            error = raised
        with suppress(RuntimeError):  # The loop is closed.
            loop.call_soon_threadsafe(finish, value, error)

    threading.Thread(target=work, daemon=True).start()
    return await result


class GroupedCalls(Generic[K, T]):
    """Makes one call for all arguments that come while the one before is under way, so that they share its cost.

    `work` gets `most` arguments at most and returns for each a result or the error to raise.
    """

    def __init__(self, work: Callable[[Sequence[K]], Awaitable[Sequence[T | Exception]]], *, most: int = 250) -> None:
        self._work = work
        self._most = most
        self._waiting: list[tuple[K, asyncio.Future[T]]] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, argument: K) -> T:
        """Return the result for one argument, of a call that starts after this one."""
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((argument, result))
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._work_all())
        return await result

    async def close(self) -> None:
        """Cancel the call that is under way and those that wait for the next one."""
        for _, result in self._waiting:
            result.cancel()
        await cancel_and_wait([] if self._task is None else [self._task])

    async def _work_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            results: Sequence[T | Exception]
            try:
                results = await self._work([argument for argument, _ in batch])
            except Exception as error:
                results = [error] * len(batch)
            for (_, waiting), result in zip(batch, results, strict=True):
                if waiting.done():  # Its caller was cancelled.
                    continue
                if isinstance(result, Exception):
                    waiting.set_exception(result)
                else:
                    waiting.set_result(result)
