"""A second broker for one symbol and all rule sets, written from the documents and not from the first one's code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import Any, NamedTuple

from app.domain.market.candle import Candle
from app.domain.number import EXACT, ratio
from app.domain.trading.settings import BrokerConfig

ZERO = Decimal(0)
Action = tuple[str, Any]
"""`close`; `cancel` and an order id; `buy` or `sell` and a ticket."""


class Filled(NamedTuple):
    """What a fill event says, with the number of the candle it happened in."""

    bar: int
    order_id: int
    sign: int
    qty: Decimal
    price: Decimal
    fee: Decimal
    slippage: Decimal
    policy: str


class Size(NamedTuple):
    """What a quantity is made of once the price is known."""

    percent: bool
    amount: Decimal
    step: Decimal


@dataclass(kw_only=True, eq=False)
class Given:
    """An order. `met_from` is the price at which it finds its first candle, when that is not the open."""

    id: int
    sign: int
    ticket: Mapping[str, Any]
    qty: Decimal | None
    size: Size | None
    given_bar: int
    first_bar: int
    first_inside: int
    stop: Decimal | None = None
    limit: Decimal | None = None
    met_from: Decimal | None = None
    best: Decimal = ZERO
    only_reduces: bool = False
    triggered: bool = False
    filled: Decimal = ZERO
    other: Given | None = None

    @property
    def trails(self) -> bool:
        """Tell whether the stop follows the price."""
        return "trail" in self.ticket or "trail_pct" in self.ticket

    @property
    def at_market(self) -> bool:
        """Tell whether the order takes any price, perhaps since its stop was reached."""
        return self.limit is None and (self.stop is None or self.triggered)


class SecondBroker:
    """Goes through candles and actions at once; `fills` and how each order ended are left behind."""

    def __init__(
        self, config: BrokerConfig, candles: Sequence[Candle], actions: Mapping[int, Sequence[Action]]
    ) -> None:
        self.config, self.cash, self.held, self.last_id, self.bar = config, config.initial_cash, ZERO, 0, -1
        self.live: list[Given] = []
        self.fills: list[Filled] = []
        self.ends: dict[int, str] = {}
        self.left: Decimal | None = None
        self.newer = config.rules > 1
        with localcontext(EXACT):
            for self.bar, self.candle in enumerate(candles):
                self.one_candle(actions.get(self.bar, ()))
            for order in list(self.live):
                self.end(order, "expired")

    def one_candle(self, actions: Sequence[Action]) -> None:
        share = self.config.volume_share
        self.left = None if share is None else self.candle.volume * share
        for order in list(self.live):
            if order.given_bar + order.ticket.get("good_for", self.bar) < self.bar:
                self.end(order, "expired")
        if not self.candle.synthetic:
            self.resting_orders()
        self.pay_for_holding()
        for action in actions:
            self.act(*action)
        if self.config.fill == "same_close" and not self.candle.synthetic:
            for order in [order for order in self.live if order.at_market]:
                if order in self.live and order.stop is None:
                    self.execute(order, self.candle.close, "same_close", self.bar + 1)

    def pay_for_holding(self) -> None:
        """Pay funding at 00:00, 08:00 and 16:00 UTC, and interest at 00:00, when a candle ends there."""
        ends, value = self.candle.close_time_ms, self.held * self.candle.close
        if ends % (8 * 3_600_000) == 0:
            self.cash -= value * self.config.funding_bps / 10_000
        if ends % (24 * 3_600_000) == 0:
            owed = max(ZERO, -self.cash) + max(ZERO, -value)
            self.cash -= owed * self.config.borrow_bps_per_day / 10_000

    # Orders

    def act(self, what: str, arguments: Any = None) -> None:
        if what == "cancel":
            for order in [order for order in self.live if order.id == arguments]:
                self.end(order, "cancelled")
        elif what == "close":
            if self.held:
                self.give(-1 if self.held > 0 else 1, {}, abs(self.held)).only_reduces = True
        else:
            order = self.give(1 if what == "buy" else -1, arguments, arguments.get("qty"))
            order.limit, order.stop, order.best = arguments.get("limit"), arguments.get("stop"), self.candle.close
            if order.trails:
                order.stop = self.behind(order)

    def give(self, sign: int, arguments: Mapping[str, Any], qty: Decimal | None) -> Given:
        self.last_id += 1
        size, first = None if qty is not None else self.size_of(arguments), self.bar + 1
        order = Given(
            id=self.last_id,
            sign=sign,
            ticket=arguments,
            qty=qty,
            size=size,
            given_bar=self.bar,
            first_bar=first,
            first_inside=first,
        )
        self.live.append(order)
        return order

    def size_of(self, arguments: Mapping[str, Any]) -> Size:
        default = self.config.sizing
        if "cash" in arguments:
            return Size(percent=False, amount=arguments["cash"], step=default.step)
        percent = arguments.get("equity_pct", default.amount if default.kind == "equityPct" else None)
        return Size(percent is not None, default.amount if percent is None else percent, default.step)

    def end(self, order: Given, how: str) -> None:
        self.live.remove(order)
        self.ends[order.id] = how

    def behind(self, order: Given) -> Decimal:
        money = order.ticket.get("trail")
        return order.best + order.sign * (order.best * order.ticket["trail_pct"] / 100 if money is None else money)

    def follow(self, order: Given, price: Decimal) -> None:
        if (price - order.best) * order.sign < 0 and not order.triggered:
            order.best = price
            order.stop = self.behind(order)

    # Candles

    def resting_orders(self) -> None:
        trailing = [order for order in self.live if order.trails]
        for order in trailing:
            self.follow(order, self.candle.open)
        inside = False
        while True:
            able = [order for order in self.live if self.has_volume or (self.newer and self.waits(order))]
            met = [(*where, order.id, order) for order in able if (where := self.meets(order))]
            first = min(met, key=lambda entry: (entry[0], entry[2]), default=None)
            if self.is_liquidated(first, inside=inside) or first is None:
                break
            inside = inside or first[0] > 0
            self.meet(*first)
        for order in trailing:
            if order in self.live:
                self.follow(order, self.candle.low if order.sign > 0 else self.candle.high)

    @property
    def has_volume(self) -> bool:
        """Tell whether the candle has volume left for fills."""
        return self.left is None or self.left > 0

    def waits(self, order: Given) -> bool:
        """Tell whether the stop of the order was not reached yet."""
        return order.stop is not None and not order.triggered

    def is_liquidated(self, first: tuple[int, Decimal, int, Given] | None, *, inside: bool) -> bool:
        """Close the position if the equity falls to the maintenance margin before the next order is met."""
        percent, long = self.config.maintenance_margin_pct, self.held > 0
        if percent is None or not self.held or (first is not None and first[0] == 0):
            return False
        # Long: cash + held * p = m * held * p. Short: cash - |held| * p = m * |held| * p.
        margin = percent / 100
        at = ratio(-self.cash, self.held * (1 - margin)) if long else ratio(self.cash, -self.held * (1 + margin))
        opens, worst = self.candle.open, self.candle.low if long else self.candle.high
        if at <= 0 or (worst > at if long else worst < at):
            return False
        if not inside and (opens <= at if long else opens >= at):
            at = opens
        if first is not None and first[3].stop is not None and not first[3].triggered:
            order = first[3]
            if order.sign * self.held < 0 and (first[1] > at if long else first[1] < at):
                return False
        for resting in list(self.live):
            self.end(resting, "cancelled")
        slip, rate = at * self.config.slippage_bps / 10_000, self.config.taker_fee_bps / 10_000
        order = self.give(-1 if long else 1, {}, abs(self.held))
        price, left, self.left = at + slip * order.sign, self.left, None
        self.book(order, abs(self.held), abs(self.held), price, rate, slip, "liquidation")
        self.left = left
        self.end(order, "filled")
        return True

    def meets(self, order: Given) -> tuple[int, Decimal] | None:
        """Return 0 at the open, 1 for a stop and 2 for a limit inside the candle, and the price."""
        candle, sign, inside = self.candle, order.sign, self.bar >= order.first_inside
        if self.bar < order.first_bar:
            return None
        start = candle.open if order.met_from is None or order.first_bar != self.bar else order.met_from
        if order.at_market:
            return 0, start
        if order.stop is not None and not order.triggered:
            if (start - order.stop) * sign >= 0:
                return 0, start
            reached = ((candle.high if sign > 0 else candle.low) - order.stop) * sign >= 0
            return (1, order.stop) if inside and reached else None
        assert order.limit is not None
        passed = (order.limit - (candle.low if sign > 0 else candle.high)) * sign
        if passed < 0 or (passed == 0 and self.config.limit_fill == "through"):
            return None
        if (order.limit - start) * sign >= 0:
            return 0, start
        return (2, order.limit) if inside else None

    def meet(self, rank: int, price: Decimal, _: int, order: Given) -> None:
        if self.waits(order) and (order.limit is not None or not self.has_volume):
            order.triggered, order.met_from, order.first_bar = True, price, self.bar
            order.first_inside = self.bar + 1 if rank else order.first_inside
            return
        policy = "next_open" if order.at_market else "stop" if order.limit is None else self.config.limit_fill
        inside = rank > 0 or order.first_inside > self.bar
        at_stop = order.stop is not None and (order.limit is None or (rank == 0 and inside))
        self.execute(order, price, policy, self.bar, inside=inside, at_stop=at_stop)

    # Money

    def execute(
        self,
        order: Given,
        met: Decimal,
        policy: str,
        exits_from: int,
        *,
        inside: bool = False,
        at_stop: bool = False,
    ) -> None:
        if self.left is not None and self.left <= 0:
            return
        config, unsized = self.config, order.qty is None
        slip = ZERO if order.limit is not None else met * config.slippage_bps / 10_000
        price = met + slip * order.sign
        rate = (config.maker_fee_bps if met == order.limit else config.taker_fee_bps) / 10_000
        closing = abs(self.held) if self.held * order.sign < 0 else ZERO
        qty = self.sized(order, price, rate, closing) if order.qty is None else order.qty
        part = self.part(order, qty - order.filled)
        counted = part
        if self.newer:
            counted = ZERO if order.filled or order.only_reduces or not part else qty
        if qty == 0 or self.too_much(order.sign * counted, price, rate):
            self.end(order, "rejected")
            return
        if part == 0:
            self.left = ZERO
            return
        if unsized:
            order.qty = qty
        self.book(order, min(part, closing), part, price, rate, slip, policy)
        if order.filled == order.qty:
            self.end(order, "filled")
        if part > closing:
            self.protect(order, part - closing, met, exits_from, inside=inside, at_stop=at_stop)
        self.clear(order, part)

    def sized(self, order: Given, price: Decimal, rate: Decimal, closing: Decimal) -> Decimal:
        assert order.size is not None
        percent, money, step = order.size
        reserved = max(Decimal(1), money / 100) if percent else Decimal(1)
        if percent:
            money = (self.cash + self.held * price - closing * price * rate) * money / 100
        steps = money // (price * (1 + rate * reserved) * step)
        return closing + max(steps, ZERO) * step

    def part(self, order: Given, rest: Decimal) -> Decimal:
        if order.only_reduces:
            rest = min(rest, abs(self.held))
        if self.left is None or rest <= self.left:
            return rest
        if order.size is None:
            return self.left
        return (self.left / order.size.step).to_integral_value(ROUND_FLOOR) * order.size.step

    def too_much(self, signed: Decimal, price: Decimal, rate: Decimal) -> bool:
        after, leverage = abs(self.held + signed), self.config.leverage
        if leverage is None or after <= abs(self.held):
            return False
        return after * price + abs(signed) * price * rate * leverage > (self.cash + self.held * price) * leverage

    def book(
        self, order: Given, closes: Decimal, part: Decimal, price: Decimal, rate: Decimal, slip: Decimal, policy: str
    ) -> None:
        for leg in (closes, part - closes):
            if leg:
                fee = leg * price * rate
                self.cash -= order.sign * leg * price + fee
                self.held += order.sign * leg
                self.fills.append(Filled(self.bar, order.id, order.sign, leg, price, fee, slip, policy))
        order.filled += part
        order.triggered = order.triggered or (self.newer and order.stop is not None)
        if self.left is not None:
            self.left -= part

    def protect(
        self, entry: Given, qty: Decimal, met: Decimal, exits_from: int, *, inside: bool, at_stop: bool
    ) -> None:
        exits = []
        for name in ("stop_loss", "take_profit"):
            if name in entry.ticket:
                exit_ = self.give(-entry.sign, {}, qty)
                exit_.only_reduces, exit_.first_bar, exit_.first_inside = True, exits_from, exits_from
                exit_.met_from = met
                if name == "stop_loss":
                    exit_.stop = entry.ticket[name]
                else:
                    exit_.limit = entry.ticket[name]
                    if inside and not (at_stop and self.config.entry_candle_profit == "proven"):
                        exit_.first_inside = self.bar + 1
                        if self.newer:
                            exit_.first_bar = self.bar + 1
                exits.append(exit_)
        for exit_ in exits:
            if exit_.first_bar > self.bar:
                exit_.met_from = None
        if self.newer:
            exits = [exit_ for exit_ in exits if not self.wrong(exit_, met)]
        if len(exits) == 2:
            exits[0].other, exits[1].other = exits[1], exits[0]

    def wrong(self, exit_: Given, met: Decimal) -> bool:
        """Reject an exit that would win at its stop, or lose at its limit, and tell so."""
        price = exit_.limit if exit_.stop is None else exit_.stop
        assert price is not None
        profit = (met - price) * exit_.sign
        if profit < 0 if exit_.stop is None else profit > 0:
            self.end(exit_, "rejected")
            return True
        return False

    def clear(self, order: Given, part: Decimal) -> None:
        other = order.other
        if other is not None and other in self.live and other.qty is not None:
            if order in self.live:
                other.qty -= part
            else:
                self.end(other, "cancelled")
        for resting in list(self.live):
            if resting.only_reduces and resting.sign * self.held >= 0:
                self.end(resting, "cancelled")
