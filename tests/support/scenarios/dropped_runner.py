"""A session whose runner is dropped behind chosen ticks, with orders resting; shared with the chaos runs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from app.domain.trading.settings import TradingSettings
from app.engine.replay import chunk_builder
from app.strategies.registry import BUILT_IN
from app.strategies.versions import VERSIONS
from tests.support.postgres import Database
from tests.support.resting_strategy import Resting
from tests.support.running_engine import MINUTE, START_MS, Engine, running_engine, store

COUNT = 2000


async def dropped(database: Database, monkeypatch: pytest.MonkeyPatch, cuts: Collection[int]) -> None:
    """Drop the runner right behind the ticks numbered `cuts`; the digest must be an undisturbed run's."""
    monkeypatch.setitem(BUILT_IN, "resting", Resting)
    monkeypatch.setitem(VERSIONS, "resting", 1)
    async with running_engine(database) as engine:
        await store(engine.pool, count=COUNT, without={300, 301, 900}.__contains__)
        request = {
            "profile_slug": "resting",
            "config": {},
            "end_ms": START_MS + COUNT * MINUTE,
            "gap_policy": "skip",
            "extra_timeframes": ("15m",),
            "trading": TradingSettings(leverage=None),
        }
        whole = await engine.finished((await engine.start(**request)).id)
        assert whole.status == "finished", whole.error
        monkeypatch.setattr(chunk_builder, "_MAX_SLOTS", 1)
        left = {START_MS + number * MINUTE for number in cuts}
        _drop(engine, left)
        session = await engine.start(**request)
        while not (now := await engine.get(session.id)).ended:
            if not engine.supervisor.running and (await engine.get(session.id)).status == "running":
                await engine.act(session.id, "pause")
                await engine.act(session.id, "resume")
            await asyncio.sleep(0.001)
        assert (now.status, left) == ("finished", set()), (now.error, now.error_details)
        assert await engine.digest(session.id) == await engine.digest(whole.id)
        assert now.candles_hash == whole.candles_hash


def _drop(engine: Engine, cuts: set[int]) -> None:
    """Let the runner die, without a word, once a tick of `cuts` is in the log."""
    writer = engine.supervisor.writer
    append = writer.append

    async def die(written: asyncio.Future[None]) -> None:
        await written
        raise asyncio.CancelledError

    def dropping(chunk: Any, **options: Any) -> asyncio.Future[None]:
        written = append(chunk, **options)
        if chunk.cursor_ms not in cuts:
            return written
        cuts.discard(chunk.cursor_ms)
        return asyncio.ensure_future(die(written))

    writer.append = dropping  # type: ignore[method-assign]
