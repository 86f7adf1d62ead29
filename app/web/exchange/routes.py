"""The calls of the exchange face as lines of the table of routes."""

from __future__ import annotations

from typing import Final, NamedTuple

from app.engine.session_service import SessionService
from app.settings import Settings
from app.web.exchange.call import Handler
from app.web.exchange.face import FACE_PATH
from app.web.exchange.instruments import Instruments
from app.web.exchange.market import MarketData
from app.web.exchange.orders import SpotOrders
from app.web.http.route_spec import RouteSpec

_API: Final = "api/v3"


class FaceCalls(NamedTuple):
    """The objects whose methods answer the calls."""

    market: MarketData
    orders: SpotOrders


def face_calls(sim: SessionService, settings: Settings) -> FaceCalls:
    """Return the objects that answer the calls."""
    instruments = Instruments(sim.database, settings.quotes)
    return FaceCalls(MarketData(sim.database, instruments), SpotOrders(sim, instruments))


def face_routes(calls: FaceCalls) -> list[RouteSpec]:
    """Return every call of the face."""
    return [*_market_routes(calls.market), *_order_routes(calls.orders)]


def _market_routes(market: MarketData) -> list[RouteSpec]:
    public = {
        "ping": market.ping,
        "time": market.time,
        "exchangeInfo": market.exchange_info,
        "klines": market.klines,
        "uiKlines": market.klines,
        "ticker/price": market.ticker_price,
        "ticker/24hr": market.ticker_24hr,
        "ticker/tradingDay": market.ticker_24hr,
        "ticker/bookTicker": market.ticker_book,
        "ticker": market.ticker,
        "depth": market.depth,
        "trades": market.trades,
        "historicalTrades": market.trades,
        "aggTrades": market.agg_trades,
        "avgPrice": market.avg_price,
    }
    other = {
        "fapi/v1/exchangeInfo": market.no_symbols,
        "dapi/v1/exchangeInfo": market.no_symbols,
        "sapi/v1/capital/config/getall": market.nothing,
        "sapi/v1/margin/allPairs": market.nothing,
        "sapi/v1/margin/isolated/allPairs": market.nothing,
        "sapi/v1/asset/tradeFee": market.nothing,
    }
    return [
        *(_spec("GET", f"{_API}/{path}", handler) for path, handler in public.items()),
        *(_spec("GET", path, handler) for path, handler in other.items()),
    ]


def _order_routes(orders: SpotOrders) -> list[RouteSpec]:
    table = [
        ("GET", "account", orders.account),
        ("GET", "account/commission", orders.commission),
        ("GET", "rateLimit/order", orders.rate_limit),
        ("POST", "order", orders.place),
        ("POST", "order/test", orders.place_test),
        ("GET", "order", orders.get),
        ("DELETE", "order", orders.cancel),
        ("GET", "openOrders", orders.open_orders),
        ("DELETE", "openOrders", orders.cancel_all),
        ("GET", "allOrders", orders.all_orders),
        ("GET", "myTrades", orders.my_trades),
        ("POST", "userDataStream", orders.listen_key),
        ("PUT", "userDataStream", orders.nothing),
        ("DELETE", "userDataStream", orders.nothing),
    ]
    return [_spec(method, f"{_API}/{path}", handler) for method, path, handler in table]


def _spec(method: str, path: str, handler: Handler) -> RouteSpec:
    return RouteSpec(method, f"{FACE_PATH}/{path}", handler, face=True)
