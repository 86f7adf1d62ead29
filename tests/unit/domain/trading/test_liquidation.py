"""Liquidation: at which price, before and after which orders, and what is left."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.trading import bar, bars, broker_config, changes, fills, of, play

FLAT = "100 100 100 100"
LEVERED: dict[str, Any] = {"leverage": Decimal(10), "initial_cash": Decimal(1000)}
M10 = broker_config(maintenance_margin_pct=Decimal(10), **LEVERED)
LONG = {0: lambda s: s.buy(qty=50)}  # 5,000 with 1,000: E = 1000 + 50 (p - 100) = 0.1 * 50 p at p = 88.8888888889.
SHORT = {0: lambda s: s.sell(qty=50)}  # E = 1000 - 50 (p - 100) = 0.1 * 50 p at p = 109.0909090909.


@pytest.mark.parametrize(
    ("actions", "candle", "price"),
    [
        (LONG, "100 101 88 95", "88.8888888889"),
        (LONG, "100 101 89 95", None),
        (LONG, "85 90 80 88", "85"),
        (SHORT, "100 110 99 100", "109.0909090909"),
        (SHORT, "112 113 111 112", "112"),
        (SHORT, "100 109 99 100", None),
    ],
)
def test_the_price_at_which_the_equity_is_the_margin(actions: Any, candle: str, price: str | None) -> None:
    events = play(bars(FLAT, FLAT, candle), actions, M10)
    assert [fill[2] for fill in fills(events)[1:]] == ([price] if price else [])
    if price:
        assert of(events, "fill")[-1]["policy"] == "liquidation"
        assert of(events, "trade")[-1]["reason"] == "liquidation"
        assert changes(events, 2) == ["accepted: liquidation", "filled: met by liquidation"]


def test_by_default_nothing_is_liquidated() -> None:
    events = play(bars(FLAT, FLAT, "50 50 50 50"), LONG, broker_config(**LEVERED))
    assert len(fills(events)) == 1
    assert of(events, "equity")[-1]["equity"] == -1500


def test_a_nearer_stop_comes_first_and_one_beyond_comes_too_late() -> None:
    near = {0: lambda s: s.buy(qty=50, stop_loss=90)}
    assert fills(play(bars(FLAT, FLAT, "100 101 80 85"), near, M10))[1:] == [("SELL", "50", "90")]
    beyond = {0: lambda s: s.buy(qty=50, stop_loss=85, take_profit=105)}
    events = play(bars(FLAT, FLAT, "100 110 80 85"), beyond, M10)
    assert fills(events)[1:] == [("SELL", "50", "88.8888888889")]
    assert changes(events, 2)[-1] == changes(events, 3)[-1] == "cancelled: the account is liquidated"


def test_an_order_at_the_open_comes_before_the_liquidation_there() -> None:
    events = play(bars(FLAT, FLAT, "85 90 80 88"), LONG | {1: lambda s: s.close()}, M10)
    assert [fill["policy"] for fill in of(events, "fill")] == ["next_open", "next_open"]


def test_an_entry_inside_its_candle_is_liquidated_at_its_own_price_not_at_the_open() -> None:
    events = play(bars(FLAT, "100 130 99 125"), {0: lambda s: s.buy(qty=50, stop=120)}, M10)
    assert fills(events) == [("BUY", "50", "120"), ("SELL", "50", "111.1111111111")]


def test_all_positions_are_closed_whatever_the_volume_with_slippage_and_fee() -> None:
    on = broker_config(
        symbols=("BTC", "ETH"),
        maintenance_margin_pct=Decimal(10),
        volume_share=Decimal(1),
        slippage_bps=Decimal(100),
        **LEVERED,
    )
    slots = [(bar(n, FLAT), bar(n, "10 10 10 10", symbol="ETH", volume="1000")) for n in range(2)]
    slots.append((bar(2, "100 100 50 60", volume="0"), bar(2, "10 10 10 10", symbol="ETH", volume="0")))
    actions = {0: lambda s: (s.buy("BTC", qty=40), s.sell("ETH", qty=10))}
    events = play(slots, actions, on)
    sold = [fill for fill in of(events, "fill") if fill["policy"] == "liquidation"]
    assert [(fill["symbol"], fill["side"], fill["qty"]) for fill in sold] == [("BTC", "SELL", 40), ("ETH", "BUY", 10)]
    assert sold[1]["price"] == Decimal("10.1")
    assert all(position["qty"] == 0 for position in of(events, "equity")[-1]["positions"].values())


def test_a_synthetic_candle_liquidates_nothing() -> None:
    slots = [bar(0, FLAT), bar(1, FLAT), bar(2, "50 50 50 50", synthetic=True)]
    assert len(fills(play(slots, LONG, M10))) == 1
