"""The arguments of `buy` and `sell`, and the order created from them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypedDict

from app.domain.number import is_nan, parse_decimal
from app.domain.trading.order import PRICE_NAMES, Bracket, Order, OrderType, Trail, type_of
from app.domain.trading.parameters import did_you_mean
from app.domain.trading.settings import Sizing

Number = Decimal | float | str


class OrderRequest(TypedDict, total=False):
    """The arguments of `buy` and `sell`; prices in quote money, `good_for` in candles."""

    qty: Number | None
    cash: Number | None
    equity_pct: Number | None
    limit: Number | None
    stop: Number | None
    trail: Number | None
    trail_pct: Number | None
    stop_loss: Number | None
    take_profit: Number | None
    good_for: int | None
    tag: str | None
    reason: str


_WORDS = ("good_for", "tag", "reason")
_LONGEST = 1_000
_DIGITS = 40
_SIZES = {"qty": "qty", "cash": "cash", "equity_pct": "equityPct"}


def to_order(request: Mapping[str, Any], order_id: int, symbol: str, sign: int, bar: int, default: Sizing) -> Order:
    """Return the order for a request in slot `bar`.

    Raises `TypeError` for unknown or contradicting arguments and `ValueError` for numbers not above zero.
    """
    numbers = _numbers(request)
    size = _size(numbers, default)
    trail = _trail(numbers)
    stop_loss, take_profit = numbers.get("stop_loss"), numbers.get("take_profit")
    good_for = request.get("good_for")
    if good_for is not None and (not isinstance(good_for, int) or good_for < 1):
        raise ValueError(f"good_for must be a whole number of candles above zero, not {good_for!r}")
    return Order(
        id=order_id,
        symbol=symbol,
        sign=sign,
        type=_type(numbers),
        qty=size.amount if size.kind == "qty" else None,
        sizing=None if size.kind == "qty" else size,
        limit=numbers.get("limit"),
        stop=numbers.get("stop"),
        trail=trail,
        bracket=Bracket(stop_loss, take_profit) if stop_loss or take_profit else None,
        tag=None if request.get("tag") is None else require_text(request["tag"]),
        reason=require_text(request.get("reason", "strategy")),
        first_bar=bar + 1,
        first_intrabar_bar=bar + 1,
        last_bar=None if good_for is None else bar + good_for,
    )


def _numbers(request: Mapping[str, Any]) -> dict[str, Decimal]:
    """Parse the numbers of a request."""
    numbers = {}
    for name, value in request.items():
        if name not in OrderRequest.__annotations__:
            raise TypeError(f"an order has no {name}{did_you_mean(name, OrderRequest.__annotations__)}")
        if name not in _WORDS and value is not None:
            if is_nan(value):
                raise ValueError(f"{name} is NaN: an indicator has no value yet; place no order until it has one")
            numbers[name] = positive(name, parse_decimal(value))
    return numbers


def positive(name: str, number: Decimal) -> Decimal:
    """Return a number; raises `ValueError` unless it is above zero and has a number of digits that can be computed."""
    if number <= 0:
        raise ValueError(f"{name} must be above zero, not {number}")
    exponent = number.as_tuple().exponent
    if number.adjusted() > _DIGITS or (isinstance(exponent, int) and exponent < -_DIGITS):
        raise ValueError(f"{name} has more than {_DIGITS} digits before or after the point")
    return number


def require_text(value: str) -> str:
    """Return a name, tag or reason; raises `ValueError` unless it is text of an allowed length."""
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise ValueError(f"a name, tag or reason is text of at most {_LONGEST} characters, not {value!r:.60}")
    return value


def _size(numbers: Mapping[str, Decimal], default: Sizing) -> Sizing:
    given = [Sizing(kind, numbers[name], default.step) for name, kind in _SIZES.items() if name in numbers]
    if len(given) > 1:
        raise TypeError("give one of qty, cash and equity_pct")
    return given[0] if given else default


def _trail(numbers: Mapping[str, Decimal]) -> Trail | None:
    if "trail" in numbers:
        return Trail(numbers["trail"])
    return Trail(numbers["trail_pct"], percent=True) if "trail_pct" in numbers else None


def _type(numbers: Mapping[str, Decimal]) -> OrderType:
    type_ = type_of(name for name in PRICE_NAMES if name in numbers)
    if type_ is None:
        raise TypeError("a trailing stop takes either trail or trail_pct, and neither limit nor stop")
    return type_
