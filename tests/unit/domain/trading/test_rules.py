"""What the rule sets answer differently, side by side: set 1 as it always was, and set 2."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from app.domain.trading.rules import NEWEST_RULES, RULE_SETS
from app.domain.trading.settings import TradingSettings
from app.errors import BadInputError
from tests.support.trading import bar, bars, broker_config, changes, fills, of, play

FLAT = "100 100 100 100"
Fills = list[tuple[str, str, str]]


def both(slots: Any, actions: Any, **settings: Any) -> list[list[Any]]:
    """Return the events of each rule set."""
    return [play(slots, actions, broker_config(rules=rules, **settings)) for rules in RULE_SETS]


def test_new_settings_have_the_newest_rules() -> None:
    assert TradingSettings().rules == NEWEST_RULES == max(RULE_SETS)


def test_a_stop_loss_reached_without_volume_is_a_market_order_from_then_on() -> None:
    candles = [bar(0, FLAT), bar(1, FLAT), bar(2, "100 100 90 92", volume="100"), bar(3, "100 101 99 100")]
    actions = {0: lambda s: s.buy(qty=1, stop_loss=95), 1: lambda s: s.buy(qty=500)}
    first, second = both(candles, actions, volume_share=Decimal(1), leverage=None)
    assert [fill for fill in fills(first) if fill[0] == "SELL"] == []
    assert ("SELL", "1", "100") in fills(second)
    assert changes(second, 2) == [
        "accepted: stop loss of order 1",
        "triggered: stop price reached",
        "filled: met by next_open",
    ]


def test_what_is_left_of_a_partly_filled_stop_is_a_market_order() -> None:
    candles = [bar(0, FLAT), bar(1, FLAT, volume="10"), bar(2, "100 100 90 92", volume="4"), bar(3, FLAT, volume="9")]
    actions = {0: lambda s: s.buy(qty=10), 1: lambda s: s.sell(qty=10, stop=95)}
    first, second = both(candles, actions, volume_share=Decimal(1))
    assert fills(first)[1:] == [("SELL", "4", "95")]
    assert fills(second)[1:] == [("SELL", "4", "95"), ("SELL", "6", "100")]
    assert [fill["policy"] for fill in of(second, "fill")] == ["next_open", "stop", "next_open"]


def test_a_stop_that_became_a_market_order_no_longer_trails() -> None:
    candles = [bar(0, FLAT), bar(1, FLAT), bar(2, "100 110 90 108", volume="0"), bar(3, "120 130 119 125")]
    actions = {0: lambda s: s.buy(qty=1), 1: lambda s: s.sell(qty=1, trail=5)}
    _, second = both(candles, actions, volume_share=Decimal(1))
    assert changes(second, 2)[1:] == ["triggered: stop price reached", "filled: met by next_open"]
    assert fills(second)[1:] == [("SELL", "1", "120")]


def test_a_stop_limit_triggers_without_volume() -> None:
    candles = [bar(0, FLAT), bar(1, "100 105 95 99", volume="0"), bar(2, "99 100 97 99")]
    first, second = both(candles, {0: lambda s: s.buy(qty=1, stop=104, limit=98)}, volume_share=Decimal(1))
    assert fills(first) == []
    assert fills(second) == [("BUY", "1", "98")]


def test_the_margin_is_judged_once_and_for_the_whole_order() -> None:
    candles = [bar(number, FLAT, volume="60") for number in range(4)]
    too_much = {0: lambda s: s.buy(qty=150)}
    first, second = both(candles, too_much, volume_share=Decimal(1))
    assert fills(first) == [("BUY", "60", "100")]
    assert fills(second) == []
    assert changes(second, 1)[1].startswith("rejected: margin: 15000 at leverage 1")
    reversal = {0: lambda s: s.buy(qty=50), 1: lambda s: s.sell(qty=160)}
    first, second = both(candles, reversal, volume_share=Decimal(1))
    assert fills(first)[1:] == [("SELL", "50", "100"), ("SELL", "10", "100"), ("SELL", "60", "100")]
    assert fills(second)[1:] == []


def test_an_order_that_was_carried_at_its_first_fill_is_filled_to_its_end() -> None:
    candles = [bar(0, FLAT), bar(1, FLAT, volume="60"), bar(2, "150 150 150 150", volume="60")]
    first, second = both(candles, {0: lambda s: s.buy(qty=100)}, volume_share=Decimal(1))
    assert fills(first) == [("BUY", "60", "100")]
    assert fills(second) == [("BUY", "60", "100"), ("BUY", "40", "150")]


@pytest.mark.parametrize(
    ("exits", "reason"),
    [
        ({"stop_loss": 106}, "the stop loss 106 is on the wrong side of the entry at 105 of order 1"),
        ({"take_profit": 103}, "the take profit 103 is on the wrong side of the entry at 105 of order 1"),
    ],
)
def test_exits_on_the_wrong_side_of_the_entry_are_rejected(exits: dict[str, Any], reason: str) -> None:
    _, second = both(bars(FLAT, "100 110 99 108", FLAT), {0: lambda s: s.buy(qty=1, stop=105, **exits)})
    assert fills(second) == [("BUY", "1", "105")]
    assert changes(second, 2) == [f"rejected: {reason}"]


def test_the_other_exit_stays_when_one_is_rejected() -> None:
    actions = {0: lambda s: s.sell(qty=1, stop=95, stop_loss=94, take_profit=90)}
    _, second = both(bars(FLAT, "100 100 93 94", "94 95 89 90"), actions)
    assert fills(second) == [("SELL", "1", "95"), ("BUY", "1", "90")]
    assert changes(second, 2)[0].startswith("rejected: the stop loss 94 is on the wrong side")


def test_a_take_profit_at_the_entrys_price_waits_for_the_next_candle() -> None:
    actions = {0: lambda s: s.buy(qty=1, stop=105, take_profit=105)}
    first, second = both(bars(FLAT, "100 110 99 104", "104 106 103 104"), actions)
    assert [(fill[2], event.ts) for fill, event in zip(fills(first), of_type(first, "fill"), strict=True)] == [
        ("105", 60_000),
        ("105", 60_000),
    ]
    assert [event.ts for event in of_type(second, "fill")] == [60_000, 120_000]


def of_type(events: list[Any], type_: str) -> list[Any]:
    return [event for event in events if event.type == type_]


@pytest.mark.parametrize(
    ("order", "candle", "sold"),
    [
        ({"stop": 105, "take_profit": 108}, "100 110 99 104", "108"),
        ({"stop": 105, "limit": 106, "take_profit": 108}, "100 110 99 104", "108"),
        ({"stop": 105, "take_profit": 110}, "100 110 99 104", None),
        ({"stop": 105, "take_profit": 108, "stop_loss": 99}, "100 110 99 104", "99"),
        ({"limit": 98, "take_profit": 104}, "100 110 97 100", None),
    ],
)
def test_prices_that_prove_the_order_let_a_take_profit_fill_in_the_entry_candle(
    order: dict[str, Any], candle: str, sold: str | None
) -> None:
    actions = {0: lambda s: s.buy(qty=1, **order)}
    on = broker_config(entry_candle_profit="proven")
    assert [fill[2] for fill in fills(play(bars(FLAT, candle), actions, on))[1:]] == ([sold] if sold else [])
    if sold == "108":
        assert len(fills(play(bars(FLAT, candle), actions))) == 1


def test_the_drawdown_counts_from_the_initial_cash() -> None:
    actions = {0: lambda s: s.buy(qty=50)}
    costs = {"taker_fee_bps": Decimal(100), "fill": "same_close"}
    first, second = both(bars(FLAT, "99 99 99 99"), actions, **costs)
    assert [equity["drawdownPct"] for equity in of(first, "equity")] == [0, Decimal("0.5025125628")]
    assert [equity["drawdownPct"] for equity in of(second, "equity")] == [Decimal("0.5"), 1]
    assert {equity["peakEquity"] for equity in of(second, "equity")} == {10_000}


def test_rules_1_refuse_what_came_with_rules_2() -> None:
    TradingSettings(rules=1).require_consistent()
    with pytest.raises(BadInputError, match="entryCandleProfit: needs rules 2"):
        TradingSettings(rules=1, entry_candle_profit="proven").require_consistent()
