"""Orders and the prices at which a candle fills them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from app.domain.market.candle import Candle
from app.domain.trading.account import ZERO
from app.domain.trading.settings import PERCENT, Sizing

OrderType = Literal["market", "limit", "stop", "stop_limit", "trailing_stop"]


class Trail(NamedTuple):
    """How far a trailing stop stays behind the best price: in quote money, or in percent of that price."""

    amount: Decimal
    percent: bool = False

    def level(self, best: Decimal, sign: int) -> Decimal:
        """Return the stop price of a buy (sign 1) or sell (sign -1) order behind `best`."""
        distance = best * self.amount * PERCENT if self.percent else self.amount
        return best + distance * sign


class Bracket(NamedTuple):
    """Prices of the exits that come alive with an entry's fill; the first to fill cancels the other."""

    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Order:
    """One order, changed in place while it lives. Prices in quote money, quantities above zero in units of
    the base.

    `qty` is None until a `sizing` by cash or equity is fixed at the first fill. `since` is the first slot
    that may fill it at all, `inside` the first whose high and low count: what a candle did before the order
    was there cannot fill it. `opened` is where that first slot begins for an order born inside it.
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
    since: int = 0
    inside: int = 0
    opened: Decimal | None = None
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
        """Tell whether the order still needs its stop price to be reached."""
        return self.stop is not None and not self.triggered

    @property
    def slips(self) -> bool:
        """Tell whether the order takes the market's price rather than naming its own."""
        return self.limit is None

    def follow(self, price: Decimal) -> None:
        """Move a trailing stop behind `price` if that is the best seen so far."""
        if self.trail is not None and (price - self.best) * self.sign < 0:
            self.best = price
            self.stop = self.trail.level(price, self.sign)


class Touch(NamedTuple):
    """Where a candle meets an order: `rank` 0 at the open, 1 at a stop inside, 2 at a limit inside."""

    rank: int
    price: Decimal


def touch(order: Order, candle: Candle, bar: int, *, through: bool) -> Touch | None:
    """Return where `candle`, of slot `bar`, meets the order, or None.

    A gapped stop and a market order meet at the open, a limit at the better of open and limit. `through` asks
    a limit to be passed, not merely touched.
    """
    opened = order.opened if order.opened is not None and order.since == bar else candle.open
    if order.type == "market":
        return Touch(0, opened)
    met = _stop(order, candle, opened) if order.waits_for_stop else _limit(order, candle, opened, through)
    return None if met is None or (met.rank and bar < order.inside) else met


def _stop(order: Order, candle: Candle, opened: Decimal) -> Touch | None:
    assert order.stop is not None
    if (opened - order.stop) * order.sign >= 0:
        return Touch(0, opened)
    extreme = candle.high if order.sign > 0 else candle.low
    return Touch(1, order.stop) if (extreme - order.stop) * order.sign >= 0 else None


def _limit(order: Order, candle: Candle, opened: Decimal, through: bool) -> Touch | None:
    assert order.limit is not None
    extreme = candle.low if order.sign > 0 else candle.high
    depth = (order.limit - extreme) * order.sign
    if depth < 0 or (through and not depth):
        return None
    return Touch(0, opened) if (order.limit - opened) * order.sign >= 0 else Touch(2, order.limit)
