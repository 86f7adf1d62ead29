"""Strategies that know the future are found; the built-ins do not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from app.candles.sources import synthetic
from app.domain.market.candle import Candle
from app.domain.tick import Slot
from app.domain.trading.handover import Stage, StrategyChain
from app.domain.trading.strategy import Strategy
from app.domain.trading.strategy_runner import SlotView, StrategyRunner
from app.engine.lookahead import LookaheadFinding, check_lookahead
from app.strategies.registry import BUILT_IN
from app.strategy_hosts.strategy_host import InProcessHost, StrategyHost
from tests.support.running_engine import MINUTE, START_MS, spec


def slots(count: int = 600) -> list[Slot]:
    candles = synthetic.candles("BTCUSDT", "1m", START_MS, START_MS + count * MINUTE)
    return [Slot(candle.open_time_ms, [candle]) for candle in candles]


async def lookahead_of(strategy: type[Strategy], warmup: int = 0, **changes: Any) -> LookaheadFinding | None:
    before = [SlotView(slot.open_time_ms, slot.candles, False, slot.open_time_ms) for slot in slots()[:warmup]]
    rest = slots()[warmup:]
    on = spec(start_ms=rest[0].open_time_ms, end_ms=None, gap_policy="skip", **changes)

    @asynccontextmanager
    async def open_host(data: Sequence[Slot]) -> AsyncIterator[StrategyHost]:
        created = strategy()
        created.data = [candle for slot in data for candle in slot.candles]  # type: ignore[attr-defined]
        host = InProcessHost(
            StrategyChain([Stage("x", {}, on.broker_config)], [StrategyRunner(created, on.broker_config)])
        )
        await host.warm_up(before)
        yield host

    return await check_lookahead(on, rest, open_host, cuts=5)


class KnowsTheNext(Strategy):
    """Buys when the next close, which it was given beforehand, is higher."""

    def on_start(self) -> None:
        self._seen = 0

    def on_candle(self, candle: Candle) -> None:
        self._seen += 1
        if not self.position.qty and self._seen < len(self.data) and self.data[self._seen].close > candle.close:
            self.buy(qty=1)
        else:
            self.close()


class KnowsTheLast(Strategy):
    """Writes how far the last close of all is."""

    def on_candle(self, candle: Candle) -> None:
        self.plot("left", self.data[-1].close - candle.close)


class Remembers(Strategy):
    """Remembers what it has seen for its next run."""

    _closes: ClassVar[dict[int, Any]] = {}

    def on_candle(self, candle: Candle) -> None:
        self.plot("next", self._closes.get(candle.close_time_ms))
        self._closes[candle.open_time_ms] = candle.close


@pytest.mark.parametrize("strategy", [KnowsTheNext, KnowsTheLast, Remembers])
async def test_a_strategy_that_knows_the_future_is_found(strategy: type[Strategy]) -> None:
    result = await lookahead_of(strategy)
    assert result is not None
    event = result.changed or result.whole
    assert event is not None
    assert event.ts <= result.cut_ms
    assert result.whole != result.changed


class KnowsTheHour(Strategy):
    """Plots the high of the present hour, which it was given beforehand, before the hour has ended."""

    def on_candle(self, candle: Candle) -> None:
        hour = candle.open_time_ms // (60 * MINUTE)
        if candle.timeframe == "1m":
            self.plot("high", max(other.high for other in self.data if other.open_time_ms // (60 * MINUTE) == hour))


class WarmsUpOnAll(Strategy):
    """Takes a mean while it is warmed up, of what comes later too, and then only compares closes with it."""

    def on_candle(self, candle: Candle) -> None:
        if self.warming:
            self._mean = sum(other.close for other in self.data) / len(self.data)
        else:
            self.plot("above", candle.close - self._mean)


async def test_a_longer_candle_read_before_it_closes_is_found() -> None:
    result = await lookahead_of(KnowsTheHour, extra_timeframes=("1h",))
    assert result is not None


async def test_a_warm_up_that_reads_what_comes_after_it_is_found() -> None:
    result = await lookahead_of(WarmsUpOnAll, warmup=50)
    assert result is not None
    assert result.whole != result.changed


@pytest.mark.parametrize("slug", BUILT_IN)
async def test_a_built_in_does_not_know_the_future(slug: str) -> None:
    assert await lookahead_of(BUILT_IN[slug], extra_timeframes=("5m", "1h")) is None


class NeedsTheNext(Strategy):
    """Fails where there is no next close."""

    def on_start(self) -> None:
        self._seen = 0

    def on_candle(self, candle: Candle) -> None:
        self._seen += 1
        self.plot("next", self.data[self._seen].open if self._seen < 600 else None)


async def test_a_strategy_that_fails_without_the_future_is_found() -> None:
    result = await lookahead_of(NeedsTheNext)
    assert result is not None
    assert (result.how, result.changed, result.error) == ("cut", None, "IndexError: list index out of range")
    assert result.whole is not None
    assert result.whole.ts < result.cut_ms


class Breaks(Strategy):
    """Fails whatever the data is."""

    def on_candle(self, candle: Candle) -> None:
        raise ValueError("no")


async def test_a_strategy_that_cannot_run_at_all_says_why() -> None:
    with pytest.raises(ValueError, match="no"):
        await lookahead_of(Breaks)
