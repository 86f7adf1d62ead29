"""Orders and fills as the exchange writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from app.db.commands import OrderRow
from app.db.log.orders import LoggedEvent
from app.domain.trading.account import ZERO
from app.engine.account import exact
from app.web.exchange.instruments import Instrument
from app.web.exchange.numbers import WIDE, text

STATUSES: Final = {
    "accepted": "NEW",
    "triggered": "NEW",
    "partial": "PARTIALLY_FILLED",
    "filled": "FILLED",
    "cancelled": "CANCELED",
    "expired": "EXPIRED",
    "rejected": "REJECTED",
}
_TYPES: Final = {"market": "MARKET", "limit": "LIMIT", "stop_limit": "STOP_LOSS_LIMIT", "stopLimit": "STOP_LOSS_LIMIT"}

_TAG: Final = re.compile(
    r"(?P<maker>LIMIT_MAKER)|LIMIT (?P<force>IOC|FOK)"
    r"|(?P<profit>TAKE_PROFIT(?:_LIMIT)?) (?P<stop>\d{1,40}(?:\.\d{1,40})?)(?: (?P<price>\d{1,40}(?:\.\d{1,40})?))?"
)
"""The tag of an order whose type here does not say what the bot asked for (`OrderRequest`)."""


class ShownOrder(NamedTuple):
    """An order with what its message needs."""

    order_id: int
    client_id: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    qty: Decimal
    price: Decimal
    stop: Decimal
    status: str
    filled: Decimal
    cost: Decimal
    placed_ts: int
    ts: int


def of_row(row: OrderRow) -> ShownOrder:
    """Return an order of the log."""
    kind, force, limit, stop = _original(row.type, row.tag, row.limit_price, row.stop_price)
    return ShownOrder(
        row.order_id,
        row.client_order_id or own_client_id(row.order_id),
        row.symbol,
        row.side,
        kind,
        force,
        row.qty or ZERO,
        limit,
        stop,
        STATUSES[row.status],
        row.filled,
        row.cost,
        row.placed_ts,
        row.ts,
    )


def of_answer(order: Mapping[str, Any], client_id: str | None) -> ShownOrder:
    """Return an order of a command's answer."""
    numbers = {name: None if order[name] is None else exact(order[name]) for name in ("qty", "limitPrice", "stopPrice")}
    kind, force, limit, stop = _original(order["type"], order["tag"], numbers["limitPrice"], numbers["stopPrice"])
    filled = exact(order["filledQty"])
    mean = ZERO if order["avgPrice"] is None else exact(order["avgPrice"])
    return ShownOrder(
        order["orderId"],
        client_id or own_client_id(order["orderId"]),
        order["symbol"],
        order["side"],
        kind,
        force,
        numbers["qty"] or ZERO,
        limit,
        stop,
        STATUSES[order["status"]],
        filled,
        WIDE.multiply(filled, mean),
        order["placedTs"],
        order["ts"],
    )


def own_client_id(order_id: int) -> str:
    """Return the clientOrderId of an order that was placed without one."""
    return f"zeon-{order_id}"


def identity(order: ShownOrder) -> dict[str, Any]:
    """Return what names an order."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
    }


def state(order: ShownOrder) -> dict[str, Any]:
    """Return what an order is and how far it is filled."""
    message = {
        "price": text(order.price),
        "origQty": text(order.qty),
        "executedQty": text(order.filled),
        "origQuoteOrderQty": text(ZERO),
        "cummulativeQuoteQty": text(order.cost),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
        "selfTradePreventionMode": "NONE",
    }
    return {**message, "stopPrice": text(order.stop)} if order.stop else message


def queried(order: ShownOrder) -> dict[str, Any]:
    """Return an order as `GET order` has it."""
    times = {"time": order.placed_ts, "updateTime": order.ts, "isWorking": True, "workingTime": order.placed_ts}
    return {
        **identity(order),
        **state(order),
        "stopPrice": text(order.stop),
        "icebergQty": text(ZERO),
        **times,
    }


def placed(order: ShownOrder, kind: str, fills: Sequence[LoggedEvent], instrument: Instrument) -> dict[str, Any]:
    """Return the answer to a new order, of the kind ACK, RESULT or FULL."""
    answer = {**identity(order), "transactTime": order.ts}
    if kind == "ACK":
        return answer
    answer |= {**state(order), "workingTime": order.placed_ts}
    return answer if kind == "RESULT" else {**answer, "fills": [_fill(fill, instrument) for fill in fills]}


def cancelled(order: ShownOrder, client_id: str | None) -> dict[str, Any]:
    """Return the answer to a cancellation."""
    return {
        **identity(order),
        "origClientOrderId": order.client_id,
        "clientOrderId": client_id or order.client_id,
        "transactTime": order.ts,
        **state(order),
    }


def own_trade(fill: LoggedEvent, instrument: Instrument) -> dict[str, Any]:
    """Return a fill as `myTrades` has it."""
    payload = fill.payload
    qty, price = exact(payload["qty"]), exact(payload["price"])
    return {
        "symbol": payload["symbol"],
        "id": fill.seq,
        "orderId": payload["orderId"],
        "orderListId": -1,
        "price": text(price),
        "qty": text(qty),
        "quoteQty": text(WIDE.multiply(qty, price)),
        "commission": text(exact(payload["fee"])),
        "commissionAsset": instrument.quote,
        "time": fill.ts,
        "isBuyer": payload["side"] == "BUY",
        "isMaker": is_maker(payload),
        "isBestMatch": True,
    }


def is_maker(fill: Mapping[str, Any]) -> bool:
    """Whether a fill is one of a limit order."""
    return fill["policy"] in ("through", "touch")


def _fill(fill: LoggedEvent, instrument: Instrument) -> dict[str, Any]:
    payload = fill.payload
    return {
        "price": text(exact(payload["price"])),
        "qty": text(exact(payload["qty"])),
        "commission": text(exact(payload["fee"])),
        "commissionAsset": instrument.quote,
        "tradeId": fill.seq,
    }


def _original(
    kind: str, tag: str | None, limit: Decimal | None, stop: Decimal | None
) -> tuple[str, str, Decimal, Decimal]:
    """Return type, time in force, price and stop price that a bot gave, from the order's tag where it needs one."""
    price, stop_price = limit or ZERO, stop or ZERO
    known = _TAG.fullmatch(tag or "")
    if known is None or kind != "limit":
        return _TYPES.get(kind, "STOP_LOSS"), "GTC", price, stop_price
    if known["profit"]:
        return known["profit"], "GTC", Decimal(known["price"] or 0), Decimal(known["stop"])
    return known["maker"] or "LIMIT", known["force"] or "GTC", price, stop_price
