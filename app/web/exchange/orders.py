"""The account of a session as one at Binance spot, and its orders: placed, cancelled and listed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from weakref import WeakValueDictionary

from app.db import commands
from app.db.commands import OrderRow
from app.db.log import orders as logged
from app.domain.market.candle import Candle
from app.domain.session import Session
from app.domain.trading.account import ZERO
from app.domain.trading.settings import BASIS_POINT, TradingSettings
from app.engine.session_service import SessionService
from app.errors import NotOpenError
from app.web.exchange import candles, order_messages, spot
from app.web.exchange.call import FaceCall, face_route
from app.web.exchange.candles import now_ms
from app.web.exchange.errors import ExchangeError, insufficient_balance, missing, unknown_order
from app.web.exchange.instruments import Instrument, Instruments
from app.web.exchange.market import RATE_LIMITS
from app.web.exchange.numbers import text
from app.web.exchange.order_request import OWN_ID, OrderRequest, priced, reaches, read_order
from app.web.exchange.params import Params
from app.web.exchange.spot import Balance
from app.web.http.route_spec import RouteGroup, RouteSpec

LISTEN_KEY: Final = "zeonUserData"
"""The name of the stream of account and orders; the address already says whose it is."""
_MAX_ID: Final = 2**53


class SpotOrders(RouteGroup):
    """The calls of the account. Orders are commands of the session that fill at the last close."""

    def __init__(self, sim: SessionService, instruments: Instruments) -> None:
        self._sim = sim
        self._instruments = instruments
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    def routes(self) -> list[RouteSpec]:
        """Return the routes of these calls."""
        table = [
            ("GET", "account", self.account),
            ("GET", "account/commission", self.commission),
            ("GET", "rateLimit/order", self.rate_limit),
            ("POST", "order", self.place),
            ("POST", "order/test", self.place_test),
            ("GET", "order", self.get),
            ("DELETE", "order", self.cancel),
            ("GET", "openOrders", self.open_orders),
            ("DELETE", "openOrders", self.cancel_all),
            ("GET", "allOrders", self.all_orders),
            ("GET", "myTrades", self.my_trades),
            ("POST", "userDataStream", self.listen_key),
            ("PUT", "userDataStream", self.nothing),
            ("DELETE", "userDataStream", self.nothing),
        ]
        return [face_route(method, f"api/v3/{path}", handler) for method, path, handler in table]

    async def account(self, call: FaceCall) -> Any:
        """Return balances and fees."""
        found = await self.balances(call.session, call.caller.user_id)
        trading = call.session.spec.trading
        maker, taker = (int(rate) for rate in (trading.maker_fee_bps, trading.taker_fee_bps))
        shown = spot.as_json(found)
        if call.params.text("omitZeroBalances") == "true":
            shown = [balance for balance in shown if Decimal(balance["free"]) or Decimal(balance["locked"])]
        return {
            "makerCommission": maker,
            "takerCommission": taker,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": _rates(trading),
            "canTrade": not call.session.ended,
            "canWithdraw": False,
            "canDeposit": False,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": now_ms(call.session),
            "accountType": "SPOT",
            "balances": shown,
            "permissions": ["SPOT"],
            "uid": call.session.id.int % 10**9,
        }

    async def commission(self, call: FaceCall) -> Any:
        """Return the fees of a symbol."""
        instrument = await self._instrument(call.session, call.params)
        nothing = _rates(TradingSettings(maker_fee_bps=ZERO, taker_fee_bps=ZERO))
        return {
            "symbol": instrument.symbol,
            "standardCommission": _rates(call.session.spec.trading),
            "specialCommission": nothing,
            "taxCommission": nothing,
            "discount": {
                "enabledForAccount": False,
                "enabledForSymbol": False,
                "discountAsset": "",
                "discount": text(ZERO),
            },
        }

    async def rate_limit(self, call: FaceCall) -> Any:
        """Return how many orders were counted: none, because orders have the budget of all requests."""
        return [{**limit, "count": 0} for limit in RATE_LIMITS if limit["rateLimitType"] == "ORDERS"]

    async def place(self, call: FaceCall) -> Any:
        """Place an order; it fills at the last close if that price reaches it."""
        instrument = await self._instrument(call.session, call.params)
        order = read_order(call.params, instrument)
        async with self._one_at_a_time(call.session):
            session = await self._sim.get(call.caller.user_id, call.session.id)
            order = await self._checked(session, call.caller.user_id, order)
            result = await self._sim.commands.run(session, call.caller.user_id, "order", order.args())
        answered = result.orders[0]
        if answered["status"] == "rejected":
            margin = answered["reason"].startswith("margin")
            raise insufficient_balance() if margin else ExchangeError(-2010, answered["reason"])
        shown = order_messages.of_answer(answered, order.client_id)
        fills = []
        if order.answer == "FULL" and shown.filled:
            found = self._sim.database.run(
                logged.fills, session.id, order_id=shown.order_id, from_seq=result.seq, limit=100
            )
            fills = await found
        return order_messages.placed(shown, order.answer, fills, instrument)

    async def place_test(self, call: FaceCall) -> Any:
        """Check an order as a new one, and place none."""
        order = read_order(call.params, await self._instrument(call.session, call.params))
        await self._checked(call.session, call.caller.user_id, order)
        return {}

    async def get(self, call: FaceCall) -> Any:
        """Return one order."""
        await self._instrument(call.session, call.params)
        row = await self._find(call.session, call.params)
        if row is None or row.symbol != call.params.required("symbol"):
            raise unknown_order(cancelling=False)
        return order_messages.queried(order_messages.of_row(row))

    async def cancel(self, call: FaceCall) -> Any:
        """Cancel one open order."""
        await self._instrument(call.session, call.params)
        row = await self._find(call.session, call.params)
        if row is None or row.symbol != call.params.required("symbol"):
            raise unknown_order(cancelling=True)
        return await self._cancel(call, row, call.params.text("newClientOrderId"))

    async def cancel_all(self, call: FaceCall) -> Any:
        """Cancel all open orders of a symbol."""
        instrument = await self._instrument(call.session, call.params)
        rows = await self._open(call.session, instrument.symbol)
        if not rows:
            raise unknown_order(cancelling=True)
        return [await self._cancel(call, row, None) for row in rows]

    async def open_orders(self, call: FaceCall) -> Any:
        """Return the open orders of a symbol, or of all."""
        symbol = None
        if "symbol" in call.params:
            symbol = (await self._instrument(call.session, call.params)).symbol
        rows = await self._open(call.session, symbol)
        return [order_messages.queried(order_messages.of_row(row)) for row in rows]

    async def all_orders(self, call: FaceCall) -> Any:
        """Return the orders of a symbol, the last ones unless an id or a time is given."""
        instrument, params = await self._instrument(call.session, call.params), call.params
        first, limit = params.integer("orderId", 0, _MAX_ID), params.limit(500, 1000)
        start, end = params.integer("startTime"), params.integer("endTime")
        rows = await self._sim.database.run(commands.orders, call.session.id, after_id=max(0, (first or 0) - 1))
        rows = [
            row
            for row in rows
            if row.symbol == instrument.symbol
            and (start is None or row.placed_ts >= start)
            and (end is None or row.placed_ts <= end)
        ]
        chosen = rows[-limit:] if first is None and start is None else rows[:limit]
        return [order_messages.queried(order_messages.of_row(row)) for row in chosen]

    async def my_trades(self, call: FaceCall) -> Any:
        """Return the fills of a symbol, the last ones unless an id or a time is given."""
        instrument, params = await self._instrument(call.session, call.params), call.params
        first, start = params.integer("fromId", 0, _MAX_ID), params.integer("startTime")
        order_id = params.integer("orderId", 0, _MAX_ID)
        found = await self._sim.database.run(
            logged.fills,
            call.session.id,
            symbol=instrument.symbol,
            order_id=order_id,
            from_seq=first or 0,
            start_ms=start,
            end_ms=params.integer("endTime"),
            newest=first is None and start is None,
            limit=params.limit(500, 1000),
        )
        return [order_messages.own_trade(fill, instrument) for fill in found]

    async def listen_key(self, call: FaceCall) -> Any:
        """Return the name of the stream of account and orders."""
        return {"listenKey": LISTEN_KEY}

    async def nothing(self, call: FaceCall) -> Any:
        """Answer a call that keeps or closes that stream: it needs neither."""
        return {}

    async def balances(self, session: Session, user_id: str) -> dict[str, Balance]:
        """Return the balances of a session by asset."""
        view = await self._sim.account.read(session.id, user_id)
        return spot.balances(view, await self._instruments.of(session), session.spec.trading)

    def _one_at_a_time(self, session: Session) -> asyncio.Lock:
        """Return the lock of a session: two orders must not both pass the check of one balance."""
        lock = self._locks.get(session.id)
        if lock is None:
            lock = self._locks[session.id] = asyncio.Lock()
        return lock

    async def _checked(self, session: Session, user_id: str, order: OrderRequest) -> OrderRequest:
        """Return an order with its quantity; raises `ExchangeError` for what the exchange would refuse."""
        last = await self._sim.database.run(candles.last_candle, session, order.instrument.symbol)
        if last is None:
            raise ExchangeError(-1013, "Market is closed: there is no candle yet; step or start the session first.")
        trading = session.spec.trading
        order = priced(order, last.close, trading)
        if order.type == "LIMIT_MAKER" and reaches(order, last.close, trading):
            raise ExchangeError(-2010, "Order would immediately match and take.")
        if order.time_in_force == "FOK" and reaches(order, last.close, trading):
            _require_volume(order, last, trading)
        _require_funds(order, await self.balances(session, user_id), last.close, trading)
        return order

    async def _cancel(self, call: FaceCall, row: OrderRow, client_id: str | None) -> dict[str, Any]:
        try:
            args = {"orderId": row.order_id}
            await self._sim.commands.run(call.session, call.caller.user_id, "cancel", args)
        except NotOpenError:
            raise unknown_order(cancelling=True) from None
        [now] = await self._sim.database.run(commands.orders, call.session.id, after_id=row.order_id - 1, limit=1)
        return order_messages.cancelled(order_messages.of_row(now), client_id)

    async def _open(self, session: Session, symbol: str | None) -> list[OrderRow]:
        rows = await self._sim.database.run(commands.orders, session.id, only_open=True)
        return [row for row in rows if symbol in (None, row.symbol)]

    async def _find(self, session: Session, params: Params) -> OrderRow | None:
        """Return the order that `orderId` or `origClientOrderId` names."""
        order_id, client_id = params.integer("orderId", -1, _MAX_ID), params.text("origClientOrderId")
        if order_id is None and client_id is None:
            raise ExchangeError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        if order_id is None:
            assert client_id is not None
            own = OWN_ID.fullmatch(client_id)
            order_id = int(own[1]) if own else await self._sim.database.run(commands.order_id_of, session.id, client_id)
        if order_id is None or order_id < 1:
            return None
        rows = await self._sim.database.run(commands.orders, session.id, after_id=order_id - 1, limit=1)
        return rows[0] if rows and rows[0].order_id == order_id else None

    async def _instrument(self, session: Session, params: Params) -> Instrument:
        if "symbol" not in params:
            raise missing("symbol")
        return await self._instruments.one(session, params.required("symbol"))


def _require_funds(order: OrderRequest, found: Mapping[str, Balance], close: Decimal, trading: TradingSettings) -> None:
    """Raise `ExchangeError` for an order beyond the free balance."""
    assert order.qty is not None
    if not order.buys:
        if order.qty > found[order.instrument.base].free:
            raise insufficient_balance()
        return
    price = order.limit if order.limit is not None else order.stop or close
    if spot.cost(order.qty, price, trading, slips=order.at_market) > found[order.instrument.quote].free:
        raise insufficient_balance()


def _require_volume(order: OrderRequest, last: Candle, trading: TradingSettings) -> None:
    """Raise `ExchangeError` for an order that must fill whole and finds too little volume."""
    assert order.qty is not None
    if trading.volume_share is not None and order.qty > last.volume * trading.volume_share:
        raise ExchangeError(-2010, "The order cannot be filled whole at once.")


def _rates(trading: TradingSettings) -> dict[str, str]:
    maker, taker = (text(rate * BASIS_POINT) for rate in (trading.maker_fee_bps, trading.taker_fee_bps))
    return {"maker": maker, "taker": taker, "buyer": text(ZERO), "seller": text(ZERO)}
