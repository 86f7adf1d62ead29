"""The WebSocket API: the calls of the face by the names that it has there."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Final

from app.db.pool import ValueRefused
from app.domain.session import Session
from app.errors import SimError
from app.web.exchange.call import FaceCall, Handler
from app.web.exchange.candles import now_ms
from app.web.exchange.errors import ExchangeError, of_error
from app.web.exchange.market import MarketData
from app.web.exchange.orders import SpotOrders
from app.web.exchange.params import params_of
from app.web.http.auth import Caller

_REQUEST: Final = "Invalid request: an object with id, method and params is needed"


class SocketApi:
    """The requests of one connection. Whose it is says its address; keys and signatures are ignored."""

    def __init__(self, market: MarketData, orders: SpotOrders, caller: Caller) -> None:
        self._methods = _methods(market, orders)
        self._caller = caller
        self._numbers = itertools.count()
        self.subscriptions: list[int] = []
        """The numbers of the subscriptions to the events of account and orders."""

    async def answer(self, request: Any, refreshed: Callable[[], Awaitable[Session]]) -> dict[str, Any]:
        """Return the answer to a request; `refreshed` returns the session as it is now."""
        number = request.get("id") if isinstance(request, dict) else None
        if not (number is None or isinstance(number, int | str)):
            number = None
        try:
            result = await self._result(request, refreshed)
        except ExchangeError as error:
            return self.failure(number, error)
        except (SimError, ValueRefused) as error:
            return self.failure(number, of_error(error))
        return {"id": number, "status": 200, "result": result, "rateLimits": []}

    def failure(self, number: Any, error: ExchangeError) -> dict[str, Any]:
        """Return the answer to a request that is refused."""
        return {"id": number, "status": error.status, "error": error.content(), "rateLimits": []}

    async def _result(self, request: Any, refreshed: Callable[[], Awaitable[Session]]) -> Any:
        params = request.get("params", {}) if isinstance(request, dict) else None
        if not isinstance(params, dict) or not isinstance(request.get("method"), str):
            raise ExchangeError(-1135, _REQUEST)
        method, session = request["method"], await refreshed()
        match method:
            case "session.logon" | "session.status" | "session.logout":
                return self._logon(session)
            case "userDataStream.subscribe" | "userDataStream.subscribe.signature":
                self.subscriptions.append(next(self._numbers))
                return {"subscriptionId": self.subscriptions[-1]}
            case "userDataStream.unsubscribe":
                self._unsubscribe(params.get("subscriptionId"))
                return {}
        handler = self._methods.get(method)
        if handler is None:
            raise ExchangeError(-1020, f"This operation is not supported: {method[:60]}")
        return await handler(FaceCall(session, self._caller, params_of(params)))

    def _unsubscribe(self, number: Any) -> None:
        """End one subscription, or all."""
        self.subscriptions = [known for known in self.subscriptions if number not in (None, known)]

    def _logon(self, session: Session) -> dict[str, Any]:
        now = now_ms(session)
        return {
            "apiKey": "zeon",
            "authorizedSince": now,
            "connectedSince": now,
            "returnRateLimits": False,
            "serverTime": now,
            "userDataStream": bool(self.subscriptions),
        }


def _methods(market: MarketData, orders: SpotOrders) -> dict[str, Handler]:
    return {
        "ping": market.ping,
        "time": market.time,
        "exchangeInfo": market.exchange_info,
        "klines": market.klines,
        "uiKlines": market.klines,
        "depth": market.depth,
        "trades.recent": market.trades,
        "trades.historical": market.trades,
        "trades.aggregate": market.agg_trades,
        "avgPrice": market.avg_price,
        "ticker": market.ticker,
        "ticker.24hr": market.ticker_24hr,
        "ticker.tradingDay": market.ticker_24hr,
        "ticker.price": market.ticker_price,
        "ticker.book": market.ticker_book,
        "account.status": orders.account,
        "account.commission": orders.commission,
        "account.rateLimits.orders": orders.rate_limit,
        "order.place": orders.place,
        "order.test": orders.place_test,
        "order.cancel": orders.cancel,
        "order.status": orders.get,
        "openOrders.status": orders.open_orders,
        "openOrders.cancelAll": orders.cancel_all,
        "allOrders": orders.all_orders,
        "myTrades": orders.my_trades,
        "userDataStream.start": orders.listen_key,
        "userDataStream.ping": orders.nothing,
        "userDataStream.stop": orders.nothing,
    }
