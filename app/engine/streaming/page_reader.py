"""Group reads: the pages that tails want at the same moment come from Postgres in one call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from app.db import events
from app.db.events import Frames, StreamPosition
from app.db.pool import Database

_MOST_PAGES = 100
_AT_ONCE = 2

PageResult = Frames | Exception


class _Wish(NamedTuple):
    """A page wanted, and whom to give it."""

    place: StreamPosition
    give: Callable[[PageResult], None]


class PageReader:
    """Reads pages of any session; those asked for while a call is under way go together in the next."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wishes: deque[_Wish] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def read(self, place: StreamPosition, give: Callable[[PageResult], None]) -> None:
        """Read a page and give it, or what kept it from being read, to `give`."""
        self._wishes.append(_Wish(place, give))
        if len(self._tasks) < _AT_ONCE:
            task = asyncio.ensure_future(self._work())
            self._tasks.add(task)

    async def _work(self) -> None:
        try:
            while self._wishes:
                await self._fulfil([self._wishes.popleft() for _ in range(min(len(self._wishes), _MOST_PAGES))])
        finally:
            # Here, not in a callback of the task, which runs later: a wish made in between would wait for nobody.
            self._tasks.remove(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _fulfil(self, batch: Sequence[_Wish]) -> None:
        found: Sequence[PageResult]
        try:
            found = await self._database.run(events.pages, [wish.place for wish in batch])
        except Exception as error:
            found = [error] * len(batch)
        for wish, each in zip(batch, found, strict=True):
            wish.give(each)
