"""Sessions over the hours of a stock market, synthetic candles: Thanksgiving week of 2023 with its short day."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.candles.cache.calendar import Calendar
from app.clock import Clock
from app.db import candles as cache
from app.domain.market.timeframe import TIMEFRAMES
from app.domain.market.trading_hours import is_open
from app.domain.trading.settings import TradingSettings
from app.engine.replay.verify import verify
from app.errors import MissingCandlesError
from tests.support.postgres import Database
from tests.support.running_engine import USER, Engine, running_engine, store
from tests.support.session_log import gaps, payloads

pytest.importorskip("exchange_calendars")
# exchange_calendars 4.13 uses what pandas 3.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

GRID = TIMEFRAMES["15m"]
XNYS = Calendar("XNYS")
OPENS = {"21": "14:30", "22": "14:30", "24": "14:30", "27": "14:30"}
BARS = {"21": 26, "22": 26, "24": 14, "27": 26}
"""How many bars each trading day has: Thursday is a holiday, Friday ends at 13:00 in New York."""


def ms(text: str) -> int:
    return int(datetime.fromisoformat(f"2023-11-{text}").replace(tzinfo=UTC).timestamp() * 1000)


START, END = ms("21T00:00"), ms("28T02:00")
SLOTS = range(START, END, GRID.ms)
TRADED = [ms(f"{day}T{OPENS[day]}") + n * GRID.ms for day, count in BARS.items() for n in range(count)]
LACKING = (ms("22T20:45"), ms("27T14:30"), ms("27T18:00"))
"""The last bar of a day, the first of the next but one, and one in the middle of a day."""


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    async with running_engine(database, calendars="demo=XNYS") as started:
        yield started


async def stock(engine: Engine, *lacking: int, symbol: str = "SPY", more: tuple[int, ...] = ()) -> None:
    """Store the bars of the trading hours, but for those that are `lacking`, and some `more`."""
    slots = ({*TRADED} - {*lacking}) | {*more}
    await store(
        engine.pool,
        symbol=symbol,
        timeframe="15m",
        start_ms=START,
        count=len(SLOTS),
        without=lambda number: SLOTS[number] not in slots,
    )


def spec_changes(**changes: Any) -> dict[str, Any]:
    return {"symbols": ("SPY",), "timeframe": "15m", "start_ms": START, "end_ms": END} | changes


async def logged_candles(engine: Engine, session_id: UUID, timeframe: str = "15m") -> list[tuple[int, bool]]:
    """Return open time of all candles, and whether each was made up for a gap."""
    candles = [
        candle for candle in payloads(await engine.log(session_id), "candle") if candle["timeframe"] == timeframe
    ]
    return [(candle["candle"]["openTimeMs"], candle.get("synthetic", False)) for candle in candles]


async def gap_times(engine: Engine, session_id: UUID) -> list[tuple[int, int, int]]:
    return [gap[2:] for gap in gaps(await engine.log(session_id))]


def singly(lacking: tuple[int, ...]) -> list[tuple[int, int, int]]:
    return [(slot, slot + GRID.ms, 1) for slot in lacking]


def test_the_bars_of_these_tests_are_those_of_the_calendar() -> None:
    assert [slot for slot in SLOTS if is_open(XNYS, GRID, slot)] == TRADED


@pytest.mark.parametrize("policy", ["fail", "skip", "fill"])
async def test_closed_hours_are_no_gap_and_bring_no_candle(engine: Engine, policy: str) -> None:
    await stock(engine)
    session = await engine.finished((await engine.start(**spec_changes(gap_policy=policy))).id)
    assert (session.status, session.error, session.cursor_ms) == ("finished", None, END - GRID.ms)
    assert await logged_candles(engine, session.id) == [(slot, False) for slot in TRADED]
    assert await gap_times(engine, session.id) == []
    assert session.spec.days_per_year == 252


async def test_a_bar_missing_while_the_market_was_open_fails_the_start_and_is_listed(engine: Engine) -> None:
    await stock(engine, *LACKING)
    session = await engine.create(**spec_changes())
    with pytest.raises(MissingCandlesError) as raised:
        await engine.sim.start(USER, session.id)
    results = [(gap["fromMs"], gap["toMs"], gap["missing"]) for gap in raised.value.details["gaps"]]
    assert (results, raised.value.details["missing"]) == (singly(LACKING), 3)
    assert (await engine.get(session.id)).status == "failed"


@pytest.mark.parametrize("lacking", LACKING)
async def test_a_bar_that_goes_missing_fails_a_session_under_way(engine: Engine, lacking: int) -> None:
    await stock(engine)
    session = await engine.create(**spec_changes())
    await engine.act(session.id, "step", steps=3)
    await engine.until(session.id, lambda stored: stored.status == "paused")
    await engine.pool.run(cache.delete, "demo", "SPY", "15m")
    await stock(engine, lacking)
    await engine.act(session.id, "resume")
    session = await engine.finished(session.id)
    assert session.status == "failed"
    assert [(gap["fromMs"], gap["missing"]) for gap in session.error_details["gaps"]] == [(lacking, 1)]
    assert (await logged_candles(engine, session.id))[-1] == (TRADED[TRADED.index(lacking) - 1], False)


async def test_skipping_writes_gap_events_for_trading_hours_only(engine: Engine) -> None:
    await stock(engine, *LACKING)
    session = await engine.finished((await engine.start(**spec_changes(gap_policy="skip"))).id)
    assert session.status == "finished"
    assert await gap_times(engine, session.id) == singly(LACKING)
    assert await logged_candles(engine, session.id) == [(slot, False) for slot in TRADED if slot not in LACKING]


async def test_filling_makes_up_bars_of_trading_hours_only(engine: Engine) -> None:
    await stock(engine, *LACKING)
    session = await engine.finished((await engine.start(**spec_changes(gap_policy="fill"))).id)
    assert session.status == "finished"
    assert await logged_candles(engine, session.id) == [(slot, slot in LACKING) for slot in TRADED]
    assert await gap_times(engine, session.id) == singly(LACKING)


@pytest.mark.parametrize("policy", ["fail", "skip", "fill"])
async def test_a_trade_after_the_close_of_one_symbol_makes_no_gap_of_another(engine: Engine, policy: str) -> None:
    after_close = (ms("21T21:00"), ms("25T12:00"))
    await stock(engine, more=after_close)
    await stock(engine, symbol="QQQ")
    session = await engine.start(**spec_changes(symbols=("SPY", "QQQ"), gap_policy=policy))
    assert (await engine.finished(session.id)).status == "finished"
    results = await logged_candles(engine, session.id)
    assert [slot for slot, _ in results] == sorted([*TRADED, *TRADED, *after_close])
    assert not any(synthetic for _, synthetic in results)
    assert await gap_times(engine, session.id) == []


async def test_longer_candles_have_no_gap_over_closed_hours(engine: Engine) -> None:
    await stock(engine, ms("22T15:30"))
    session = await engine.start(**spec_changes(gap_policy="skip", extra_timeframes=("30m",)))
    session = await engine.finished(session.id)
    halves = [slot for slot in TRADED if slot % TIMEFRAMES["30m"].ms == 0 and slot != ms("22T15:30")]
    assert [slot for slot, _ in await logged_candles(engine, session.id, "30m")] == halves
    assert await gap_times(engine, session.id) == [
        (ms("22T15:30"), ms("22T15:45"), 1),
        (ms("22T15:30"), ms("22T16:00"), 1),
    ]


@pytest.mark.parametrize("record", ["full", "trades"])
@pytest.mark.parametrize("policy", ["fail", "skip", "fill"])
async def test_pauses_and_a_second_computation_change_nothing(engine: Engine, policy: str, record: str) -> None:
    lacking = () if policy == "fail" else LACKING
    await stock(engine, *lacking)
    spec = running_spec(policy, record)
    whole = await engine.finished((await engine.start(**spec)).id)
    paused = await engine.create(**spec)
    for steps in (1, 25, 27, 14):
        await engine.act(paused.id, "step", steps=steps)
        await engine.until(paused.id, lambda stored: stored.status == "paused")
    await engine.act(paused.id, "resume")
    assert (await engine.finished(paused.id)).status == whole.status == "finished"
    assert await engine.digest(paused.id) == await engine.digest(whole.id)
    sim = engine.sim
    verdict = await verify(engine.pool, Clock(), sim.strategies, USER, paused.id, sim.calendars)
    assert (verdict.difference, verdict.warnings) == (None, [])


def running_spec(policy: str, record: str) -> dict[str, Any]:
    config = {"fast": 2, "slow": 5}
    return spec_changes(
        gap_policy=policy, profile_slug="sma_cross", config=config, trading=TradingSettings(record=record)
    )


async def test_an_endless_session_continues_after_a_weekend_and_fails_for_a_bar_that_was_skipped(
    engine: Engine,
) -> None:
    monday = [slot for slot in TRADED if slot >= ms("27T00:00")]
    await stock(engine, *monday)
    session = await engine.start(**spec_changes(end_ms=None, gap_grace_ms=10**12))
    await engine.until(session.id, lambda stored: stored.cursor_ms == ms("24T17:45"))
    await stock(engine, *monday[1:])
    await engine.until(session.id, lambda stored: stored.cursor_ms == monday[0])
    assert await gap_times(engine, session.id) == []
    await stock(engine, monday[1], *monday[3:])
    session = await engine.finished(session.id)
    assert session.status == "failed"
    assert [(gap["fromMs"], gap["missing"]) for gap in session.error_details["gaps"]] == [(monday[1], 1)]
