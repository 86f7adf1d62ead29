"""Notice that the clock of the database was set: signs of life from before then say nothing."""

from __future__ import annotations

import asyncio

from app.db import runners
from app.db.pool import Database

SLACK_S = 1.0
"""A clock may differ by so much from the time that has passed: it is corrected in small steps all the time."""


class ClockJump:
    """Compares the database's clock with the time that passes in this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._offsets: tuple[float, float] | None = None

    async def happened(self) -> bool:
        """Whether the clock was set since the last call; raises what `Database.run` raises."""
        loop = asyncio.get_running_loop()
        before_s = loop.time()
        now_s = await self._database.run(runners.clock_s)
        last, self._offsets = self._offsets, (now_s - loop.time(), now_s - before_s)
        return last is not None and not _overlap(last, self._offsets)


def _overlap(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] - SLACK_S <= b[1] and b[0] - SLACK_S <= a[1]
