"""Funding and interest: when they are due, on what, and in which sums."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.snapshot import from_text, to_text
from app.domain.trading.strategy_runner import StrategyRunner
from tests.support.trading import Script, broker_config, of

HOUR = 3_600_000
FREE: dict[str, Any] = {"timeframe": "4h", "leverage": None}


def candle(hour: int, price: int, hours: int = 4) -> Candle:
    prices = [Decimal(price)] * 4
    return Candle("BTC", f"{hours}h", hour * HOUR, (hour + hours) * HOUR, *prices, Decimal(100))


def run(candles: list[Candle], actions: Any, **settings: Any) -> list[Event]:
    on = broker_config(**settings)
    object.__setattr__(on, "timeframe", candles[0].timeframe)
    runner = StrategyRunner(Script().follow(actions), on)
    return [event for candle in candles for event in runner.on_slot((candle,))]


def paid(events: list[Event], type_: str) -> list[tuple[int, Any]]:
    """Return the hour and the amount of each payment."""
    return [(event.ts // HOUR, event.payload["amount"]) for event in events if event.type == type_]


BUY = {0: lambda s: s.buy(qty=2)}
SELL = {0: lambda s: s.sell(qty=2)}


def test_funding_is_paid_every_eight_hours_on_the_position_and_its_close() -> None:
    candles = [candle(hour, 100 + hour) for hour in range(0, 24, 4)]
    assert paid(run(candles, BUY, funding_bps=Decimal(10)), "funding") == [
        (8, Decimal("0.208")),
        (16, Decimal("0.224")),
        (24, Decimal("0.24")),
    ]
    assert paid(run(candles, SELL, funding_bps=Decimal(10)), "funding")[0] == (8, Decimal("-0.208"))
    assert paid(run(candles, BUY, funding_bps=Decimal(-10)), "funding")[0] == (8, Decimal("-0.208"))


def test_an_order_filled_at_the_open_comes_after_the_funding_of_that_time() -> None:
    candles = [candle(hour, 100) for hour in range(0, 20, 4)]
    events = run(candles, {1: lambda s: s.buy(qty=2)}, funding_bps=Decimal(10))
    assert paid(events, "funding") == [(16, Decimal("0.2"))]


def test_a_long_candle_pays_for_each_time_in_it_and_a_gap_for_what_was_held() -> None:
    days = run([candle(0, 100, 24), candle(24, 100, 24)], BUY, funding_bps=Decimal(10))
    assert [(event["times"], event["amount"]) for event in of(days, "funding")] == [(3, Decimal("0.6"))]
    gap = [candle(0, 100), candle(4, 110), candle(24, 200)]
    events = run(gap, {0: lambda s: s.buy(qty=2), 1: lambda s: s.close()}, funding_bps=Decimal(10))
    assert [
        (event.ts // HOUR, event.payload["times"], event.payload["price"])
        for event in events
        if event.type == "funding"
    ] == [
        (8, 1, 110),
        (24, 2, 110),
    ]


def test_interest_is_paid_at_midnight_on_borrowed_cash_and_short_positions() -> None:
    candles = [candle(hour, 100) for hour in range(0, 52, 4)]
    costs = {"borrow_bps_per_day": Decimal(100), "leverage": None}
    assert paid(run(candles, {0: lambda s: s.buy(qty=150)}, **costs), "interest") == [
        (24, 50),
        (48, Decimal("50.5")),
    ]
    assert paid(run(candles, {0: lambda s: s.sell(qty=10)}, **costs), "interest") == [(24, 10), (48, 10)]
    assert paid(run(candles, {0: lambda s: s.buy(qty=50)}, **costs), "interest") == []


def test_the_sums_are_in_the_equity_and_only_where_the_session_has_such_costs() -> None:
    candles = [candle(hour, 100) for hour in range(0, 28, 4)]
    events = run(candles, SELL, funding_bps=Decimal(10), borrow_bps_per_day=Decimal(5))
    last = of(events, "equity")[-1]
    assert (last["fundingPaid"], last["interestPaid"]) == (Decimal("-0.6"), Decimal("0.1"))
    assert last["equity"] == 10_000 + last["realizedPnl"] + last["unrealizedPnl"] - Decimal("-0.6") - Decimal("0.1")
    assert list(last) == sorted(last, key=lambda name: (len(name), name)), "in the order of jsonb"
    assert "fundingPaid" not in of(run(candles, SELL), "equity")[-1]


def test_a_snapshot_keeps_what_was_charged() -> None:
    class Kept(Script):
        def snapshot(self) -> Any:
            return 0

        def restore(self, stored: Any) -> None:
            self.follow({})

    on = broker_config(funding_bps=Decimal(10))
    first = StrategyRunner(Kept().follow(BUY), on)
    for hour in (0, 4, 8):
        first.on_slot((candle(hour, 100)._replace(timeframe="1m"),))
    second = StrategyRunner(Kept().follow({}), on)
    second.restore(from_text(to_text(first.snapshot())))
    rest = [candle(hour, 100)._replace(timeframe="1m") for hour in (24, 28)]
    assert [second.on_slot((candle,)) for candle in rest] == [first.on_slot((candle,)) for candle in rest]


@pytest.mark.parametrize("costs", [{"funding_bps": Decimal(0)}, {}])
def test_without_rates_nothing_is_charged(costs: dict[str, Any]) -> None:
    events = run([candle(hour, 100) for hour in range(0, 48, 4)], BUY, **costs)
    assert paid(events, "funding") == paid(events, "interest") == []
