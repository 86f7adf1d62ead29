"""What a bot asks for in an order: parameters, filters, and the order of this server that it becomes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final, NamedTuple

from app.domain.number import format_decimal
from app.domain.trading.settings import BASIS_POINT, TradingSettings
from app.web.exchange.errors import ExchangeError, illegal, missing
from app.web.exchange.instruments import ORDER_TYPES, Instrument
from app.web.exchange.numbers import WIDE, floor_to
from app.web.exchange.params import Params
from app.web.exchange.spot import fee_share

_CLIENT_ID: Final = re.compile(r"[a-zA-Z0-9._:/-]{1,36}")
OWN_ID: Final = re.compile(r"zeon-([1-9][0-9]{0,15})")
"""The clientOrderId of an order that was placed without one."""
_LIMITS: Final = ("LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")
_STOPS: Final = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
_NOT_HERE: Final = ("icebergQty", "trailingDelta", "pegPriceType")


class OrderRequest(NamedTuple):
    """A checked order. `price` and `stop` are null where its type has none, `qty` until `quote_qty` is priced."""

    instrument: Instrument
    buys: bool
    type: str
    time_in_force: str
    qty: Decimal | None
    quote_qty: Decimal | None
    price: Decimal | None
    stop: Decimal | None
    client_id: str | None
    answer: str

    @property
    def at_market(self) -> bool:
        """Whether it fills at the market's price, and therefore pays slippage."""
        return self.price is None and self.type != "TAKE_PROFIT"

    @property
    def limit(self) -> Decimal | None:
        """The limit of the order here: a take-profit is a limit order at the worse of its prices for the market."""
        if self.type == "TAKE_PROFIT":
            return self.stop
        if self.type == "TAKE_PROFIT_LIMIT":
            assert self.price is not None
            assert self.stop is not None
            return min(self.price, self.stop) if self.buys else max(self.price, self.stop)
        return self.price

    def args(self) -> dict[str, Any]:
        """Return the order in the names of this server's API."""
        assert self.qty is not None
        waits = self.type in ("STOP_LOSS", "STOP_LOSS_LIMIT")
        kind = {"STOP_LOSS": "stop", "STOP_LOSS_LIMIT": "stopLimit", "MARKET": "market"}.get(self.type, "limit")
        args = {
            "symbol": self.instrument.symbol,
            "side": "BUY" if self.buys else "SELL",
            "type": kind,
            "qty": self.qty,
            "limitPrice": self.limit,
            "stopPrice": self.stop if waits else None,
            "goodForCandles": None if self.time_in_force == "GTC" else 0,
            "fill": "same_close",
            "clientOrderId": self.client_id,
            "tag": self._tag(),
        }
        return {name: value for name, value in args.items() if value is not None}

    def _tag(self) -> str | None:
        """Return what the order was at the exchange, where its type here does not say it."""
        if self.type in ("TAKE_PROFIT", "TAKE_PROFIT_LIMIT"):
            prices = [format_decimal(price) for price in (self.stop, self.price) if price is not None]
            return " ".join([self.type, *prices])
        if self.type == "LIMIT_MAKER":
            return self.type
        return None if self.time_in_force == "GTC" else f"{self.type} {self.time_in_force}"


def read_order(params: Params, instrument: Instrument) -> OrderRequest:
    """Read an order; raises `ExchangeError` for what the exchange would refuse in its form."""
    buys = params.choice("side", ("BUY", "SELL"), ExchangeError(-1117, "Invalid side.")) == "BUY"
    kind = params.choice("type", ORDER_TYPES, ExchangeError(-1116, "Invalid orderType."))
    for name in _NOT_HERE:
        if name in params:
            raise ExchangeError(-1020, f"This operation is not supported: {name}")
    force = None if kind in _LIMITS else "GTC"
    force = params.choice("timeInForce", ("GTC", "IOC", "FOK"), ExchangeError(-1115, "Invalid timeInForce."), force)
    if force != "GTC" and kind != "LIMIT":
        raise ExchangeError(-1106, "Parameter 'timeInForce' sent when not required.")
    qty, quote_qty = params.decimal("quantity"), params.decimal("quoteOrderQty")
    if qty is not None and quote_qty is not None:
        raise ExchangeError(-1128, "Combination of optional parameters invalid.")
    if qty is None and (quote_qty is None or kind != "MARKET"):
        raise missing("quantity")
    return OrderRequest(
        instrument,
        buys,
        kind,
        force,
        qty,
        quote_qty,
        _price(params, "price", needed=kind in (*_LIMITS, "LIMIT_MAKER")),
        _price(params, "stopPrice", needed=kind in _STOPS),
        _client_id(params),
        params.choice("newOrderRespType", ("ACK", "RESULT", "FULL"), illegal("newOrderRespType"), _answer_of(kind)),
    )


def priced(order: OrderRequest, close: Decimal, trading: TradingSettings) -> OrderRequest:
    """Return an order with its quantity, after all filters at a last close; raises `ExchangeError`.

    An amount of quote money includes the fee, so that a bot can spend all it has.
    """
    instrument = order.instrument
    if order.qty is None:
        assert order.quote_qty is not None
        paid = close * (1 + trading.slippage_bps * BASIS_POINT) * (1 + fee_share(trading))
        order = order._replace(qty=floor_to(WIDE.divide(order.quote_qty, paid), instrument.step))
    assert order.qty is not None
    for price in (order.price, order.stop):
        if price is not None:
            instrument.require_price(price)
    instrument.require_quantity(order.qty)
    at = order.price or order.stop or close
    instrument.require_notional(WIDE.multiply(order.qty, at))
    _require_no_trigger(order, close)
    return order


def reaches(order: OrderRequest, close: Decimal, trading: TradingSettings) -> bool:
    """Whether a limit order fills at a close."""
    assert order.limit is not None
    better = order.limit - close if order.buys else close - order.limit
    return better > 0 or (not better and trading.limit_fill == "touch")


def _require_no_trigger(order: OrderRequest, close: Decimal) -> None:
    """Raise `ExchangeError` for a stop that the last price has passed already."""
    if order.stop is None:
        return
    above = order.buys == order.type.startswith("STOP_LOSS")
    if (order.stop <= close) if above else (order.stop >= close):
        raise ExchangeError(-2010, "Stop price would trigger immediately.")


def _price(params: Params, name: str, *, needed: bool) -> Decimal | None:
    price = params.decimal(name)
    if needed and price is None:
        raise missing(name)
    if price is not None and not needed:
        raise ExchangeError(-1106, f"Parameter '{name}' sent when not required.")
    return price


def _client_id(params: Params) -> str | None:
    client_id = params.text("newClientOrderId")
    if client_id is not None and (not _CLIENT_ID.fullmatch(client_id) or OWN_ID.fullmatch(client_id)):
        raise illegal("newClientOrderId")
    return client_id


def _answer_of(kind: str) -> str:
    return "FULL" if kind in ("MARKET", "LIMIT") else "ACK"
