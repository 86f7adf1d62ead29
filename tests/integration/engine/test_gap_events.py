"""Gap events of sessions over random holes, against those found by brute force, however windows and pauses cut them."""

import random
from itertools import groupby
from uuid import UUID

import pytest

from app.candles.sources import synthetic
from app.db import candles
from app.engine.replay import window
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, Engine, running_engine, store
from tests.support.session_log import gaps, minute

SYMBOLS = ("BTCUSDT", "ETHUSDT")
COUNT = 150


def holes(draw: random.Random) -> set[int]:
    """Draw slots without a candle, in runs of any length, some of them longer than a window."""
    starts = [draw.randrange(COUNT) for _ in range(draw.randrange(1, 9))]
    return {slot for start in starts for slot in range(start, min(COUNT, start + draw.choice([1, 1, 2, 9, 45])))}


def brute_force(lacking: set[int]) -> list[tuple[int, int]]:
    """Return first slot and length of each run of slots."""
    runs = [list(run) for _, run in groupby(enumerate(sorted(lacking)), key=lambda item: item[1] - item[0])]
    return [(run[0][1], len(run)) for run in runs]


async def gaps_by_symbol(engine: Engine, session_id: UUID) -> dict[str, list[tuple[int, int]]]:
    """Return first minute and number of minutes of every gap, by symbol."""
    by_symbol: dict[str, list[tuple[int, int]]] = {symbol: [] for symbol in SYMBOLS}
    for gap in gaps(await engine.log(session_id)):
        assert gap.to_ms - gap.from_ms == gap.missing * MINUTE
        by_symbol[gap.symbol].append((minute(gap.from_ms), gap.missing))
    return by_symbol


@pytest.mark.parametrize("policy", ["skip", "fill"])
@pytest.mark.parametrize("seed", range(4))
async def test_gap_events_are_those_of_brute_force_however_the_session_was_cut(
    database: Database, monkeypatch: pytest.MonkeyPatch, policy: str, seed: int
) -> None:
    draw = random.Random(seed)
    lacking = {symbol: holes(draw) for symbol in SYMBOLS}
    spec = {"symbols": SYMBOLS, "end_ms": START_MS + COUNT * MINUTE, "gap_policy": policy}
    async with running_engine(database) as engine:
        for symbol in SYMBOLS:
            await store(engine.pool, symbol=symbol, count=COUNT, without=lacking[symbol].__contains__)
        whole = await engine.finished((await engine.start(**spec)).id)
        assert whole.status == "finished"
        assert await gaps_by_symbol(engine, whole.id) == {symbol: brute_force(lacking[symbol]) for symbol in SYMBOLS}
        monkeypatch.setattr(window, "_UNPACED_ROWS", 1)  # The least there is: 20 of a symbol.
        cut = await engine.create(**spec)
        while not cut.ended:
            await engine.act(cut.id, "step", steps=draw.randrange(1, 60))
            cut = await engine.until(cut.id, lambda session: session.status == "paused" or session.ended)
        assert await engine.digest(cut.id) == await engine.digest(whole.id)


async def test_hours_that_open_at_half_past_are_no_gaps_to_fill_and_one_that_is_missing_is_filled_once(
    database: Database,
) -> None:
    hour = 60 * MINUTE
    late = [
        candle._replace(open_time_ms=candle.open_time_ms + hour // 2, close_time_ms=candle.close_time_ms + hour // 2)
        for candle in synthetic.candles("BTCUSDT", "1h", START_MS, START_MS + 24 * hour)
    ]
    del late[10]
    async with running_engine(database) as engine:
        await engine.pool.run(candles.store, "demo", "BTCUSDT", "1h", late)
        request = {"timeframe": "1h", "end_ms": START_MS + 24 * hour, "gap_policy": "fill"}
        session = await engine.finished((await engine.start(**request)).id)
        shown = [event["payload"] for event in await engine.log(session.id) if event["type"] == "candle"]
    opens = {
        synthetic: [payload["candle"]["openTimeMs"] for payload in shown if ("synthetic" in payload) == synthetic]
        for synthetic in (0, 1)
    }
    assert opens == {0: [candle.open_time_ms for candle in late], 1: [START_MS + 10 * hour]}
