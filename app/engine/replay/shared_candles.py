"""Candles that the paced sessions of a process share: one read serves all that are at the same place of a series."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from app.clock import Clock
from app.db import candles
from app.db.pool import Connection, Database
from app.domain.market.candle import Candle
from app.domain.session import SessionSpec
from app.tasks import GroupedCalls, cancel_and_wait

_SLOTS = 64
"""Slots of a block; fewer with many symbols."""
_MIN_SLOTS = 20
_MAX_CANDLES = 1000
"""Candles of each symbol in a block, which may be more than slots: a source's candles need not lie on the grid."""
_MAX_KEPT = 256
"""Blocks that are kept; each takes some 50 KB."""
_KEPT_S = 60.0
"""How long a block is kept, in case the notification of a new candle is lost."""
_LANES = 4
"""Reads at the same time, each on a connection."""

_open_time = attrgetter("open_time_ms")


class CandlePage(NamedTuple):
    """Candles read from the cache at once, in order.

    `read_at_ms` is the start of the read (wall clock), `fetched_to_ms` the end of what was fetched at that moment.
    """

    read_at_ms: int
    fetched_to_ms: int | None
    candles: Sequence[Candle]


class _Block(NamedTuple):
    """A stretch of a series: those candles of the symbols that open in `[number * ms, (number + 1) * ms)`."""

    venue: str
    symbols: tuple[str, ...]
    timeframe: str
    ms: int
    number: int

    def after(self) -> _Block:
        """Return the next block."""
        return self._replace(number=self.number + 1)


class SharedCandles:
    """Reads blocks for sessions and keeps some of them until candles of their series are stored."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._kept: OrderedDict[_Block, tuple[float, CandlePage]] = OrderedDict()
        self._ahead: set[asyncio.Task[CandlePage]] = set()
        self._changes = 0
        self._lanes = [GroupedCalls[_Block, CandlePage](self._read_all) for _ in range(_LANES)]

    async def next_page(self, spec: SessionSpec, after_ms: int, *, fresh: bool) -> CandlePage | None:
        """Return the candles of a session that follow a time, up to the end of a block; null if there are none near.

        With `fresh` they are read after this call, and otherwise perhaps up to a minute before.
        """
        ms = max(_MIN_SLOTS, _SLOTS // len(spec.symbols)) * spec.grid.ms
        block = _Block(spec.venue, spec.symbols, spec.timeframe, ms, (after_ms + 1) // ms)
        for wanted in (block, block.after()):
            page = None if fresh else self._find(wanted)
            page = page or await self._lane(wanted)(wanted)
            if found := _between(page.candles, after_ms, spec.end_ms):
                self._read_ahead(wanted.after())
                return CandlePage(page.read_at_ms, None, found)
        return None

    async def close(self) -> None:
        """Cancel what is being read."""
        for lane in self._lanes:
            await lane.close()
        await cancel_and_wait(self._ahead)

    def drop(self, stored: set[str]) -> None:
        """Forget the blocks of series (`venue:symbol:timeframe`, or `*` for all) that have new candles."""
        self._changes += 1
        for block in list(self._kept):
            keys = {f"{block.venue}:{symbol}:{block.timeframe}" for symbol in block.symbols}
            if "*" in stored or not stored.isdisjoint(keys):
                del self._kept[block]

    def _find(self, block: _Block) -> CandlePage | None:
        read_s, page = self._kept.get(block, (0.0, None))
        return None if asyncio.get_running_loop().time() - read_s > _KEPT_S else page

    def _read_ahead(self, block: _Block) -> None:
        """Read the block that a session will need next, unless it is here or is being read."""
        if block in self._kept:
            return
        # Until it is read, no other session begins to read it.
        self._kept[block] = asyncio.get_running_loop().time() - _KEPT_S - 1, CandlePage(0, None, ())
        reading = asyncio.ensure_future(self._lane(block)(block))
        self._ahead.add(reading)
        reading.add_done_callback(self._end_reading)

    def _end_reading(self, reading: asyncio.Task[CandlePage]) -> None:
        self._ahead.discard(reading)
        if not reading.cancelled():
            reading.exception()  # Who needs the block will get the same error.

    def _lane(self, block: _Block) -> GroupedCalls[_Block, CandlePage]:
        return self._lanes[hash(block) % _LANES]

    async def _read_all(self, blocks: Sequence[_Block]) -> list[CandlePage]:
        """Read each block once, on one connection."""
        changes, unique = self._changes, dict.fromkeys(blocks)
        read_s, read_at_ms = asyncio.get_running_loop().time(), self._clock.now_ms()
        found = await self._database.run(_read_blocks, list(unique))
        pages = {block: CandlePage(read_at_ms, None, each) for block, each in zip(unique, found, strict=True)}
        if changes == self._changes:
            for block, page in pages.items():
                self._kept.pop(block, None)
                self._kept[block] = read_s, page
            while len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)
        return [pages[block] for block in blocks]


async def _read_blocks(connection: Connection, blocks: Sequence[_Block]) -> list[list[Candle]]:
    return [await _read(connection, block) for block in blocks]


async def _read(connection: Connection, block: _Block) -> list[Candle]:
    start_ms = block.number * block.ms
    return await candles.window(
        connection, block.venue, block.symbols, block.timeframe, start_ms - 1, start_ms + block.ms, _MAX_CANDLES
    )


def _between(page: Sequence[Candle], after_ms: int, before_ms: int | None) -> Sequence[Candle]:
    """Return the candles of a page that open after one time and before another."""
    start = bisect_right(page, after_ms, key=_open_time)
    end = len(page) if before_ms is None else bisect_right(page, before_ms - 1, key=_open_time)
    return page[start:end]
