"""What each fill owes its order and each order its candles, whatever they are, checked from the events alone."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from hypothesis import given, settings

from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.number import EXACT
from tests.support.generated import Run, runs
from tests.support.trading import MINUTE, of

ENDS = {"filled", "cancelled", "rejected", "expired"}
EXITS = ("stop loss", "take profit")
BEGUN = ("triggered", "partial")


class Met(NamedTuple):
    """A fill, the order as it was last announced before, the slot's number and the symbol's candle in it."""

    fill: dict[str, Any]
    order: dict[str, Any]
    slot: int
    candle: Candle
    sign: int

    @property
    def before_slippage(self) -> Decimal:
        """Return the price the order met."""
        return self.fill["price"] - self.fill["slippage"] * self.sign


def number_of(event: Event, policy: str) -> int:
    """Return the minute of the slot in which something at an open, or by `same_close` at a close, happened."""
    return event.ts // MINUTE - (policy == "same_close")


def candle_at(run: Run, minute: int, symbol: str) -> Candle | None:
    """Return the real candle of a symbol."""
    results = (
        candle
        for slot in run.slots
        for candle in slot
        if (candle.open_time_ms, candle.symbol) == (minute * MINUTE, symbol)
    )
    return next((result for result in results if not result.synthetic), None)


def met(run: Run) -> Iterator[Met]:
    """Yield the fills."""
    known: dict[int, dict[str, Any]] = {}
    for event in run.events:
        data = event.payload
        if event.type == "order":
            known[data["orderId"]] = {**known.get(data["orderId"], {"given": data["reason"], "ts": event.ts}), **data}
        if event.type == "fill":
            slot = number_of(event, data["policy"])
            candle = candle_at(run, slot, data["symbol"])
            assert candle is not None
            yield Met(data, known[data["orderId"]], slot, candle, 1 if data["side"] == "BUY" else -1)


@settings(max_examples=60, deadline=None)
@given(runs())
def test_what_fills_owe_their_orders_and_orders_their_candles(run: Run) -> None:
    for execution in met(run):
        price_and_policy_follow_from_the_type(run, execution)
        costs_follow_from_the_settings(run, execution)
        a_take_profit_yields_to_a_stop_loss_in_reach(run, execution)
        a_take_profit_waits_for_the_candle_after_an_entry_inside_one(run, execution)
    exits_are_on_their_side_of_the_entry(run)
    exits_and_closes_only_reduce(run)
    nothing_is_left_that_a_candle_met(run)
    trades_carry_the_fees_and_the_age_of_their_lots(run)
    what_is_open_is_worth_its_close_less_its_entries(run)
    what_the_margin_refuses_was_too_much(run)


def price_and_policy_follow_from_the_type(run: Run, execution: Met) -> None:
    type_, limit, stop = execution.order["type"], execution.order.get("limitPrice"), execution.order.get("stopPrice")
    raw, opened = execution.before_slippage, execution.candle.open
    if limit is None and execution.fill["policy"] == "next_open":
        assert type_ == "market" or (run.config.rules > 1 and run.config.volume_share is not None)
        assert raw == opened
        return
    if type_ == "market":
        assert raw == (execution.candle.close if execution.fill["policy"] == "same_close" else opened)
        assert execution.fill["policy"] in (run.config.fill, "next_open")
        return
    if limit is None:
        assert execution.fill["policy"] == "stop"
        assert raw == stop or (raw - stop) * execution.sign > 0
        assert type_ == "trailing_stop" or raw in (stop, *starts(run, execution))
        return
    assert execution.fill["policy"] == run.config.limit_fill
    assert (limit - raw) * execution.sign >= 0
    assert raw in (limit, stop, *starts(run, execution))
    passed = limit - (execution.candle.low if execution.sign > 0 else execution.candle.high)
    assert passed * execution.sign > 0 or (passed == 0 and run.config.limit_fill == "touch")


def starts(run: Run, execution: Met) -> set[Decimal]:
    """Return the prices at which an order can have found the candle: its open, an entry's fill for its exits."""
    entries = {entry.before_slippage for entry in fills_of(run, execution.order["given"].split(" ")[-1])}
    return {execution.candle.open, *entries} if execution.order["given"].startswith(EXITS) else {execution.candle.open}


def fills_of(run: Run, order_id: str) -> list[Met]:
    """Return the fills of an order named in a text."""
    return [execution for execution in met(run) if str(execution.fill["orderId"]) == order_id]


def costs_follow_from_the_settings(run: Run, execution: Met) -> None:
    config, limit, raw = run.config, execution.order.get("limitPrice"), execution.before_slippage
    slip = config.slippage_bps if limit is None else Decimal(0)
    rate = config.maker_fee_bps if raw == limit else config.taker_fee_bps
    assert EXACT.multiply(raw, slip) == EXACT.multiply(execution.fill["slippage"], 10_000)
    assert EXACT.multiply(execution.fill["fee"], 10_000) == EXACT.multiply(
        EXACT.multiply(execution.fill["qty"], execution.fill["price"]), rate
    )


def a_take_profit_yields_to_a_stop_loss_in_reach(run: Run, execution: Met) -> None:
    """Inside a candle the stop-loss comes first; an entry met inside its candle takes no profit there.

    Not with a share of the volume, which lets an entry come in parts and a stop-loss wait; a stop-loss that the
    strategy took back asks for nothing.
    """
    at_start = execution.before_slippage in starts(run, execution)
    if run.config.volume_share is not None or at_start or not execution.order["given"].startswith("take profit"):
        return
    entry = execution.order["given"].split(" ")[-1]
    orders = of(run.events, "order")
    taken_back = {
        order["orderId"] for order in orders if (order["status"], order["reason"]) == ("cancelled", "strategy")
    }
    stops = [
        order
        for order in orders
        if order["reason"] == f"stop loss of order {entry}" and order["orderId"] == execution.fill["orderId"] - 1
        if order["orderId"] not in taken_back
    ]
    for stop in stops:
        worst = execution.candle.low if execution.sign < 0 else execution.candle.high
        assert (worst - stop["stopPrice"]) * execution.sign < 0
    for opening in fills_of(run, entry):
        assert proven(run, opening) or not inside_its_candle(opening) or opening.slot != execution.slot


def inside_its_candle(execution: Met) -> bool:
    """Tell whether a fill happened after the open of its candle."""
    return execution.fill["policy"] != "same_close" and execution.before_slippage != execution.candle.open


def proven(run: Run, entry: Met) -> bool:
    """Tell whether the session lets the price path of the entry's candle prove that its far extreme came later."""
    return run.config.entry_candle_profit == "proven" and "stopPrice" in entry.order


def a_take_profit_waits_for_the_candle_after_an_entry_inside_one(run: Run, execution: Met) -> None:
    """Since rule set 2 also at the entry's price. An entry that came in parts has exits of its own for each."""
    if run.config.rules < 2 or not execution.order["given"].startswith("take profit"):
        return
    entries = fills_of(run, execution.order["given"].split(" ")[-1])
    if len({entry.slot for entry in entries}) == 1:
        assert all(
            proven(run, entry) or not inside_its_candle(entry) or entry.slot < execution.slot for entry in entries
        )


def exits_are_on_their_side_of_the_entry(run: Run) -> None:
    """Since rule set 2 an exit is rejected where it would win at its stop or lose at its limit, and only there."""
    if run.config.rules < 2:
        return
    entries: dict[int, set[Decimal]] = {}
    for execution in met(run):
        entries.setdefault(execution.fill["orderId"], set()).add(execution.before_slippage)
    for order in of(run.events, "order"):
        rejected = "on the wrong side of the entry" in order["reason"]
        if rejected or order["reason"].startswith(EXITS):
            price = order["stopPrice"] if order["type"] == "stop" else order["limitPrice"]
            sign = (1 if order["side"] == "BUY" else -1) * (1 if order["type"] == "stop" else -1)
            right = [(price - entry) * sign >= 0 for entry in entries[int(order["reason"].split(" ")[-1])]]
            assert not all(right) if rejected else any(right)


def exits_and_closes_only_reduce(run: Run) -> None:
    held = dict.fromkeys(run.config.symbols, Decimal(0))
    for execution in met(run):
        symbol = execution.fill["symbol"]
        before, held[symbol] = held[symbol], held[symbol] + execution.fill["qty"] * execution.sign
        if execution.order["given"].startswith((*EXITS, "close")):
            assert abs(held[symbol]) < abs(before)
            assert held[symbol] * before >= 0


def nothing_is_left_that_a_candle_met(run: Run) -> None:
    """An order rests only as long as no candle meets it.

    With a share of the volume that holds for stops since rule set 2, which then are market orders.
    """
    shared = run.config.volume_share is not None
    if shared and run.config.rules < 2:
        return
    live: dict[int, dict[str, Any]] = {}
    events = iter([*run.events, None])
    event = next(events)
    for slot in run.slots:
        resting = [order for order in live.values() if order["status"] not in BEGUN]
        if shared:
            resting = [order for order in resting if "stopPrice" in order]
        while event is not None and event.ts <= slot[0].open_time_ms:
            track_order(live, event)
            event = next(events)
        for order in resting:
            candle = candle_at(run, slot[0].open_time_ms // MINUTE, order["symbol"])
            if candle is not None and order["orderId"] in live and live[order["orderId"]]["status"] not in BEGUN:
                assert not reached(run, order, candle)
        while event is not None and event.ts <= slot[0].close_time_ms:
            if event.ts == slot[0].close_time_ms and event.type == "equity":
                event = next(events)
                break
            track_order(live, event)
            event = next(events)


def track_order(live: dict[int, dict[str, Any]], event: Event) -> None:
    """Keep the live orders as they were last announced."""
    if event.type == "order":
        live[event.payload["orderId"]] = event.payload
        if event.payload["status"] in ENDS:
            del live[event.payload["orderId"]]


def reached(run: Run, order: dict[str, Any], candle: Candle) -> bool:
    """Tell whether a candle meets an order that was there before it."""
    sign = 1 if order["side"] == "BUY" else -1
    if order["type"] == "market":
        return True
    if "stopPrice" in order:
        return ((candle.high if sign > 0 else candle.low) - order["stopPrice"]) * sign >= 0
    passed = (order["limitPrice"] - (candle.low if sign > 0 else candle.high)) * sign
    return passed > 0 or (passed == 0 and run.config.limit_fill == "touch")


def trades_carry_the_fees_and_the_age_of_their_lots(run: Run) -> None:
    """Fees are both sides' pro rata: what trades and open lots carry is what was paid."""
    slots = [slot[0].open_time_ms // MINUTE for slot in run.slots]
    lots: dict[str, list[list[Any]]] = {symbol: [] for symbol in run.config.symbols}
    expected = []
    for execution in met(run):
        left, queue = execution.fill["qty"], lots[execution.fill["symbol"]]
        rate = cost(execution)
        while left and queue and queue[0][0] == -execution.sign:
            part = min(left, queue[0][1])
            fees = EXACT.multiply(part, EXACT.add(queue[0][2], rate))
            expected.append(
                (execution.fill["symbol"], part, fees, slots.index(execution.slot) - slots.index(queue[0][3]))
            )
            left -= part
            queue[0][1] -= part
            if not queue[0][1]:
                queue.pop(0)
        if left:
            queue.append([execution.sign, left, rate, execution.slot])
        expected_paid = execution.fill["fee"]
        assert EXACT.multiply(execution.fill["qty"], rate) == expected_paid
    trades = of(run.events, "trade")
    assert [(trade["symbol"], trade["qty"], trade["fees"], trade["holdBars"]) for trade in trades] == expected
    assert all(trade["netPnl"] == EXACT.subtract(trade["grossPnl"], trade["fees"]) for trade in trades)


def cost(execution: Met) -> Decimal:
    """Return the fee of one unit."""
    return EXACT.divide(execution.fill["fee"], execution.fill["qty"])


def what_is_open_is_worth_its_close_less_its_entries(run: Run) -> None:
    cost = dict.fromkeys(run.config.symbols, Decimal(0))
    for event in run.events:
        data = event.payload
        if event.type == "fill":
            signed = data["qty"] * (1 if data["side"] == "BUY" else -1)
            cost[data["symbol"]] = EXACT.add(cost[data["symbol"]], EXACT.multiply(signed, data["price"]))
        if event.type == "trade":
            cost[data["symbol"]] = EXACT.add(cost[data["symbol"]], data["grossPnl"])
        if event.type == "equity":
            open_cost = Decimal(0)
            for value in cost.values():
                open_cost = EXACT.add(open_cost, value)
            assert data["unrealizedPnl"] == EXACT.subtract(data["positionValue"], open_cost)
            fall = EXACT.subtract(data["peakEquity"], data["equity"])
            assert abs(data["drawdownPct"] * data["peakEquity"] - 100 * fall) <= data["peakEquity"] * Decimal("5.1E-11")


def what_the_margin_refuses_was_too_much(run: Run) -> None:
    """A refusal names numbers that refuse, and only for what enlarges a position."""
    held = dict.fromkeys(run.config.symbols, Decimal(0))
    for event in run.events:
        data = event.payload
        if event.type == "fill":
            held[data["symbol"]] += data["qty"] * (1 if data["side"] == "BUY" else -1)
        if event.type == "order" and data["reason"].startswith("margin: "):
            words = data["reason"].split(" ")
            notional, leverage, fees, equity = (Decimal(words[column]) for column in (1, 4, 6, 14))
            assert notional > (equity - fees) * leverage
            before = held[data["symbol"]]
            assert abs(before + data["qty"] * (1 if data["side"] == "BUY" else -1)) > abs(before)
