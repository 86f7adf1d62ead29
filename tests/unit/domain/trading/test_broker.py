"""Every kind of order against hand-made candles."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.domain.trading.settings import parse_sizing
from tests.support.trading import MINUTE, bar, bars, broker_config, changes, fills, of, play

FLAT = "100 100 100 100"


def test_a_market_order_fills_at_the_next_open() -> None:
    events = play(bars(FLAT, "101 105 99 102"), {0: lambda s: s.buy(qty=2)})
    assert fills(events) == [("BUY", "2", "101")]
    assert of(events, "fill")[0]["policy"] == "next_open"
    assert [(event.ts, event.type) for event in events if event.type in ("order", "fill")] == [
        (MINUTE, "order"),
        (MINUTE, "order"),
        (MINUTE, "fill"),
    ]


def test_a_market_order_fills_at_the_same_close_when_the_settings_say_so() -> None:
    events = play(bars("100 103 99 102"), {0: lambda s: s.buy(qty=2)}, broker_config(fill="same_close"))
    assert fills(events) == [("BUY", "2", "102")]
    assert [event.type for event in events] == ["order", "order", "fill", "equity"]
    assert {event.ts for event in events} == {MINUTE}


@pytest.mark.parametrize(
    ("candle", "rule", "price"),
    [
        ("100 105 95 99", "through", "96"),
        ("100 105 96 99", "through", None),
        ("100 105 96 99", "touch", "96"),
        ("94 105 90 99", "through", "94"),
        ("96 105 96 99", "through", None),
        ("96 105 96 99", "touch", "96"),
        ("100 105 97 99", "touch", None),
    ],
)
def test_a_buy_limit_fills_at_the_better_open_else_its_price(candle: str, rule: str, price: str | None) -> None:
    events = play(bars(FLAT, candle), {0: lambda s: s.buy(qty=1, limit=96)}, broker_config(limit_fill=rule))
    assert fills(events) == ([("BUY", "1", price)] if price else [])


@pytest.mark.parametrize(
    ("candle", "price"),
    [("100 105 95 99", "104"), ("100 104 95 99", None), ("106 108 105 105", "106")],
)
def test_a_sell_limit_mirrors_it(candle: str, price: str | None) -> None:
    events = play(bars(FLAT, candle), {0: lambda s: s.sell(qty=1, limit=104)})
    assert fills(events) == ([("SELL", "1", price)] if price else [])


@pytest.mark.parametrize(
    ("candle", "price"),
    [("100 105 95 99", "104"), ("106 108 105 107", "106"), ("100 103 95 99", None), ("100 104 95 99", "104")],
)
def test_a_buy_stop_fills_at_its_trigger_and_a_gapped_one_at_the_open(candle: str, price: str | None) -> None:
    events = play(bars(FLAT, candle), {0: lambda s: s.buy(qty=1, stop=104)})
    assert fills(events) == ([("BUY", "1", price)] if price else [])


def test_a_stop_limit_is_triggered_and_fills_at_the_trigger_when_its_limit_allows() -> None:
    events = play(bars(FLAT, "100 105 95 99"), {0: lambda s: s.buy(qty=1, stop=104, limit=104.5)})
    assert changes(events, 1) == ["accepted: strategy", "triggered: stop price reached", "filled: met by through"]
    assert fills(events) == [("BUY", "1", "104")]


def test_a_stop_limit_triggered_inside_a_candle_waits_for_the_next_to_come_back_to_its_limit() -> None:
    actions = {0: lambda s: s.buy(qty=1, stop=104, limit=98)}
    events = play(bars(FLAT, "100 105 95 99", "99 100 97 99"), actions)
    assert [event.ts for event in events if event.type == "fill"] == [2 * MINUTE]
    assert fills(events) == [("BUY", "1", "98")]


def test_a_stop_limit_gapped_beyond_its_limit_fills_when_the_candle_comes_back() -> None:
    events = play(bars(FLAT, "106 107 104 105"), {0: lambda s: s.buy(qty=1, stop=104, limit=105)})
    assert fills(events) == [("BUY", "1", "105")]


def test_a_trailing_stop_follows_the_high_and_never_goes_back() -> None:
    actions = {0: lambda s: s.buy(qty=1), 1: lambda s: s.sell(qty=1, trail=5)}
    events = play(bars(FLAT, FLAT, "100 110 99 108", "108 109 106 106", "106 107 104 105"), actions)
    assert fills(events) == [("BUY", "1", "100"), ("SELL", "1", "105")]
    stops = [str(order["stopPrice"]) for order in of(events, "order") if order["type"] == "trailing_stop"]
    assert stops == ["95", "105", "105"]
    assert changes(events, 2) == ["accepted: strategy", "accepted: trailed", "filled: met by stop"]


def test_a_trailing_stop_follows_the_open_before_it_is_held_against_the_candle() -> None:
    actions = {0: lambda s: s.buy(qty=1), 1: lambda s: s.sell(qty=1, trail=2)}
    events = play(bars(FLAT, FLAT, "105 106 102.5 104"), actions)
    assert fills(events)[1] == ("SELL", "1", "103")


def test_a_trailing_stop_in_percent_of_the_best_price_covers_a_short() -> None:
    actions = {0: lambda s: s.sell(qty=1), 1: lambda s: s.buy(qty=1, trail_pct=10)}
    events = play(bars(FLAT, FLAT, "100 101 80 85", "85 89 84 88"), actions)
    assert fills(events) == [("SELL", "1", "100"), ("BUY", "1", "88")]


def test_exits_are_born_with_the_fill_and_one_cancels_the_other() -> None:
    actions = {0: lambda s: s.buy(qty=1, stop_loss=95, take_profit=110)}
    events = play(bars(FLAT, "100 101 99 100", "100 111 99 100"), actions)
    assert fills(events) == [("BUY", "1", "100"), ("SELL", "1", "110")]
    assert changes(events, 2) == ["accepted: stop loss of order 1", "cancelled: the other exit was filled"]
    assert changes(events, 3) == ["accepted: take profit of order 1", "filled: met by through"]
    assert of(events, "trade")[0]["reason"] == "take profit"


def test_the_stop_loss_comes_first_when_one_candle_reaches_both_exits() -> None:
    actions = {0: lambda s: s.buy(qty=1, stop_loss=95, take_profit=110)}
    events = play(bars(FLAT, "100 115 90 100"), actions)
    assert fills(events) == [("BUY", "1", "100"), ("SELL", "1", "95")]


def test_a_candle_that_opens_beyond_the_take_profit_fills_it_at_the_open() -> None:
    actions = {0: lambda s: s.buy(qty=1, stop_loss=95, take_profit=110)}
    events = play(bars(FLAT, FLAT, "112 115 90 100"), actions)
    assert fills(events)[1] == ("SELL", "1", "112")


def test_a_stop_loss_gapped_over_fills_at_the_open() -> None:
    events = play(bars(FLAT, FLAT, "90 92 88 91"), {0: lambda s: s.buy(qty=1, stop_loss=95)})
    assert fills(events)[1] == ("SELL", "1", "90")


def test_an_entry_met_inside_its_candle_can_be_stopped_there_but_takes_no_profit_there() -> None:
    actions = {0: lambda s: s.buy(qty=1, limit=98, stop_loss=95, take_profit=104)}
    profit = play(bars(FLAT, "100 105 97 100", FLAT), actions)
    assert fills(profit) == [("BUY", "1", "98")]
    loss = play(bars(FLAT, "100 105 94 100"), actions)
    assert fills(loss) == [("BUY", "1", "98"), ("SELL", "1", "95")]


def test_a_stop_limit_triggered_inside_its_candle_takes_no_profit_there_either() -> None:
    actions = {0: lambda s: s.buy(qty=1, stop=105, limit=106, stop_loss=102, take_profit=108)}
    assert fills(play(bars(FLAT, "100 110 103 104"), actions)) == [("BUY", "1", "105")]
    assert fills(play(bars(FLAT, "100 110 101 104"), actions))[1:] == [("SELL", "1", "102")]
    gapped = play(bars(FLAT, "105 110 103 104"), actions)
    assert fills(gapped) == [("BUY", "1", "105"), ("SELL", "1", "108")]


def test_exits_end_with_the_position_they_belong_to() -> None:
    actions = {0: lambda s: s.buy(qty=1, stop_loss=95, take_profit=110), 2: lambda s: s.close()}
    events = play(bars(FLAT, FLAT, FLAT, FLAT, "100 120 80 100"), actions)
    assert fills(events) == [("BUY", "1", "100"), ("SELL", "1", "100")]
    assert changes(events, 2)[-1] == "cancelled: the position is closed"
    assert changes(events, 3)[-1] == "cancelled: the position is closed"


def test_exits_end_with_the_position_they_protect_when_it_is_reversed() -> None:
    actions = {0: lambda s: s.buy(qty=1, stop_loss=95, take_profit=110), 1: lambda s: s.sell(qty=3)}
    events = play(bars(FLAT, FLAT, FLAT, "100 120 80 100"), actions)
    assert fills(events) == [("BUY", "1", "100"), ("SELL", "1", "100"), ("SELL", "2", "100")]
    assert changes(events, 2)[-1] == changes(events, 3)[-1] == "cancelled: the position is closed"


def test_an_exit_that_is_met_already_at_its_entrys_price_fills_there_in_rule_set_1() -> None:
    on = broker_config(rules=1)
    beyond = {0: lambda s: s.buy(qty=1, stop=105, stop_loss=106)}
    assert fills(play(bars(FLAT, "100 110 99 108"), beyond, on)) == [("BUY", "1", "105"), ("SELL", "1", "105")]
    profit = {0: lambda s: s.buy(qty=1, stop=105, take_profit=103)}
    assert fills(play(bars(FLAT, "100 110 99 108"), profit, on)) == [("BUY", "1", "105"), ("SELL", "1", "105")]


def test_a_close_never_goes_beyond_what_is_still_held() -> None:
    actions = {0: lambda s: s.buy(qty=3), 1: lambda s: (s.sell(qty=2), s.close())}
    events = play(bars(FLAT, FLAT, FLAT), actions)
    assert fills(events) == [("BUY", "3", "100"), ("SELL", "2", "100"), ("SELL", "1", "100")]
    assert changes(events, 3)[-2:] == ["partial: met by next_open", "cancelled: the position is closed"]


def test_exits_of_an_entry_at_the_close_wait_for_the_next_candle() -> None:
    actions = {0: lambda s: s.buy(qty=1, stop_loss=95, take_profit=99)}
    events = play(bars("100 101 90 98", "98.5 100 96 97"), actions, broker_config(fill="same_close"))
    assert fills(events) == [("BUY", "1", "98"), ("SELL", "1", "99")]


def test_a_short_is_protected_the_other_way_round() -> None:
    actions = {0: lambda s: s.sell(qty=1, stop_loss=105, take_profit=90)}
    assert fills(play(bars(FLAT, "100 106 99 100"), actions))[1] == ("BUY", "1", "105")
    assert fills(play(bars(FLAT, "100 101 89 100"), actions))[1] == ("BUY", "1", "90")


def test_nothing_is_filled_on_a_synthetic_candle() -> None:
    slots = [bar(0, "100"), bar(1, "100", synthetic=True), bar(2, "101")]
    events = play(slots, {0: lambda s: s.buy(qty=1)})
    assert [event.ts for event in events if event.type == "fill"] == [2 * MINUTE]
    closing = play(
        [bar(0, "100", synthetic=True), bar(1, "101")], {0: lambda s: s.buy(qty=1)}, broker_config(fill="same_close")
    )
    assert fills(closing) == [("BUY", "1", "101")]


def test_market_and_stop_orders_pay_slippage_and_limits_do_not() -> None:
    on = broker_config(slippage_bps=Decimal(50))
    events = play(bars("200", "200"), {0: lambda s: s.buy(qty=1)}, on)
    assert fills(events) == [("BUY", "1", "201")]
    assert of(events, "fill")[0]["slippage"] == 1
    assert fills(play(bars("200", "200"), {0: lambda s: s.sell(qty=1)}, on)) == [("SELL", "1", "199")]
    assert fills(play(bars("200", "200 201 190 195"), {0: lambda s: s.buy(qty=1, limit=195)}, on))[0][2] == "195"


def test_a_fill_at_the_orders_own_limit_pays_the_maker_fee_and_every_other_the_taker_fee() -> None:
    on = broker_config(maker_fee_bps=Decimal(1), taker_fee_bps=Decimal(10))
    market = play(bars("100", "100"), {0: lambda s: s.buy(qty=1)}, on)
    assert of(market, "fill")[0]["fee"] == Decimal("0.1")
    resting = play(bars("100", "100 101 90 95"), {0: lambda s: s.buy(qty=1, limit=95)}, on)
    assert of(resting, "fill")[0]["fee"] == Decimal("0.0095")
    crossing = play(bars("100", "90 101 89 95"), {0: lambda s: s.buy(qty=1, limit=95)}, on)
    assert of(crossing, "fill")[0]["fee"] == Decimal("0.09")


def test_a_reversal_is_two_fills_at_one_price_and_the_exits_protect_what_it_opened() -> None:
    actions = {0: lambda s: s.buy(qty=2), 1: lambda s: s.sell(qty=5, stop_loss=120)}
    events = play(bars("100", "100", "110"), actions)
    assert fills(events) == [("BUY", "2", "100"), ("SELL", "2", "110"), ("SELL", "3", "110")]
    assert [trade["grossPnl"] for trade in of(events, "trade")] == [20]
    assert (
        of(events, "order")[-1] | {"orderId": 3, "qty": 3, "stopPrice": 120, "side": "BUY"} == of(events, "order")[-1]
    )


def test_lots_are_closed_first_in_first_out_with_fees_of_both_sides_pro_rata() -> None:
    on = broker_config(taker_fee_bps=Decimal(10), initial_cash=Decimal(10_000))
    actions = {0: lambda s: s.buy(qty=1), 1: lambda s: s.buy(qty=2), 2: lambda s: s.sell(qty="1.5", reason="half")}
    events = play(bars("100", "100", "200", "300"), actions, on)
    first, second = of(events, "trade")
    assert first == {
        "symbol": "BTC",
        "side": "LONG",
        "qty": 1,
        "entryPrice": 100,
        "exitPrice": 300,
        "entryTs": MINUTE,
        "exitTs": 3 * MINUTE,
        "grossPnl": 200,
        "fees": Decimal("0.4"),
        "netPnl": Decimal("199.6"),
        "holdBars": 2,
        "reason": "half",
    }
    assert (second["qty"], second["entryPrice"], second["fees"]) == (Decimal("0.5"), 200, Decimal("0.25"))
    assert of(events, "equity")[-1]["realizedPnl"] == Decimal("199.6") + Decimal("49.75")


def test_the_rest_of_a_lot_stays_the_oldest_with_its_entry_and_each_side_its_own_fee() -> None:
    on = broker_config(taker_fee_bps=Decimal(10), maker_fee_bps=Decimal(20))
    actions = {
        0: lambda s: s.buy(qty=2),
        1: lambda s: s.buy(qty=1),
        2: lambda s: s.sell(qty=1, limit=300),
        3: lambda s: s.sell(qty=2),
    }
    events = play(bars("100", "100", "200", "250 310 250 300", "400"), actions, on)
    first, second, third = of(events, "trade")
    assert (first["qty"], first["entryPrice"], first["fees"]) == (1, 100, Decimal("0.7"))
    assert (second["qty"], second["entryPrice"], second["entryTs"], second["holdBars"]) == (1, 100, MINUTE, 3)
    assert (third["qty"], third["entryPrice"], third["entryTs"]) == (1, 200, 2 * MINUTE)
    open_ = [equity["unrealizedPnl"] for equity in of(events, "equity")]
    assert open_ == [0, 0, 200, 300, 0]  # after the first sale 1 of 100 and 1 of 200 are left at 300


def test_money_fixes_the_quantity_at_the_fill_price_with_fees_reserved_rounded_down() -> None:
    on = broker_config(taker_fee_bps=Decimal(10), slippage_bps=Decimal(10))
    events = play(bars("100", "30"), {0: lambda s: s.buy(cash=1000)}, on)
    given, filled = of(events, "order")
    assert (given["qty"], given["sizing"]) == (None, {"cash": 1000})
    price = Decimal("30.03")
    expected = (1000 / (price * Decimal("1.001"))).quantize(Decimal("1E-10"), rounding="ROUND_DOWN")
    assert filled["qty"] == of(events, "fill")[0]["qty"] == expected
    assert "sizing" not in filled


def test_the_default_size_is_all_equity_and_spends_no_more_than_the_cash() -> None:
    events = play(bars("100", "30"), {0: lambda s: s.buy()}, broker_config(taker_fee_bps=Decimal(10)))
    cash = of(events, "equity")[-1]["cash"]
    assert 0 <= cash < Decimal("0.00000001")


def test_a_sized_reversal_closes_first_and_sizes_what_it_opens_from_the_equity_left() -> None:
    on = broker_config(
        taker_fee_bps=Decimal(100), initial_cash=Decimal(1000), sizing=parse_sizing({"equityPct": 50, "qtyStep": "0.1"})
    )
    events = play(bars("10", "10", "20"), {0: lambda s: s.buy(), 1: lambda s: s.sell()}, on)
    assert fills(events) == [("BUY", "49.5", "10"), ("SELL", "49.5", "20"), ("SELL", "36.6", "20")]
    # 1000 - 4.95 + 495 - 9.9 = 1480.15 equity after the closing leg; half of it over 20 * 1.01 is 36.637.
    assert of(events, "order")[-1]["qty"] == Decimal("86.1")


def test_a_size_that_rounds_to_zero_is_rejected() -> None:
    on = broker_config(sizing=parse_sizing({"cash": 5, "qtyStep": 1}))
    events = play(bars("10", "10"), {0: lambda s: s.buy()}, on)
    assert changes(events, 1) == ["accepted: strategy", "rejected: the size rounds to zero"]


def test_an_order_beyond_the_margin_is_rejected_at_its_fill() -> None:
    events = play(bars("100", "100"), {0: lambda s: s.buy(qty=101)})
    assert fills(events) == []
    assert changes(events, 1)[1].startswith("rejected: margin: 10100 at leverage 1")


def test_margin_counts_fees_and_leverage_and_is_off_without_leverage() -> None:
    exact = {0: lambda s: s.buy(qty=100)}
    assert len(fills(play(bars("100", "100"), exact))) == 1
    assert fills(play(bars("100", "100"), exact, broker_config(taker_fee_bps=Decimal(1)))) == []
    triple = {0: lambda s: s.sell(qty=300)}
    assert len(fills(play(bars("100", "100"), triple, broker_config(leverage=Decimal(3))))) == 1
    assert len(fills(play(bars("100", "100"), {0: lambda s: s.buy(qty=9000)}, broker_config(leverage=None)))) == 1


def test_a_reversal_to_the_same_size_is_not_larger_and_so_never_refused() -> None:
    actions = {0: lambda s: s.sell(qty=100), 1: lambda s: s.buy(qty=200)}
    events = play(bars("100", "100", "150"), actions)
    assert fills(events)[1:] == [("BUY", "100", "150"), ("BUY", "100", "150")]


@pytest.mark.parametrize(
    ("a", "b", "bought"),
    [("30 30 10 10", "61", False), ("30 30 10 10", "60", True), ("10 30 10 30", "100", True)],
)
def test_the_margin_counts_the_other_symbols_at_their_opens_short_ones_too(a: str, b: str, bought: bool) -> None:
    on = broker_config(symbols=("A", "B"), initial_cash=Decimal(100))
    actions = {0: lambda s: s.sell("A", qty=1), 1: lambda s: s.buy("B", qty=1)}
    slots = [
        [bar(number, open_, symbol="A"), bar(number, other, symbol="B")]
        for number, (open_, other) in enumerate([("20", "50"), ("20", "50"), (a, b)])
    ]
    # 120 of cash less A is what there is, A and B are what it must carry: B may cost 120 - 2 * A
    assert len(fills(play(slots, actions, on))) == 1 + bought


def test_the_equity_that_carries_an_order_is_that_at_its_price() -> None:
    on = broker_config(initial_cash=Decimal(100), leverage=Decimal(2))
    actions = {0: lambda s: s.buy(qty=1), 1: lambda s: s.buy(qty=1, stop=120)}
    assert fills(play(bars("100", "100", "100 125 100 125"), actions, on))[1:] == [("BUY", "1", "120")]
    actions = {0: lambda s: s.buy(qty=1), 1: lambda s: s.buy(qty="1.01", stop=120)}
    assert fills(play(bars("100", "100", "100 125 100 125"), actions, on))[1:] == []


def test_leveraged_equity_percent_reserves_its_fees_too() -> None:
    on = broker_config(leverage=Decimal(3), taker_fee_bps=Decimal(10), sizing=parse_sizing({"equityPct": 300}))
    assert len(fills(play(bars("100", "100"), {0: lambda s: s.buy()}, on))) == 1


def test_what_reduces_a_position_is_never_rejected_and_equity_may_go_negative() -> None:
    actions = {0: lambda s: s.sell(qty=100), 1: lambda s: s.buy(qty=50)}
    events = play(bars("100", "100", "300"), actions)
    assert fills(events)[1] == ("BUY", "50", "300")
    assert of(events, "equity")[-1]["equity"] == -10_000


def test_a_share_of_the_volume_fills_in_parts_over_candles() -> None:
    slots = [bar(0, "100"), bar(1, "100", volume="30"), bar(2, "101", volume="0"), bar(3, "102", volume="100")]
    events = play(slots, {0: lambda s: s.buy(qty=5)}, broker_config(volume_share=Decimal("0.1")))
    assert fills(events) == [("BUY", "3", "100"), ("BUY", "2", "102")]
    assert [order["status"] for order in of(events, "order")] == ["accepted", "partial", "filled"]


def test_the_volume_share_is_shared_by_all_orders_of_a_candle() -> None:
    slots = [bar(0, "100"), bar(1, "100", volume="30")]
    actions = {0: lambda s: (s.buy(qty=2), s.buy(qty=2))}
    assert fills(play(slots, actions, broker_config(volume_share=Decimal("0.1")))) == [
        ("BUY", "2", "100"),
        ("BUY", "1", "100"),
    ]


def test_a_size_is_not_fixed_by_a_candle_whose_volume_is_under_a_step() -> None:
    slots = [bar(0, "100"), bar(1, "100", volume="5"), bar(2, "50", volume="1000")]
    on = broker_config(volume_share=Decimal("0.1"), sizing=parse_sizing({"cash": 1000, "qtyStep": 1}))
    events = play(slots, {0: lambda s: s.buy()}, on)
    assert fills(events) == [("BUY", "20", "50")]
    assert [order["status"] for order in of(events, "order")] == ["accepted", "filled"]


def test_partly_filled_exits_shrink_together() -> None:
    slots = [
        bar(0, "100", volume="1000"),
        bar(1, "100", volume="1000"),
        bar(2, "100 111 99 100", volume="30"),
        bar(3, "100 100 90 95", volume="1000"),
    ]
    actions = {0: lambda s: s.buy(qty=10, stop_loss=95, take_profit=110)}
    events = play(slots, actions, broker_config(volume_share=Decimal("0.1")))
    assert fills(events) == [("BUY", "10", "100"), ("SELL", "3", "110"), ("SELL", "7", "95")]
    assert "accepted: reduced with the other exit" in changes(events, 2)
    assert changes(events, 3)[-1] == "cancelled: the other exit was filled"


def test_an_order_expires_after_its_number_of_candles() -> None:
    events = play(bars(FLAT, FLAT, FLAT, FLAT), {0: lambda s: s.buy(qty=1, limit=50, good_for=2)})
    assert changes(events, 1) == ["accepted: strategy", "expired: its number of candles has passed"]
    assert [event.ts for event in events if event.type == "order"] == [MINUTE, 3 * MINUTE]


def test_orders_are_cancelled_by_id_by_tag_or_all() -> None:
    actions = {
        0: lambda s: [s.buy(qty=1, limit=50, tag=tag) for tag in ("a", "b", "b", "c")],
        1: lambda s: (s.cancel(1), s.cancel(tag="b"), s.cancel(99), s.cancel(reason="enough")),
    }
    events = play(bars(FLAT, FLAT), actions)
    assert [changes(events, number)[-1] for number in (1, 2, 3, 4)] == ["cancelled: strategy"] * 3 + [
        "cancelled: enough"
    ]


def test_orders_of_several_symbols_meet_the_open_in_the_order_given() -> None:
    slots = [(bar(number, "100", symbol="AAA"), bar(number, "50", symbol="BBB")) for number in range(4)]
    actions = {
        0: lambda s: s.buy("BBB", qty=200),
        1: lambda s: (s.close("BBB"), s.buy("AAA", qty=100)),
        2: lambda s: s.buy("BBB", qty=1),
    }
    events = play(slots, actions, broker_config(symbols=("AAA", "BBB")))
    assert fills(events) == [("BUY", "200", "50"), ("SELL", "200", "50"), ("BUY", "100", "100")]
    assert changes(events, 4)[-1].startswith("rejected: margin")
    assert of(events, "equity")[-1]["positions"] == {
        "AAA": {"qty": 100, "avgPrice": 100, "value": 10_000},
        "BBB": {"qty": 0, "avgPrice": 0, "value": 0},
    }


def test_a_symbol_without_a_candle_keeps_its_orders_waiting() -> None:
    both = (bar(0, "100", symbol="AAA"), bar(0, "50", symbol="BBB"))
    later = (bar(2, "100", symbol="AAA"), bar(2, "60", symbol="BBB"))
    events = play(
        [both, (bar(1, "100", symbol="AAA"),), later],
        {0: lambda s: s.buy("BBB", qty=1)},
        broker_config(symbols=("AAA", "BBB")),
    )
    assert fills(events) == [("BUY", "1", "60")]
