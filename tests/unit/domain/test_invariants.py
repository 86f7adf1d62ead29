"""Whatever the candles and the orders: what must always hold, checked from the events alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

from hypothesis import given, settings

from app.domain.event import Event, render
from app.domain.market.candle import Candle
from app.domain.number import EXACT
from tests.support.generated import Run, runs
from tests.support.trading import of

ENDS = {"filled", "cancelled", "rejected", "expired"}


def slot_of(run: Run, event: Event) -> list[Candle]:
    """Return the candles of the slot an execution belongs to: its open, or with `same_close` its close."""
    close = event.payload["policy"] == "same_close"
    return next(slot for slot in run.slots if (slot[0].close_time_ms if close else slot[0].open_time_ms) == event.ts)


@settings(max_examples=100, deadline=None)
@given(runs())
def test_what_must_always_hold(run: Run) -> None:
    no_fill_is_outside_high_and_low_or_on_a_synthetic_candle(run)
    no_fill_is_before_its_order(run)
    an_order_changes_until_it_ends(run)
    money_and_positions_rebuilt_from_fills_equal_the_equity_events(run)
    trades_are_the_fills_first_in_first_out(run)
    no_position_grows_beyond_its_margin(run)
    fills_take_no_more_than_their_share_of_the_volume(run)
    the_log_is_canonical_and_in_order(run)


def no_fill_is_outside_high_and_low_or_on_a_synthetic_candle(run: Run) -> None:
    for event in run.events:
        if event.type == "fill":
            fill = event.payload
            filled = next(candle for candle in slot_of(run, event) if candle.symbol == fill["symbol"])
            before = fill["price"] - fill["slippage"] * (1 if fill["side"] == "BUY" else -1)
            assert filled.low <= before <= filled.high
            assert not filled.synthetic
            assert fill["qty"] > 0
            assert fill["fee"] >= 0


def no_fill_is_before_its_order(run: Run) -> None:
    given_at: dict[int, int] = {}
    for event in run.events:
        if event.type == "order":
            given_at.setdefault(event.payload["orderId"], event.ts)
        if event.type == "fill":
            assert given_at[event.payload["orderId"]] <= event.ts
    assert list(given_at) == list(range(1, len(given_at) + 1))


def an_order_changes_until_it_ends(run: Run) -> None:
    ended: set[int] = set()
    filled: dict[int, Decimal] = {}
    for order, events in ((event.payload["orderId"], event) for event in run.events if event.type in ("order", "fill")):
        if events.type == "fill":
            filled[order] = filled.get(order, Decimal(0)) + events.payload["qty"]
        else:
            assert order not in ended
            assert events.payload["reason"]
            if events.payload["status"] in ENDS:
                ended.add(order)
    for change in of(run.events, "order"):
        if change["status"] == "filled":
            assert filled[change["orderId"]] == change["qty"]


def money_and_positions_rebuilt_from_fills_equal_the_equity_events(run: Run) -> None:
    cash, fees, realized = run.config.initial_cash, Decimal(0), Decimal(0)
    held = dict.fromkeys(run.config.symbols, Decimal(0))
    marks = dict.fromkeys(run.config.symbols, Decimal(0))
    peak = run.config.initial_cash if run.config.rules > 1 else None
    closes = {slot[0].close_time_ms: {candle.symbol: candle.close for candle in slot} for slot in run.slots}
    for event in run.events:
        data = event.payload
        if event.type == "fill":
            signed = data["qty"] * (1 if data["side"] == "BUY" else -1)
            cash = EXACT.subtract(cash, EXACT.add(EXACT.multiply(signed, data["price"]), data["fee"]))
            fees = EXACT.add(fees, data["fee"])
            held[data["symbol"]] += signed
        if event.type == "trade":
            realized = EXACT.add(realized, data["netPnl"])
        if event.type == "equity":
            marks |= closes[event.ts]
            value = Decimal(0)
            for symbol, qty in held.items():
                value = EXACT.add(value, EXACT.multiply(qty, marks[symbol]))
            equity = EXACT.add(cash, value)
            peak = equity if peak is None else max(peak, equity)
            assert (data["cash"], data["feesPaid"], data["realizedPnl"]) == (cash, fees, realized)
            assert (data["positionValue"], data["equity"], data["peakEquity"]) == (value, equity, peak)
            assert positions(run, data) == held
            assert data["drawdownPct"] >= 0


def positions(run: Run, equity: dict[str, Any]) -> dict[str, Decimal]:
    """Return the quantities an equity event names."""
    if len(run.config.symbols) == 1:
        return {run.config.symbols[0]: equity["positionQty"]}
    return {symbol: position["qty"] for symbol, position in equity["positions"].items()}


def trades_are_the_fills_first_in_first_out(run: Run) -> None:
    lots: dict[str, deque[list[Any]]] = {symbol: deque() for symbol in run.config.symbols}
    expected = []
    for event in run.events:
        if event.type == "fill":
            data = event.payload
            sign, left, queue = (1 if data["side"] == "BUY" else -1), data["qty"], lots[data["symbol"]]
            if not queue or queue[0][0] == sign:
                queue.append([sign, left, data["price"], event.ts])
                continue
            while left:
                part = min(left, queue[0][1])
                gross = EXACT.multiply(EXACT.multiply(EXACT.subtract(data["price"], queue[0][2]), part), -sign)
                expected.append((part, queue[0][2], data["price"], queue[0][3], event.ts, gross))
                left = EXACT.subtract(left, part)
                queue[0][1] = EXACT.subtract(queue[0][1], part)
                if not queue[0][1]:
                    queue.popleft()
    names = ("qty", "entryPrice", "exitPrice", "entryTs", "exitTs", "grossPnl")
    assert [tuple(trade[name] for name in names) for trade in of(run.events, "trade")] == expected


def no_position_grows_beyond_its_margin(run: Run) -> None:
    if run.config.leverage is None:
        return
    cash, last = run.config.initial_cash, dict.fromkeys(run.config.symbols, Decimal(0))
    held = dict.fromkeys(run.config.symbols, Decimal(0))
    wanted = {order["orderId"]: order["qty"] for order in of(run.events, "order") if order["qty"] is not None}
    checked: set[int] = set()
    by_slot: dict[int, list[list[Event]]] = {}
    for group in executions(run.events):
        by_slot.setdefault(slot_of(run, group[0])[0].open_time_ms, []).append(group)
    for slot in run.slots:
        opens = {candle.symbol: candle.open for candle in slot if not candle.synthetic}
        closes = {candle.symbol: candle.close for candle in slot}
        for group in by_slot.get(slot[0].open_time_ms, []):
            fills = [event.payload for event in group]
            now = last | (closes if fills[0]["policy"] == "same_close" else opens)
            symbol, price = fills[0]["symbol"], fills[0]["price"]
            now[symbol] = price
            sign = 1 if fills[0]["side"] == "BUY" else -1
            qty, fees = (sum(fill[name] for fill in fills) for name in ("qty", "fee"))
            equity = cash + sum(held[name] * now[name] for name in held)
            before, held[symbol] = held[symbol], held[symbol] + qty * sign
            if abs(held[symbol]) > abs(before) and not (run.config.rules > 1 and fills[0]["orderId"] in checked):
                whole = wanted[fills[0]["orderId"]] if run.config.rules > 1 else qty
                after = held | {symbol: before + whole * sign}
                notional = sum(abs(after[name]) * now[name] for name in held)
                assert notional / run.config.leverage + fees * whole / qty <= equity * (1 + Decimal("1E-20"))
            checked.add(fills[0]["orderId"])
            cash -= qty * sign * price + fees
        last |= closes


def fills_take_no_more_than_their_share_of_the_volume(run: Run) -> None:
    share = run.config.volume_share
    left = {
        (slot[0].open_time_ms, candle.symbol): candle.volume * (share or 0) for slot in run.slots for candle in slot
    }
    for event in run.events if share is not None else ():
        if event.type == "fill":
            key = slot_of(run, event)[0].open_time_ms, event.payload["symbol"]
            left[key] -= event.payload["qty"]
            assert left[key] >= 0


def executions(events: Sequence[Event]) -> list[list[Event]]:
    """Return the fills, both of a reversal together."""
    results = [event for event in events if event.type == "fill"]
    return [list(group) for _, group in groupby(results, key=execution)]


def execution(event: Event) -> tuple[Any, ...]:
    """Return what both fills of a reversal have in common."""
    return event.ts, event.payload["orderId"], event.payload["policy"]


def the_log_is_canonical_and_in_order(run: Run) -> None:
    assert [event.ts for event in run.events] == sorted(event.ts for event in run.events)
    for event in run.events:
        assert render(event.payload) == event.body
    assert len(of(run.events, "equity")) == len(run.slots)
