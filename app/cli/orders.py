"""`zeon orders`: trade a session from outside; a live server applies each command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from app.cli import output
from app.cli.options import Json, SessionId, as_usage, without_none
from app.cli.run import Context, run
from app.db import commands
from app.db.commands import OrderRow
from app.domain.number import DecimalFloat
from app.domain.session import Session
from app.domain.trading.order import API_TYPES
from app.engine.account import AccountView
from app.engine.command_service import CommandResult
from app.errors import NotFoundError
from app.web.http.parsing import parse
from app.web.sim.order_schemas import AccountAnswer, CloseRequest, NewOrder, OrderAnswer, PositionAnswer

app = typer.Typer(
    no_args_is_help=True, help="Place, list and cancel orders in a session; close positions; the account."
)


def read_number(text: str) -> float:
    """Parse a number, with all its digits."""
    try:
        return DecimalFloat(text)
    except ValueError:
        raise typer.BadParameter(f"{text[:60]!r} is not a number") from None


Side = Annotated[str, typer.Argument(metavar="SIDE", help="buy or sell.")]
Type = Annotated[str, typer.Option("--type", metavar="TYPE", help=f"One of {', '.join(API_TYPES.values())}.")]
Symbol = Annotated[str | None, typer.Option(metavar="SYMBOL", help="Required if the session has several.")]
Qty = Annotated[float | None, typer.Option(parser=read_number, metavar="NUMBER", help="Size in units of the base.")]
Cash = Annotated[float | None, typer.Option(parser=read_number, metavar="MONEY", help="Size in the quote currency.")]
EquityPct = Annotated[
    float | None, typer.Option(parser=read_number, metavar="PERCENT", help="Size in percent of the equity.")
]
Limit = Annotated[
    float | None, typer.Option("--limit", parser=read_number, metavar="PRICE", help="Price of a limit order.")
]
Stop = Annotated[
    float | None, typer.Option("--stop", parser=read_number, metavar="PRICE", help="Price of a stop order.")
]
Trail = Annotated[
    float | None, typer.Option(parser=read_number, metavar="DISTANCE", help="Distance of a trailing stop.")
]
TrailPct = Annotated[
    float | None, typer.Option(parser=read_number, metavar="PERCENT", help="The same in percent of the price.")
]
StopLoss = Annotated[
    float | None,
    typer.Option(parser=read_number, metavar="PRICE", help="Exit with a loss, placed when the order fills."),
]
TakeProfit = Annotated[
    float | None, typer.Option(parser=read_number, metavar="PRICE", help="Exit with a profit, placed when it fills.")
]
ReduceOnly = Annotated[bool, typer.Option("--reduce-only", help="Only reduce a position.")]
GoodFor = Annotated[int | None, typer.Option(metavar="N", help="Expire after this many candles.")]
Fill = Annotated[str | None, typer.Option(metavar="WHEN", help="next_open or same_close; default: the session's.")]
ClientId = Annotated[str | None, typer.Option("--client-order-id", metavar="TEXT", help="Your own id of the order.")]
Tag = Annotated[str | None, typer.Option(metavar="TEXT", help="A word for the log.")]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="A reason for the log.")]
Key = Annotated[str | None, typer.Option("--key", metavar="KEY", help="Idempotency key: a repeated call does nothing.")]
OrderId = Annotated[int, typer.Argument(metavar="ORDER", min=1, help="The order's id.")]
OneOrAll = Annotated[int | None, typer.Argument(metavar="[ORDER]", min=1, help="The order's id; without it: all.")]
OnlyOpen = Annotated[bool, typer.Option("--open", help="Show open orders only.")]


@app.command()
def place(
    session_id: SessionId,
    side: Side,
    type_: Type = "market",
    symbol: Symbol = None,
    qty: Qty = None,
    cash: Cash = None,
    equity_pct: EquityPct = None,
    limit: Limit = None,
    stop: Stop = None,
    trail: Trail = None,
    trail_pct: TrailPct = None,
    stop_loss: StopLoss = None,
    take_profit: TakeProfit = None,
    reduce_only: ReduceOnly = False,
    good_for: GoodFor = None,
    fill: Fill = None,
    client_order_id: ClientId = None,
    tag: Tag = None,
    reason: Reason = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Place an order in a session that is created, running or paused."""
    given = without_none(
        qty=qty, cash=cash, equityPct=equity_pct, limitPrice=limit, stopPrice=stop, trail=trail, trailPct=trail_pct,
        stopLoss=stop_loss, takeProfit=take_profit,
        side=side, type=type_, symbol=symbol, reduceOnly=reduce_only or None, goodForCandles=good_for, fill=fill,
        clientOrderId=client_order_id, tag=tag, reason=reason,
    )  # fmt: skip
    with as_usage():
        body = parse(NewOrder, given)
    result = _run(session_id, "order", body.args(), key)
    _print_orders([OrderAnswer.of(result.orders[0], result.seq, client_order_id)], json, one=True)


@app.command("list")
def list_(session_id: SessionId, only_open: OnlyOpen = False, json: Json = False) -> None:
    """List the orders of a session, those of its strategy too."""

    async def work(context: Context) -> list[OrderRow]:
        session = await _session(context, session_id)
        return await context.database.run(commands.orders, session.id, only_open=only_open)

    none = "No order is open." if only_open else "The session has no orders."
    _print_orders([OrderAnswer.of_row(row) for row in run(work)], json, none=none)


@app.command()
def show(session_id: SessionId, order_id: OrderId, json: Json = False) -> None:
    """Show one order."""

    async def work(context: Context) -> list[OrderRow]:
        session = await _session(context, session_id)
        rows = await context.database.run(commands.orders, session.id, after_id=order_id - 1, limit=1)
        if not rows or rows[0].order_id != order_id:
            raise NotFoundError("There is no such order.")
        return rows

    _print_orders([OrderAnswer.of_row(row) for row in run(work)], json, one=True)


@app.command()
def cancel(session_id: SessionId, order_id: OneOrAll = None, key: Key = None, json: Json = False) -> None:
    """Cancel an open order, or all open orders."""
    result = _run(session_id, "cancel", without_none(orderId=order_id), key)
    cancelled = [order["orderId"] for order in result.orders]
    if json:
        output.as_json({"cancelled": cancelled, "commandSeq": result.seq})
    else:
        output.line(f"Cancelled: {', '.join(map(str, cancelled)) or 'no order was open'}.")


@app.command()
def close(
    session_id: SessionId,
    symbol: Symbol = None,
    fill: Fill = None,
    tag: Tag = None,
    reason: Reason = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Close a position with a market order, or all positions."""
    with as_usage():
        body = parse(CloseRequest, without_none(symbol=symbol, fill=fill, tag=tag, reason=reason))
    result = _run(session_id, "close", body.args(), key)
    placed = [OrderAnswer.of(order, result.seq) for order in result.orders if order["placed"]]
    _print_orders(placed, json, none="There is no position to close.")


@app.command()
def account(session_id: SessionId, json: Json = False) -> None:
    """Show cash, equity, positions and open orders."""

    async def work(context: Context) -> AccountView:
        return await context.sim.account.read(await context.session_id(session_id), context.user)

    answer = AccountAnswer.of(run(work))
    if json:
        output.as_json(answer.model_dump(mode="json", by_alias=True))
        return
    output.facts(
        (
            ("time", output.utc(answer.ts)),
            ("cash", output.number(answer.cash)),
            ("equity", output.number(answer.equity)),
            *((one.symbol, _position(one)) for one in answer.positions),
            ("open orders", ", ".join(str(order.order_id) for order in answer.open_orders) or "none"),
        )
    )


def _position(position: PositionAnswer) -> str:
    qty, price, value = map(output.number, (position.qty, position.avg_price, position.value))
    return f"{qty} at {price}, worth {value}"


def _run(session_id: str, action: str, args: dict[str, Any], key: str | None) -> CommandResult:
    async def work(context: Context) -> CommandResult:
        return await context.sim.commands.run(await _session(context, session_id), context.user, action, args, key=key)

    return run(work)


async def _session(context: Context, digits: str) -> Session:
    return await context.sim.get(context.user, await context.session_id(digits))


def _print_orders(orders: Sequence[OrderAnswer], json: bool, *, one: bool = False, none: str = "") -> None:
    """Print orders as a table or as JSON; `none` is the sentence for people where there are no orders."""
    values = [order.model_dump(mode="json", by_alias=True) for order in orders]
    if json:
        output.as_json(values[0] if one else values)
        return
    columns = ("order", "symbol", "side", "type", "qty", "filled", "price", "status", "reason")
    rows = (
        (o.order_id, o.symbol, o.side, o.type, _size(o), output.number(o.filled_qty), _price(o), o.status, o.reason)
        for o in orders
    )
    output.table(columns, rows, right=("order", "qty", "filled", "price"), none=none)


def _size(order: OrderAnswer) -> str:
    if order.qty is not None:
        return output.number(order.qty)
    return " ".join(f"{kind} {amount}" for kind, amount in (order.sizing or {}).items())


def _price(order: OrderAnswer) -> str:
    prices = (order.avg_price, order.limit_price, order.stop_price)
    return next((output.number(price) for price in prices if price is not None), "")
