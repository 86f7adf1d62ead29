"""The stop-loss and take-profit of an entry that filled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import NamedTuple

from app.domain.number import format_decimal
from app.domain.trading.order import Order
from app.domain.trading.settings import BrokerConfig


class Entry(NamedTuple):
    """What an order opened: the quantity, the price before slippage, and the slot.

    Exits may fill from slot `exits_from` on. `intrabar` entries filled inside their candle, at a time that is unknown.
    """

    order: Order
    qty: Decimal
    price: Decimal
    bar: int
    exits_from: int
    intrabar: bool


def new_exits(entry: Entry, next_id: Callable[[], int], config: BrokerConfig) -> Iterator[tuple[Order, str]]:
    """Yield the exits of an entry with their names.

    If the entry filled inside its candle, the earlier prices of that candle are unknown: its low and high count
    for the stop-loss, but not for the take-profit.
    """
    bracket = entry.order.bracket
    assert bracket is not None
    if bracket.stop_loss is not None:
        yield _new_exit(entry, next_id(), "stop loss", stop=bracket.stop_loss), "stop loss"
    if bracket.take_profit is not None:
        order = _new_exit(entry, next_id(), "take profit", limit=bracket.take_profit)
        if entry.intrabar and not _proven(entry, config):
            order.first_intrabar_bar = entry.bar + 1
            if config.rule_set.exits_checked:
                order.first_bar, order.entry_price_in_bar = entry.bar + 1, None
        yield order, "take profit"


def wrong_side(order: Order, name: str, entry: Entry) -> str:
    """Return why an exit is rejected, or "": a stop-loss must not gain and a take-profit must not lose."""
    price = order.limit if order.stop is None else order.stop
    assert price is not None
    gain = (price - entry.price) * entry.order.sign
    if not gain or (gain > 0) == (order.stop is None):
        return ""
    return (
        f"the {name} {format_decimal(price)} is on the wrong side of the entry at {format_decimal(entry.price)}"
        f" of order {entry.order.id}"
    )


def _proven(entry: Entry, config: BrokerConfig) -> bool:
    """Whether the far extreme of the candle comes after the entry for certain: it filled at its stop."""
    order = entry.order
    at_stop = order.limit is None or (order.first_bar, order.entry_price_in_bar) == (entry.bar, entry.price)
    return config.entry_candle_profit == "proven" and order.stop is not None and at_stop


def _new_exit(
    entry: Entry, order_id: int, name: str, *, stop: Decimal | None = None, limit: Decimal | None = None
) -> Order:
    return Order(
        id=order_id,
        symbol=entry.order.symbol,
        sign=-entry.order.sign,
        type="stop" if limit is None else "limit",
        qty=entry.qty,
        stop=stop,
        limit=limit,
        reduce_only=True,
        tag=entry.order.tag,
        reason=name,
        first_bar=entry.exits_from,
        first_intrabar_bar=entry.exits_from,
        entry_price_in_bar=entry.price if entry.exits_from == entry.bar else None,
    )
