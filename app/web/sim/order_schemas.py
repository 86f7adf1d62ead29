"""The models of orders, cancellations, closings, the account and the clock."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field

from app.db.commands import OrderRow
from app.domain.number import ratio
from app.domain.trading.order import API_TYPES, ApiOrderType
from app.engine.account import AccountView, exact
from app.engine.session_clock import SessionClock
from app.web.http.models import Answer, Body, Count, Query, answers_record
from app.web.sim.setting_models import Number, json_number

MAX_ORDER_ID = 2**53
LARGEST = 10**39
"""A number of 40 digits, as many as a number may have before its point."""
Positive = Annotated[Decimal, Field(gt=0, le=LARGEST), json_number(Field(gt=0, le=LARGEST))]
Text = Annotated[str, Field(max_length=1000)]
Fill = Literal["next_open", "same_close"]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Side = Annotated[Literal["buy", "sell"], BeforeValidator(_lower, json_schema_input_type=Literal["buy", "sell"])]


class NewOrder(Body):
    """An order: its size is `qty`, `cash` or `equityPct`, without one the session's sizing counts."""

    symbol: Annotated[str, Field(max_length=100, description="Required if the session has several.")] | None = None
    side: Side
    type: ApiOrderType
    qty: Positive | None = None
    cash: Positive | None = None
    equity_pct: Positive | None = None
    limit_price: Positive | None = None
    stop_price: Positive | None = None
    trail: Annotated[Positive, Field(description="Distance of a trailing stop in the quote currency.")] | None = None
    trail_pct: Positive | None = None
    stop_loss: Annotated[Positive, Field(description="Price of an exit placed when the order fills.")] | None = None
    take_profit: Positive | None = None
    reduce_only: bool = False
    good_for_candles: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    fill: Annotated[Fill, Field(description="At the next open, or at once at the last close.")] | None = None
    client_order_id: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    tag: Text | None = None
    reason: Text | None = None

    def args(self) -> dict[str, Any]:
        """Return the fields that are given, in the names of the API."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class CloseRequest(Body):
    """Which position to close with a market order; without a symbol all of them."""

    symbol: Annotated[str, Field(max_length=100)] | None = None
    fill: Fill | None = None
    tag: Text | None = None
    reason: Text | None = None

    def args(self) -> dict[str, Any]:
        """Return the fields that are given, in the names of the API."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class OrdersQuery(Query):
    """Which orders to list: `open`, or all; in pages."""

    status: Literal["open", "all"] = "all"
    after_id: Annotated[int, Count(0, MAX_ORDER_ID)] = 0
    limit: Annotated[int, Count(1, 1000)] = 200


class OrderAnswer(Answer):
    """An order as the log has it. `commandSeq` is the seq of the command that placed it; null for the strategy's."""

    order_id: int
    client_order_id: str | None = None
    symbol: str
    side: Literal["BUY", "SELL"]
    type: ApiOrderType
    qty: Number | None
    sizing: dict[str, Number] | None = None
    filled_qty: Number
    avg_price: Number | None
    limit_price: Number | None
    stop_price: Number | None
    status: Literal["accepted", "rejected", "triggered", "partial", "filled", "cancelled", "expired"]
    reason: str
    tag: str | None
    placed_ts: int
    ts: int
    command_seq: int | None = None

    @classmethod
    def of(cls, order: Mapping[str, Any], command_seq: int | None = None, client_order_id: str | None = None) -> Self:
        """Return the answer for an order of a command's answer."""
        numbers = {name: None if order[name] is None else exact(order[name]) for name in _NUMBERS}
        sizing = None if order.get("sizing") is None else {key: exact(size) for key, size in order["sizing"].items()}
        known = {"commandSeq": command_seq, "clientOrderId": client_order_id}
        return cls.model_validate({**known, **order, **numbers, "sizing": sizing})

    @classmethod
    def of_row(cls, row: OrderRow) -> Self:
        """Return the answer for an order of the log."""
        return cls(
            order_id=row.order_id,
            client_order_id=row.client_order_id,
            symbol=row.symbol,
            side=row.side,  # type: ignore[arg-type]
            type=API_TYPES[row.type],
            qty=row.qty,
            sizing=row.sizing and {key: exact(size) for key, size in row.sizing.items()},
            filled_qty=row.filled,
            avg_price=ratio(row.cost, row.filled) if row.filled else None,
            limit_price=row.limit_price,
            stop_price=row.stop_price,
            status=row.status,  # type: ignore[arg-type]
            reason=row.reason,
            tag=row.tag,
            placed_ts=row.placed_ts,
            ts=row.ts,
            command_seq=row.command_seq,
        )


_NUMBERS = ("qty", "filledQty", "avgPrice", "limitPrice", "stopPrice")


class OrdersAnswer(Answer):
    """Orders, oldest first; `nextAfterId` is the `afterId` of the next page, null on the last."""

    orders: list[OrderAnswer]
    next_after_id: int | None = None


class ClosedAnswer(Answer):
    """The orders that close positions; none without a position."""

    orders: list[OrderAnswer]
    command_seq: int


class CancelledAnswer(Answer):
    """The ids of the orders that were cancelled."""

    cancelled: list[int]
    command_seq: int


class PositionAnswer(Answer):
    """An open position: quantity below zero for a short one, worth at the last close, profit without fees."""

    symbol: str
    qty: Number
    avg_price: Number
    value: Number
    unrealized_pnl: Number


class AccountAnswer(Answer):
    """The account at a seq of the log; money in the quote currency."""

    ts: int
    seq: int
    cash: Number
    equity: Number
    positions: list[PositionAnswer]
    open_orders: list[OrderAnswer]

    @classmethod
    def of(cls, account: AccountView) -> Self:
        """Return the answer for an account."""
        return cls(
            ts=account.ts,
            seq=account.seq,
            cash=account.cash,
            equity=account.equity,
            positions=[PositionAnswer(**position._asdict()) for position in account.positions],
            open_orders=[OrderAnswer.of(order) for order in account.open_orders],
        )


@answers_record(SessionClock)
class ClockAnswer(Answer):
    """The session's time: `nowMs` is simulated, `serverMs` and `nextDueMs` are the wall clock's; all ms UTC.

    `nextDueMs` is when the next candle comes if the session runs; null if it does not run, or has no pace.
    """

    @classmethod
    def of(cls, clock: SessionClock) -> Self:
        """Return the answer for a clock."""
        return cls(**clock._asdict())
