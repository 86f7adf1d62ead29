"""Orders: their types, the price at which a candle reaches one, and what triggers a stop.

All rules of a stop order are here: `touch` says at which price it is reached, `Order.only_triggers` and `Order.trigger`
what happens then, `Order.can_be_reached` and `Order.count_fill` how volume limits it, `Order.follow` how it trails.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, NamedTuple, get_args

from app.domain.market.candle import Candle
from app.domain.trading.account import ZERO
from app.domain.trading.rules import RuleSet
from app.domain.trading.settings import PERCENT, Sizing

OrderType = Literal["market", "limit", "stop", "stop_limit", "trailing_stop"]
"""The types of orders, as events and strategies name them."""

ApiOrderType = Literal["market", "limit", "stop", "stopLimit", "trailingStop"]
"""The same types in the same order, as the API names them."""

API_TYPES: Final[dict[str, ApiOrderType]] = dict(zip(get_args(OrderType), get_args(ApiOrderType), strict=True))


class Prices(NamedTuple):
    """The price arguments of an order type: all that it `needs`, and those of which it takes exactly one."""

    needs: frozenset[str] = frozenset()
    one_of: frozenset[str] = frozenset()


PRICES: Final[dict[OrderType, Prices]] = {
    "market": Prices(),
    "limit": Prices(frozenset({"limit"})),
    "stop": Prices(frozenset({"stop"})),
    "stop_limit": Prices(frozenset({"limit", "stop"})),
    "trailing_stop": Prices(one_of=frozenset({"trail", "trail_pct"})),
}
"""Type of an order -> its prices. The prices that are given decide the type of a strategy's order."""

PRICE_NAMES: Final = ("limit", "stop", "trail", "trail_pct")


_TYPES: Final = {
    prices.needs | one: type_
    for type_, prices in PRICES.items()
    for one in [frozenset({name}) for name in prices.one_of] or [frozenset[str]()]
}


def type_of(given: Iterable[str]) -> OrderType | None:
    """Return the type of the order that has these prices; null if no type takes exactly these."""
    return _TYPES.get(frozenset(given))


class Trail(NamedTuple):
    """The distance of a trailing stop from the best price: in quote money, or in percent of that price."""

    amount: Decimal
    percent: bool = False

    def level(self, best: Decimal, sign: int) -> Decimal:
        """Return the stop price of a buy (sign 1) or sell (sign -1) order for the best price `best`."""
        distance = best * self.amount * PERCENT if self.percent else self.amount
        return best + distance * sign


class Bracket(NamedTuple):
    """Prices of the exits that are placed when the entry fills; the first to fill cancels the other."""

    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


class Touch(NamedTuple):
    """The price at which a candle reaches an order; `priority`: 0 open, 1 stop inside, 2 limit inside."""

    priority: int
    price: Decimal


@dataclass(slots=True, eq=False, kw_only=True)
class Order:
    """One order, changed in place while it is live. Prices in quote money, quantities above zero in base units.

    `qty` is None until a `sizing` by cash or equity is fixed at the first fill. `first_bar` is the first slot that may
    fill the order at all, `first_intrabar_bar` the first slot whose high and low count: prices from before the order
    existed cannot fill it. If the order was created inside `first_bar`, `entry_price_in_bar` is the price at that
    moment. `best` is the best price a trailing stop has seen, `last_bar` the last slot before the order expires.
    A stop that is `triggered` is a limit order if it has a limit, otherwise a market order.
    """

    id: int
    symbol: str
    sign: int
    type: OrderType
    qty: Decimal | None = None
    sizing: Sizing | None = None
    limit: Decimal | None = None
    stop: Decimal | None = None
    trail: Trail | None = None
    best: Decimal = ZERO
    bracket: Bracket | None = None
    reduce_only: bool = False
    tag: str | None = None
    reason: str = ""
    first_bar: int = 0
    first_intrabar_bar: int = 0
    entry_price_in_bar: Decimal | None = None
    last_bar: int | None = None
    filled: Decimal = ZERO
    triggered: bool = False
    sibling: Order | None = None

    @property
    def side(self) -> str:
        """Return BUY or SELL."""
        return "BUY" if self.sign > 0 else "SELL"

    @property
    def waits_for_stop(self) -> bool:
        """Whether the stop price has not been reached yet."""
        return self.stop is not None and not self.triggered

    @property
    def takes_any_price(self) -> bool:
        """Whether it is a market order, or a stop that has become one."""
        return self.limit is None and (self.stop is None or self.triggered)

    @property
    def slips(self) -> bool:
        """Whether the order fills at the market's price, and therefore pays slippage."""
        return self.limit is None

    def can_be_reached(self, has_volume: bool, rules: RuleSet) -> bool:
        """Whether a candle can fill the order, or at least trigger it, if it has volume left or not."""
        return has_volume or (rules.stops_trigger_without_volume and self.waits_for_stop)

    def only_triggers(self, has_volume: bool) -> bool:
        """Whether the price that reaches the order triggers its stop without filling it."""
        return self.waits_for_stop and (self.limit is not None or not has_volume)

    def trigger(self, reached: Touch | None = None, bar: int = 0) -> None:
        """Turn a stop into a limit or market order; inside a candle, it starts at the price that `reached` it."""
        self.triggered = True
        if reached is not None:
            self.entry_price_in_bar, self.first_bar = reached.price, bar
            if reached.priority:
                self.first_intrabar_bar = bar + 1

    def count_fill(self, qty: Decimal, rules: RuleSet) -> None:
        """Count a filled quantity; what is left of a partly filled stop is a market order, see `RuleSet`."""
        self.filled += qty
        if rules.stops_trigger_without_volume and self.stop is not None:
            self.triggered = True

    def follow(self, price: Decimal) -> None:
        """Move a trailing stop if `price` is the best price so far."""
        if self.trail is not None and not self.triggered and (price - self.best) * self.sign < 0:
            self.best = price
            self.stop = self.trail.level(price, self.sign)


def touch(order: Order, candle: Candle, bar: int, *, through: bool) -> Touch | None:
    """Return the price at which `candle`, of slot `bar`, reaches the order, or None.

    A market order, and a stop that the open has passed, are reached at the open; a limit at the better of open and
    limit. With `through` the price must pass a limit, not only touch it.
    """
    start = candle.open
    if order.entry_price_in_bar is not None and order.first_bar == bar:
        start = order.entry_price_in_bar
    waits = order.stop is not None and not order.triggered  # Twice a property would cost as much as the rest.
    if not waits and order.limit is None:
        return Touch(0, start)
    reached = _touch_stop(order, candle, start) if waits else _touch_limit(order, candle, start, through)
    return None if reached is None or (reached.priority and bar < order.first_intrabar_bar) else reached


def _touch_stop(order: Order, candle: Candle, start: Decimal) -> Touch | None:
    assert order.stop is not None
    if (start - order.stop) * order.sign >= 0:
        return Touch(0, start)
    extreme = candle.high if order.sign > 0 else candle.low
    return Touch(1, order.stop) if (extreme - order.stop) * order.sign >= 0 else None


def _touch_limit(order: Order, candle: Candle, start: Decimal, through: bool) -> Touch | None:
    assert order.limit is not None
    extreme = candle.low if order.sign > 0 else candle.high
    depth = (order.limit - extreme) * order.sign
    if depth < 0 or (through and not depth):
        return None
    return Touch(0, start) if (order.limit - start) * order.sign >= 0 else Touch(2, order.limit)
