"""Fixed candles in, expected directions out."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from app.domain.market.candle import Candle
from app.domain.trading.settings import Sizing
from app.domain.trading.strategy import Strategy
from app.domain.trading.strategy_runner import StrategyRunner
from app.strategies.directional import Directional, Excursion
from app.strategies.registry import BUILT_IN
from tests.support.trading import Script, bar, bars, broker_config, fills, of


def answers(slug: str, candles: list[Candle], **config: object) -> list[str | None]:
    """Return what a built-in's rule says at each candle."""
    strategy = BUILT_IN[slug](**config)
    assert isinstance(strategy, Directional)
    rule = strategy.rule()
    return [rule.next(candle) for candle in candles]


def events_of(strategy: Strategy, candles: list[Candle], **changes: object) -> list:
    trader = StrategyRunner(strategy, broker_config(**changes))
    return [event for candle in candles for event in trader.on_slot((candle,))]


def test_averages_cross_only_once_both_exist_on_two_candles() -> None:
    candles = bars("1", "2", "3", "2", "1", "1", "4")
    # SMA(1) - SMA(2) exists from the second candle: .5 .5 -.5 -.5 0 1.5
    assert answers("sma_cross", candles, fast=1, slow=2) == [None, None, None, "SHORT", None, None, "LONG"]


def test_the_state_of_two_averages_is_given_at_every_candle_from_the_slow_th_on() -> None:
    assert answers("ema_state", bars("2", "2", "4", "4", "1"), fast=1, slow=3) == [None, None, "LONG", "LONG", "SHORT"]


def test_the_state_begins_with_the_slow_average_even_when_that_is_the_shorter_one() -> None:
    assert answers("ema_state", bars("2", "4", "8", "1"), fast=5, slow=2) == [None, "SHORT", "SHORT", "LONG"]


def test_averages_that_are_exactly_equal_have_no_state() -> None:
    # EMA(2) and EMA(5) of 1, 10, 10, 10, 5 are both 59 / 9
    assert answers("ema_state", bars("1", "10", "10", "10", "5"), fast=2, slow=5)[-1] is None


def test_the_strength_index_speaks_when_it_leaves_its_bounds() -> None:
    candles = bars("10", "11", "10", "9", "8", "9", "10", "11", "12")
    assert answers("rsi_revert", candles, n=2, low=30, high=70) == [
        None,
        None,
        None,
        "LONG",
        None,
        None,
        "SHORT",
        None,
        None,
    ]


def test_a_channel_is_broken_by_a_close_beyond_the_candles_before() -> None:
    candles = bars("5 6 4 5", "5 7 5 6", "6 7 6 7", "7 8 7 8", "8 8 3 4")
    assert answers("donchian_breakout", candles, entry=2, exit=1) == [None, None, None, "LONG", "SHORT"]


def test_an_envelope_is_left_downwards_and_the_average_reached_again() -> None:
    candles = bars("100", "100", "90", "94", "99", "110")
    assert answers("ema_revert", candles, n=2, percent=2) == [None, None, "LONG", "EXIT", None, "SHORT"]


def test_a_dip_in_a_rise_is_bought_and_sold_above_the_short_average() -> None:
    candles = bars("100", "110", "120", "130", "126", "124", "131")
    assert answers("trend_pullback", candles, trend=5, n=2, exit=2, low=60)[-3:] == [None, "LONG", "EXIT"]


def test_a_close_below_the_keltner_channel_is_bought_and_the_middle_sold() -> None:
    candles = bars("100 101 99 100", "100 101 99 100", "100 101 99 100", "100 100 90 90", "90 100 90 99")
    assert answers("keltner_revert", candles, n=3, atr=3, width=1) == [None, None, None, "LONG", "EXIT"]


def test_a_squeeze_ends_in_the_direction_of_momentum() -> None:
    quiet = [bar(number, "100 101 99 100") for number in range(12)]
    rise = [bar(12 + number, f"{100 + 4 * number} {106 + 4 * number} 99 {105 + 4 * number}") for number in range(4)]
    up = answers("squeeze_breakout", quiet + rise, n=5)
    assert [direction for direction in up if direction != "EXIT" and direction] == ["LONG"]
    fall = [bar(12 + number, f"{100 - 4 * number} 101 {94 - 4 * number} {95 - 4 * number}") for number in range(4)]
    down = answers("squeeze_breakout", quiet + fall, n=5)
    assert [direction for direction in down if direction != "EXIT" and direction] == ["SHORT"]


def test_an_excursion_ends_only_from_the_side_it_began_on() -> None:
    excursion = Excursion()
    calm = {"too_low": False, "too_high": False}
    assert excursion.answer(**calm, risen=True, fallen=True) is None
    assert excursion.answer(too_low=True, too_high=False, risen=False, fallen=True) == "LONG"
    assert excursion.answer(**calm, risen=False, fallen=True) is None
    assert excursion.answer(**calm, risen=True, fallen=False) == "EXIT"
    assert excursion.answer(too_low=False, too_high=True, risen=True, fallen=False) == "SHORT"
    assert excursion.answer(**calm, risen=False, fallen=True) == "EXIT"


def test_side_long_closes_and_side_both_reverses() -> None:
    candles = bars("1", "2", "3", "2", "1", "1", "4", "4", "1", "1", "1")
    config = {"fast": 1, "slow": 2}
    long = events_of(BUILT_IN["sma_cross"](**config), candles)
    assert [signal["direction"] for signal in of(long, "signal")] == ["LONG", "EXIT"]
    assert [side for side, _, _ in fills(long)] == ["BUY", "SELL"]
    both = events_of(BUILT_IN["sma_cross"](side="both", **config), candles, sizing=Sizing("qty", Decimal(1)))
    assert [signal["direction"] for signal in of(both, "signal")] == ["SHORT", "LONG", "SHORT"]
    assert [side for side, _, _ in fills(both)] == ["SELL", "BUY", "BUY", "SELL", "SELL"]


def test_a_signal_comes_with_its_indicators_to_ten_digits_and_its_orders_share_the_reason() -> None:
    events = events_of(BUILT_IN["sma_cross"](fast=2, slow=3), bars("3", "2", "1", "5", "5"))
    signal = of(events, "signal")[0]
    assert signal["indicators"] == {"fast": 3, "slow": Decimal("2.666666667")}
    assert signal["reason"] == of(events, "order")[0]["reason"] == "SmaCross long"


def test_no_second_order_is_given_while_one_waits() -> None:
    slots = [*bars("2", "2", "4"), *(bar(number, "4", synthetic=True) for number in (3, 4)), bar(5, "4")]
    events = events_of(BUILT_IN["ema_state"](fast=1, slow=3), slots)
    assert len(of(events, "signal")) == 1
    assert len(fills(events)) == 1


def test_several_symbols_are_followed_separately() -> None:
    trader = StrategyRunner(BUILT_IN["buy_and_hold"](), broker_config(symbols=("AAA", "BBB"), leverage=None))
    events = []
    for number in range(3):
        events += trader.on_slot([bar(number, "10", symbol=symbol) for symbol in ("AAA", "BBB")[: number + 1]])
    assert [fill["symbol"] for fill in of(events, "fill")] == ["AAA", "BBB"]


def test_buying_waits_for_the_range_to_begin() -> None:
    trader = StrategyRunner(BUILT_IN["buy_and_hold"](), broker_config())
    trader.warm((bar(0, "1"),))
    assert len(of(trader.on_slot((bar(1, "1"),)), "order")) == 1


@pytest.mark.parametrize("slug", BUILT_IN)
def test_every_built_in_is_documented_with_its_rule_and_source_and_parameters_have_defaults(slug: str) -> None:
    schema = BUILT_IN[slug].parameter_schema()
    assert re.fullmatch(r"[a-z0-9_-]{1,64}", slug)
    assert schema["required"] == []
    if slug not in ("none", "manual", "buy_and_hold"):
        assert {"Rule:", "Source:"} <= set(schema["description"].split())


def test_one_file_per_strategy() -> None:
    folder = Path(__file__).parents[3] / "app" / "strategies"
    assert {strategy.__module__.rsplit(".", 1)[1] for strategy in BUILT_IN.values()} == {
        path.stem for path in folder.glob("*.py")
    } - {"__init__", "registry", "versions", "directional", "bounded"}


def synthetic(number: int, ohlc: str) -> Candle:
    return bar(number, ohlc, synthetic=True)


def test_a_turn_counts_while_the_order_before_it_waits_for_a_candle() -> None:
    # SMA(1) - SMA(2) of 3 2 4 1 1 1: . -.5 1 -1.5 0 0; the fourth candle is synthetic, so that nothing is filled on it.
    candles = [*bars("3", "2", "4"), synthetic(3, "1"), bar(4, "1"), bar(5, "1")]
    for side, signals, filled in (
        ("long", ["LONG", "EXIT"], []),
        ("both", ["LONG", "SHORT"], [("SELL", "1", "1")]),
    ):
        strategy = BUILT_IN["sma_cross"](fast=1, slow=2, side=side)
        events = events_of(strategy, candles, sizing=Sizing("qty", Decimal(1)))
        assert [signal["direction"] for signal in of(events, "signal")] == signals
        assert fills(events) == filled
        cancelled = [order for order in of(events, "order") if order["status"] == "cancelled"]
        assert [order["reason"] for order in cancelled] == [f"SmaCross {signals[-1].lower()}"]


def test_a_turn_back_to_where_the_position_still_is_gives_no_order() -> None:
    # SMA(1) - SMA(2): . -.5 1 0 -.5 1 0 0; the exit of the fifth candle waits over the synthetic one behind it.
    candles = [*bars("3", "2", "4", "4", "3"), synthetic(5, "5"), bar(6, "5"), bar(7, "5")]
    events = events_of(BUILT_IN["sma_cross"](fast=1, slow=2), candles, sizing=Sizing("qty", Decimal(1)))
    assert [signal["direction"] for signal in of(events, "signal")] == ["LONG", "EXIT", "LONG"]
    assert fills(events) == [("BUY", "1", "4")]


def test_the_rest_of_an_order_is_given_up_when_the_rule_turns() -> None:
    candles = bars("3", "2", "4", "4", "3", "3", "3")  # Of an order for 100, 10 are filled on each candle.
    strategy = BUILT_IN["sma_cross"](fast=1, slow=2)
    events = events_of(strategy, candles, sizing=Sizing("qty", Decimal(100)), volume_share=Decimal("0.1"))
    assert fills(events) == [("BUY", "10", "4"), ("BUY", "10", "3"), *[("SELL", "10", "3")] * 2]
    assert strategy.position.qty == 0
    assert not strategy.orders


def test_what_a_partial_exit_has_left_is_replaced_when_the_rule_turns_back() -> None:
    # Long for 10 at the fourth candle; 9 are sold on the sixth, and at its close the rule says long again.
    closes = ("3", "2", "4", "4", "3", "5", "5", "5")
    candles = [bar(number, close, volume="90" if number == 5 else "1000") for number, close in enumerate(closes)]
    strategy = BUILT_IN["sma_cross"](fast=1, slow=2)
    sized = {"sizing": Sizing("qty", Decimal(10)), "volume_share": Decimal("0.1")}
    assert fills(events_of(strategy, candles, **sized)) == [
        ("BUY", "10", "4"),
        ("SELL", "9", "5"),
        ("SELL", "1", "5"),
        ("BUY", "10", "5"),
    ]
    assert strategy.position.qty == 10


def test_orders_of_a_predecessor_do_not_hold_a_rule_back() -> None:
    on = broker_config(sizing=Sizing("qty", Decimal(1)))
    before = StrategyRunner(Script().follow({0: lambda script: script.buy(qty=1, limit=Decimal("0.1"))}), on)
    before.on_slot((bar(0, "3"),))
    strategy = BUILT_IN["sma_cross"](fast=1, slow=2)
    trader = StrategyRunner(strategy, on)
    for number, close in ((-4, "3"), (-3, "2"), (-2, "4"), (-1, "4"), (0, "3")):  # It would be long here.
        trader.warm((bar(number, close),))
    trader.inherit(before)
    events = [event for number, close in ((1, "5"), (2, "5")) for event in trader.on_slot((bar(number, close),))]
    assert [signal["direction"] for signal in of(events, "signal")] == ["LONG"]
    assert fills(events) == [("BUY", "1", "5")]
    assert not strategy.orders
