"""Orders from outside over HTTP: place, list, cancel and close; the account, and the session's clock."""

from __future__ import annotations

from starlette.responses import Response

from app.db import commands
from app.engine.session_service import SessionService
from app.errors import NotFoundError
from app.web.http.parsing import idempotency_key
from app.web.http.responses import success
from app.web.http.root_path import root_path
from app.web.http.route_spec import IDEMPOTENCY_KEY, SESSION, Call, RouteGroup, RouteSpec
from app.web.sim.order_schemas import (
    AccountAnswer,
    CancelledAnswer,
    ClockAnswer,
    ClosedAnswer,
    CloseRequest,
    NewOrder,
    OrderAnswer,
    OrdersAnswer,
    OrdersQuery,
)

_ORDER = {"side": "buy", "type": "limit", "qty": 0.01, "limitPrice": 41_000, "stopLoss": 40_000}


class OrderCalls(RouteGroup):
    """The calls that trade a session from outside; each is answered when it is in the log."""

    tag = "orders"

    def __init__(self, sim: SessionService) -> None:
        self._sim = sim

    def routes(self) -> list[RouteSpec]:
        """Return the routes of these calls."""
        path, one, key = f"{SESSION}/orders", f"{SESSION}/orders/{{orderId:int}}", (IDEMPOTENCY_KEY,)
        return [
            RouteSpec(
                "GET", path, self.orders, "listOrders", OrdersQuery, answer=OrdersAnswer, scope="share",
                example={"status": "open"},
            ),
            RouteSpec(
                "POST", path, self.place_order, "placeOrder", body=NewOrder, answer=OrderAnswer, status=201,
                headers=key, refusals=(409, 422), example=_ORDER,
            ),
            RouteSpec(
                "DELETE", path, self.cancel_orders, "cancelOrders", answer=CancelledAnswer, headers=key,
                refusals=(409, 422),
            ),
            RouteSpec("GET", one, self.order, "getOrder", answer=OrderAnswer, scope="share"),
            RouteSpec(
                "DELETE", one, self.cancel_order, "cancelOrder", answer=OrderAnswer, headers=key, refusals=(409, 422)
            ),
            RouteSpec(
                "POST", f"{SESSION}/close", self.close_position, "closePosition", body=CloseRequest,
                answer=ClosedAnswer, headers=key, refusals=(409, 422), example={"fill": "same_close"},
            ),
            RouteSpec(
                "GET", f"{SESSION}/account", self.account, "getAccount", answer=AccountAnswer, scope="share",
                refusals=(409,),
            ),
            RouteSpec("GET", f"{SESSION}/clock", self.clock, "getClock", answer=ClockAnswer, scope="share"),
        ]  # fmt: skip

    async def place_order(self, call: Call, body: NewOrder) -> Response:
        """Place an order; an order that the broker rejects is answered like any other."""
        key = idempotency_key(call.request, {})
        result = await self._sim.commands.run(call.session, call.user_id, "order", body.args(), key=key)
        order = OrderAnswer.of(result.orders[0], result.seq, body.client_order_id)
        location = {"Location": f"{root_path(call.request)}{call.request.url.path}/{order.order_id}"}
        return success(order, 200 if result.repeated else 201, location)

    async def orders(self, call: Call, query: OrdersQuery) -> Response:
        """List the orders of a session, those of its strategy too, oldest first."""
        rows = await self._sim.database.run(
            commands.orders,
            call.session.id,
            only_open=query.status == "open",
            after_id=query.after_id,
            limit=query.limit + 1,
        )
        orders = [OrderAnswer.of_row(row) for row in rows[: query.limit]]
        more = orders[-1].order_id if len(rows) > query.limit else None
        return success(OrdersAnswer(orders=orders, next_after_id=more))

    async def order(self, call: Call) -> Response:
        """Show one order."""
        return success(await self._order(call))

    async def cancel_order(self, call: Call) -> Response:
        """Cancel an open order."""
        key = idempotency_key(call.request, {})
        args = {"orderId": call.request.path_params["orderId"]}
        await self._sim.commands.run(call.session, call.user_id, "cancel", args, key=key)
        return success(await self._order(call))

    async def cancel_orders(self, call: Call) -> Response:
        """Cancel all open orders of a session."""
        key = idempotency_key(call.request, {})
        result = await self._sim.commands.run(call.session, call.user_id, "cancel", {}, key=key)
        cancelled = [order["orderId"] for order in result.orders]
        return success(CancelledAnswer(cancelled=cancelled, command_seq=result.seq))

    async def close_position(self, call: Call, body: CloseRequest) -> Response:
        """Close a position with a market order, or all positions."""
        key = idempotency_key(call.request, {})
        result = await self._sim.commands.run(call.session, call.user_id, "close", body.args(), key=key)
        orders = [OrderAnswer.of(order, result.seq) for order in result.orders if order["placed"]]
        return success(ClosedAnswer(orders=orders, command_seq=result.seq))

    async def account(self, call: Call) -> Response:
        """Show cash, equity, positions and open orders."""
        return success(AccountAnswer.of(await self._sim.account.read(call.session.id, call.user_id)))

    async def clock(self, call: Call) -> Response:
        """Show the simulated time, and when the next candle is due."""
        return success(ClockAnswer.of(self._sim.clock_of(call.session)))

    async def _order(self, call: Call) -> OrderAnswer:
        """Return the order of the path; raises `NotFoundError`."""
        order_id = min(call.request.path_params["orderId"], 2**53)
        rows = await self._sim.database.run(commands.orders, call.session.id, after_id=order_id - 1, limit=1)
        if not rows or rows[0].order_id != order_id:
            raise NotFoundError("There is no such order.")
        return OrderAnswer.of_row(rows[0])
