"""A session whose runner is dropped behind chosen ticks, with orders resting; shared with the chaos runs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from app.domain.candle import Candle
from app.domain.strategy import Strategy
from app.domain.terms import Terms
from app.engine import runner
from app.strategies.registry import BUILT_IN
from tests.support.engine import MINUTE, START_MS, Engine, engine, store
from tests.support.servers import Database

COUNT = 2000


class Resting(Strategy):
    """Always has orders resting: limits on both sides, a trailing stop, brackets, some by chance."""

    def on_start(self) -> None:
        self._bar = 0

    def on_candle(self, candle: Candle) -> None:
        self._bar += 1
        if self._bar % 7 == 0:
            self.cancel(tag="grid")
            for step in (1, 2, 3):
                self.buy(qty="0.01", limit=candle.close * (1 - step * 5 / candle.close), tag="grid")
                self.sell(qty="0.01", limit=candle.close * (1 + step * 5 / candle.close), tag="grid", good_for=5)
        if self._bar % 50 == 0:
            self.buy(qty="0.05", stop_loss=candle.close - 40, take_profit=candle.close + 40, reason="bracket")
        if self.position.qty > 0 and not any(order.tag == "trail" for order in self.orders):
            self.sell(qty=self.position.qty, trail=30, tag="trail")
        if self.rng.random() < 0.05:
            self.plot("resting", len(self.orders))


async def dropped(database: Database, monkeypatch: pytest.MonkeyPatch, cuts: Collection[int]) -> None:
    """Drop the runner right behind the ticks numbered `cuts`; the digest must be an undisturbed run's."""
    monkeypatch.setitem(BUILT_IN, "resting", Resting)
    async with engine(database) as e:
        await store(e.pool, count=COUNT, without={300, 301, 900}.__contains__)
        asked = {
            "profile_slug": "resting",
            "config": {},
            "end_ms": START_MS + COUNT * MINUTE,
            "gap_policy": "skip",
            "extra_timeframes": ("15m",),
            "terms": Terms(leverage=None),
        }
        whole = await e.finished((await e.start(**asked)).id)
        assert whole.status == "finished", whole.error
        monkeypatch.setattr(runner, "_CHUNK_TICKS", 1)
        left = {START_MS + number * MINUTE for number in cuts}
        _drop(e, left)
        session = await e.start(**asked)
        while not (now := await e.get(session.id)).ended:
            if not e.supervisor.running and now.status == "running":
                await e.act(session.id, "pause")
                await e.act(session.id, "resume")
            await asyncio.sleep(0.001)
        assert (now.status, left) == ("finished", set()), (now.error, now.error_details)
        assert await e.digest(session.id) == await e.digest(whole.id)
        assert now.candles_hash == whole.candles_hash


def _drop(e: Engine, cuts: set[int]) -> None:
    """Let the runner die, without a word, once a tick of `cuts` is in the log."""
    writer = e.supervisor._writer
    append = writer.append

    async def die(written: asyncio.Future[None]) -> None:
        await written
        raise asyncio.CancelledError

    def dropping(ticks: Any, **options: Any) -> asyncio.Future[None]:
        written = append(ticks, **options)
        if ticks[-1].cursor_ms not in cuts:
            return written
        cuts.discard(ticks[-1].cursor_ms)
        return asyncio.ensure_future(die(written))

    writer.append = dropping  # type: ignore[method-assign]
