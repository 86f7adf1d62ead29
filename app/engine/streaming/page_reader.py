"""Group reads: read the pages that tails need at the same moment in one call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from app.db.log import events
from app.db.log.events import Frames, StreamPosition
from app.db.pool import Database

_MAX_PAGES = 100
_MAX_CALLS = 2

PageResult = Frames | Exception


class _PageRequest(NamedTuple):
    """A page to read, and the function to call with it."""

    position: StreamPosition
    deliver: Callable[[PageResult], None]


class PageReader:
    """Reads pages of any session; pages requested during running calls are read together in the next one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._requests: deque[_PageRequest] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many pages wait to be read."""
        return len(self._requests)

    def read(self, position: StreamPosition, deliver: Callable[[PageResult], None]) -> None:
        """Read a page and call `deliver` with it, or with the error that prevented it."""
        self._requests.append(_PageRequest(position, deliver))
        if len(self._tasks) < _MAX_CALLS:
            self._tasks.add(asyncio.ensure_future(self._read_all()))

    async def _read_all(self) -> None:
        try:
            while self._requests:
                await self._read_batch([self._requests.popleft() for _ in range(min(len(self._requests), _MAX_PAGES))])
        finally:
            # Not in a callback of the task: that runs later, and a page requested in between would never be read.
            self._tasks.remove(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _read_batch(self, batch: Sequence[_PageRequest]) -> None:
        results: Sequence[PageResult]
        try:
            results = await self._database.run(events.pages, [request.position for request in batch])
        except Exception as error:
            results = [error] * len(batch)
        for request, result in zip(batch, results, strict=True):
            request.deliver(result)
