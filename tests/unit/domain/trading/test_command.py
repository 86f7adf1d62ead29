"""Commands: the request is checked and completed, and the broker takes it at the close of the last slot."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, get_args

import pytest

from app.domain.snapshot import from_text, to_text
from app.domain.trading.command import Command, changed_orders, resolve
from app.domain.trading.handover import Stage, StrategyChain
from app.domain.trading.order import API_TYPES, PRICES, ApiOrderType, OrderType, type_of
from app.domain.trading.settings import BrokerConfig, Sizing
from app.domain.trading.strategy_runner import SlotView, StrategyRunner
from app.errors import BadInputError
from app.strategies.manual import Manual
from tests.paths import ROOT
from tests.support.trading import MINUTE, bar, bars, broker_config, fills, finish, of

ORDER = {"side": "buy", "type": "market", "qty": 1}


def place(config: BrokerConfig | None = None, **fields: Any) -> Command:
    return resolve("order", {**ORDER, **fields}, config or broker_config())


def runner(*candles: str, **changes: Any) -> StrategyRunner:
    """Return an account after some candles."""
    runner = StrategyRunner(Manual(), broker_config(leverage=None, **changes))
    for candle in bars(*candles):
        runner.on_slot((candle,))
    return runner


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"side": "hold"}, "side"),
        ({"side": 1}, "side"),
        ({"type": "iceberg"}, "type"),
        ({"type": None}, "type"),
        ({"qty": 0}, "qty"),
        ({"qty": -1}, "qty"),
        ({"qty": True}, "qty"),
        ({"qty": "1"}, "qty"),
        ({"qty": Decimal("1E-41")}, "qty"),
        ({"cash": 5}, "cash"),
        ({"symbol": "ETH"}, "symbol"),
        ({"symbol": 5}, "symbol"),
        ({"type": "limit"}, "limitPrice"),
        ({"type": "stop", "limitPrice": 1}, "stopPrice"),
        ({"type": "market", "stopPrice": 1}, "stopPrice"),
        ({"type": "trailingStop"}, "trail"),
        ({"type": "trailingStop", "trail": 1, "trailPct": 1}, "trail"),
        ({"goodForCandles": 0}, "goodForCandles"),
        ({"goodForCandles": -1, "fill": "same_close"}, "goodForCandles"),
        ({"reduceOnly": "yes"}, "reduceOnly"),
        ({"fill": "never"}, "fill"),
        ({"clientOrderId": ""}, "clientOrderId"),
        ({"tag": "x" * 1001}, "tag"),
        ({"limitprice": 5}, "limitprice"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInputError, match=rf"^{named}: "):
        place(**fields)


def test_what_is_left_out_is_filled_in_from_the_session() -> None:
    config = broker_config(fill="same_close", sizing=Sizing("cash", Decimal(500)))
    command = resolve("order", {"side": "sell", "type": "market"}, config)
    assert command.args == {
        "symbol": "BTC", "side": "SELL", "type": "market", "cash": Decimal(500), "fill": "same_close",
    }  # fmt: skip
    assert resolve("close", {}, config).args == {"fill": "same_close"}
    assert resolve("cancel", {"orderId": 3}, config) == Command("cancel", {"orderId": 3})


def test_a_session_with_several_symbols_wants_one_to_be_named() -> None:
    with pytest.raises(BadInputError, match=r"^symbol: is required"):
        place(broker_config(symbols=("BTC", "ETH")))


def test_an_order_waits_for_the_next_open_or_fills_at_the_last_close() -> None:
    account = runner("10 12 9 11")
    placed = account.run_command(MINUTE, place())
    assert [(order["status"], order["filledQty"]) for order in changed_orders(placed)] == [("accepted", 0)]
    at_once = account.run_command(MINUTE, place(fill="same_close"))
    assert [(order["status"], order["avgPrice"]) for order in changed_orders(at_once)] == [("filled", 11)]
    assert {event.ts for event in placed + at_once} == {MINUTE}
    assert fills(account.on_slot((bar(1, "12 13 12 13"),))) == [("BUY", "1", "12")]


@pytest.mark.parametrize(
    ("fields", "filled"),
    [
        ({"type": "limit", "limitPrice": 12}, "11"),
        ({"type": "limit", "limitPrice": 11}, None),
        ({"type": "limit", "limitPrice": 10}, None),
        ({"type": "stop", "stopPrice": 10}, "11"),
        ({"type": "stop", "stopPrice": 12}, None),
        ({"type": "stopLimit", "stopPrice": 10, "limitPrice": 12}, "11"),
        ({"type": "stopLimit", "stopPrice": 10, "limitPrice": 10}, None),
        ({"type": "trailingStop", "trail": 1}, None),
    ],
)
def test_the_last_close_fills_what_it_reaches(fields: dict[str, Any], filled: str | None) -> None:
    events = runner("10 12 9 11").run_command(MINUTE, place(fill="same_close", **fields))
    assert fills(events) == ([] if filled is None else [("BUY", "1", filled)])


def test_before_the_first_candle_and_on_a_synthetic_one_an_order_waits_for_a_real_open() -> None:
    account = StrategyRunner(Manual(), broker_config(leverage=None))
    assert fills(account.run_command(0, place(fill="same_close"))) == []
    assert fills(account.on_slot((bar(0, "10"),))) == [("BUY", "1", "10")]
    account.on_slot((bar(1, "10", synthetic=True),))
    assert fills(account.run_command(2 * MINUTE, place(fill="same_close"))) == []
    assert fills(account.on_slot((bar(2, "11", synthetic=True),))) == []
    assert fills(account.on_slot((bar(3, "12"),))) == [("BUY", "1", "12")]


def test_commands_share_the_volume_of_the_candle_they_fill_at() -> None:
    account = runner("10", volume_share=Decimal("0.01"))  # a volume of 100, so 1 may be filled
    first = account.run_command(MINUTE, place(qty=Decimal("0.7"), fill="same_close"))
    second = account.run_command(MINUTE, place(qty=Decimal("0.7"), fill="same_close"))
    assert fills(first) + fills(second) == [("BUY", "0.7", "10"), ("BUY", "0.3", "10")]
    assert fills(account.on_slot((bar(1, "11"),))) == [("BUY", "0.4", "11")]


def test_a_snapshot_keeps_what_the_next_command_needs() -> None:
    account = runner("10", volume_share=Decimal("0.01"))
    account.run_command(MINUTE, place(qty=Decimal("0.7"), fill="same_close"))
    stored = account.snapshot()
    assert stored is not None
    other = StrategyRunner(Manual(), account.config)
    other.restore(from_text(to_text(stored)))
    command = place(qty=1, fill="same_close", stopLoss=5)
    assert other.run_command(MINUTE, command) == account.run_command(MINUTE, command)
    assert other.on_slot((bar(1, "4"),)) == account.on_slot((bar(1, "4"),))


def test_what_the_broker_does_not_take_is_rejected_and_has_an_id() -> None:
    account = runner("10", "10")
    rejected = account.run_command(MINUTE, place(reduceOnly=True))
    assert [(order["orderId"], order["status"]) for order in changed_orders(rejected)] == [(1, "rejected")]
    early = StrategyRunner(Manual(), broker_config())
    [order] = changed_orders(early.run_command(0, place(type="trailingStop", trail=1)))
    assert (order["status"], order["type"]) == ("rejected", "trailingStop")
    assert "no candle yet" in order["reason"]
    poor = StrategyRunner(Manual(), broker_config(initial_cash=Decimal(5)))
    poor.on_slot((bar(0, "10"),))
    [order] = changed_orders(poor.run_command(MINUTE, place(fill="same_close")))
    assert (order["status"], order["reason"][:6]) == ("rejected", "margin")


def test_positions_are_closed_and_orders_cancelled() -> None:
    account = runner("10")
    account.run_command(MINUTE, place(qty=3, fill="same_close", stopLoss=5, takeProfit=20))
    account.run_command(MINUTE, place(type="limit", limitPrice=8))
    closed = account.run_command(MINUTE, resolve("close", {"fill": "same_close"}, account.config))
    assert fills(closed) == [("SELL", "3", "10")]
    assert [(order["orderId"], order["status"]) for order in of(closed, "order")][2:] == [
        (2, "cancelled"),
        (3, "cancelled"),
    ]
    assert account.run_command(MINUTE, resolve("close", {}, account.config)) == []
    cancelled = account.run_command(MINUTE, resolve("cancel", {}, account.config))
    assert [order["orderId"] for order in changed_orders(cancelled)] == [4]
    assert account.run_command(MINUTE, resolve("cancel", {"orderId": 4}, account.config)) == []


def test_an_order_expires_after_its_candles_and_at_the_end_of_the_range() -> None:
    account = runner("10")
    account.run_command(MINUTE, place(type="limit", limitPrice=5, goodForCandles=1))
    account.run_command(MINUTE, place(type="limit", limitPrice=5))
    account.on_slot((bar(1, "10"),))
    assert [order["status"] for order in of(account.on_slot((bar(2, "10"),)), "order")] == ["expired"]
    assert [order["status"] for order in of(finish(account, 3 * MINUTE), "order")] == ["expired"]


def test_an_order_good_for_no_candle_fills_at_the_last_close_or_expires_at_once() -> None:
    account = runner("10")
    at_once = {"fill": "same_close", "goodForCandles": 0, "type": "limit"}
    filled = account.run_command(MINUTE, place(**at_once, limitPrice=11))
    assert [order["status"] for order in of(filled, "order")] == ["accepted", "filled"]
    missed = account.run_command(MINUTE, place(**at_once, limitPrice=9))
    assert [order["status"] for order in of(missed, "order")] == ["accepted", "expired"]


@pytest.mark.parametrize("to_command", [0, 1, 2])
def test_a_stage_ends_behind_its_last_command(to_command: int) -> None:
    """Commands at the cursor of a fork belong to the parent up to the forked one, with the parent's costs."""
    plain, costly = broker_config(leverage=None), broker_config(leverage=None, slippage_bps=Decimal(1000))
    stages = [Stage("manual", {}, plain, 0, to_command), Stage("manual", {}, costly)]
    chain = StrategyChain(stages, [StrategyRunner(Manual(), plain), StrategyRunner(Manual(), costly)])
    answers: list[Any] = []
    chain.answer_all([SlotView(0, [bar(0, "10")], False, 0)], answers)
    prices = [fills(chain.run_command(MINUTE, number, place(fill="same_close")))[0][2] for number in (1, 2)]
    assert prices == ["10" if number <= to_command else "11" for number in (1, 2)]


def test_every_order_type_is_the_same_in_requests_and_in_the_client_for_javascript() -> None:
    text = (ROOT / "app/web/static/client.d.ts").read_text()
    declared = re.search(r"type OrderType = (.*);", text)
    assert declared is not None
    assert tuple(json.loads(name) for name in declared[1].split(" | ")) == get_args(ApiOrderType)
    assert list(PRICES) == list(API_TYPES) == list(get_args(OrderType))


def test_the_prices_of_an_order_decide_its_type() -> None:
    for type_, (needs, one_of) in PRICES.items():
        assert {type_of({*needs, price}) for price in one_of} == ({type_} if one_of else set())
        assert one_of or type_of(needs) == type_
    assert type_of({"limit", "trail"}) is None
    assert type_of({"trail", "trail_pct"}) is None
