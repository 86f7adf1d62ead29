"""The simulated broker: it fills live orders against candles, exact to the last digit.

Within one candle, orders that the open reaches come first, in the order of their ids; then, inside the candle, stops
come before limits. So if one candle reaches both a stop-loss and a take-profit, the stop-loss is filled. At which price
a candle reaches an order, and what triggers a stop, is in `order`. Market and stop orders pay slippage; a fill at an
order's own limit price pays the maker fee, every other fill the taker fee. Where the rule sets differ, `rules` says
what counts. Arithmetic needs the `EXACT` context, which the strategy runner sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from app.domain import event
from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.number import format_decimal
from app.domain.trading.account import ZERO, Account, Fill, FillTime, Position
from app.domain.trading.exits import Entry, new_exits, wrong_side
from app.domain.trading.liquidation import liquidated_at
from app.domain.trading.order import Order, Touch, touch
from app.domain.trading.settings import BASIS_POINT, PERCENT, BrokerConfig

REDUCED = "reduced with the other exit"
_ONE = Decimal(1)


class Broker:
    """Holds the live orders of one session and books their fills; it appends what happens to `events`."""

    def __init__(self, config: BrokerConfig, account: Account, events: list[Event]) -> None:
        self.config = config
        self.rules = config.rule_set
        self.account = account
        self.events = events
        self.liquidates = config.maintenance_margin_pct is not None
        self.live: list[Order] = []
        self.last_id = 0
        self.volumes: tuple[int, dict[str, Decimal]] = (-1, {})

    def next_id(self) -> int:
        """Return the next order id: 1, 2, 3 … per session."""
        self.last_id += 1
        return self.last_id

    def accept(self, ts: int, order: Order, reason: str) -> None:
        """Add an order to the live orders."""
        self.live.append(order)
        self._log(ts, order, "accepted", reason)

    def end(self, ts: int, order: Order, status: str, reason: str) -> None:
        """Remove a live order as cancelled, rejected or expired."""
        self.live.remove(order)
        self._log(ts, order, status, reason)

    def reject(self, ts: int, order: Order, reason: str) -> None:
        """Log an order that never became live."""
        self._log(ts, order, "rejected", reason)

    def at_open(self, candles: Mapping[str, Candle], moment: FillTime) -> None:
        """Fill the live orders that the slot's candles reach; `candles` has no synthetic ones."""
        self._expire(moment)
        for symbol, candle in candles.items():
            self.account.marks[symbol] = candle.open
        trailing = [(order, order.stop) for order in self.live if order.trail and order.symbol in candles]
        for order, _ in trailing:
            order.follow(candles[order.symbol].open)
        from_open = True
        while (reached := self._first_touch(candles, moment.bar)) or self.liquidates:
            if self.liquidates and self._liquidate(candles, reached, moment, from_open=from_open):
                break
            if reached is None:
                break
            from_open = from_open and not reached[1].priority
            self._reach(*reached, moment)
        self._trail(trailing, candles, moment.ts)

    def at_close(self, candles: Mapping[str, Candle], moment: FillTime) -> None:
        """Fill market orders at the close of the slot in which they were placed (fill rule `same_close`)."""
        for order in [order for order in self.live if order.type == "market"]:
            candle = candles.get(order.symbol)
            if order in self.live and candle is not None and self._has_volume(candle, moment.bar):
                self._execute(order, candle.close, "same_close", moment, moment.bar + 1)

    def at_last_close(self, order: Order, candle: Candle, moment: FillTime) -> None:
        """Fill one live order at the close of the last candle if that price reaches it, as far as the volume lasts."""
        close = candle.close
        flat = candle._replace(open=close, high=close, low=close)
        through = self.config.limit_fill == "through"
        while order in self.live and self._may_reach(order, candle, moment.bar):
            reached = touch(order, flat, order.first_bar, through=through)
            if reached is None:
                return
            if order.only_triggers(self._has_volume(candle, moment.bar)):
                order.trigger()
                self._log(moment.ts, order, "triggered", "stop price reached")
                continue
            policy = "same_close" if order.takes_any_price else self._policy(order)
            left = order.filled
            self._execute(order, reached.price, policy, moment, moment.bar + 1)
            if order.filled == left:
                return

    def _expire(self, moment: FillTime) -> None:
        for order in [order for order in self.live if order.last_bar is not None]:
            if order.last_bar is not None and order.last_bar < moment.bar:
                self.end(moment.ts, order, "expired", "its number of candles has passed")

    def _trail(self, trailing: list[tuple[Order, Decimal | None]], candles: Mapping[str, Candle], ts: int) -> None:
        for order, logged_stop in trailing:
            if order in self.live and not order.triggered:
                candle = candles[order.symbol]
                order.follow(candle.low if order.sign > 0 else candle.high)
                if order.stop != logged_stop:
                    self._log(ts, order, "accepted", "trailed")

    def _first_touch(self, candles: Mapping[str, Candle], bar: int) -> tuple[Order, Touch, Candle] | None:
        """Return the next touch in this slot: the one with the lowest priority number, then of the oldest order."""
        first: tuple[Order, Touch, Candle] | None = None
        limited = self.config.volume_share is not None
        for order in self.live:
            candle = candles.get(order.symbol)
            if candle is None or order.first_bar > bar or (limited and not self._may_reach(order, candle, bar)):
                continue
            reached = touch(order, candle, bar, through=self.config.limit_fill == "through")
            if reached is not None and (first is None or reached.priority < first[1].priority):
                first = order, reached, candle
        return first

    def _reach(self, order: Order, reached: Touch, candle: Candle, moment: FillTime) -> None:
        """Trigger or fill an order at the price at which a candle reaches it."""
        if order.only_triggers(self._has_volume(candle, moment.bar)):
            order.trigger(reached, moment.bar)
            self._log(moment.ts, order, "triggered", "stop price reached")
        else:
            intrabar = reached.priority > 0 or order.first_intrabar_bar > moment.bar
            self._execute(order, reached.price, self._policy(order), moment, moment.bar, intrabar=intrabar)

    def _liquidate(
        self,
        candles: Mapping[str, Candle],
        reached: tuple[Order, Touch, Candle] | None,
        moment: FillTime,
        *,
        from_open: bool,
    ) -> bool:
        """Close all positions if the account is liquidated before the next order is reached; return whether it is."""
        margin = self.config.maintenance_margin_pct
        if margin is None or (reached is not None and not reached[1].priority):
            return False
        found = liquidated_at(self.account, candles, margin, from_open=from_open)
        if found is None or (reached is not None and _comes_first(reached[0], reached[1], *found, self.account)):
            return False
        symbol, price = found
        self.account.marks[symbol] = price
        for order in tuple(self.live):
            self.end(moment.ts, order, "cancelled", "the account is liquidated")
        for name, position in self.account.positions.items():
            if position.qty:
                self._close_liquidated(name, position, moment)
        return True

    def _close_liquidated(self, symbol: str, position: Position, moment: FillTime) -> None:
        """Close a position at its mark, with slippage and the taker fee, whatever the candle's volume."""
        order = Order(
            id=self.next_id(),
            symbol=symbol,
            sign=-position.sign,
            type="market",
            qty=abs(position.qty),
            reduce_only=True,
            reason="liquidation",
        )
        self.accept(moment.ts, order, "liquidation")
        mark, rate = self.account.marks[symbol], self.config.taker_fee_bps * BASIS_POINT
        slip = mark * self.config.slippage_bps * BASIS_POINT
        fill = Fill(
            order.id, symbol, order.sign, abs(position.qty), mark + slip * order.sign, rate, slip, "liquidation"
        )
        self._fill(order, fill, moment)

    def _policy(self, order: Order) -> str:
        if order.takes_any_price:
            return "next_open"
        return self.config.limit_fill if order.limit is not None else "stop"

    def _execute(
        self,
        order: Order,
        raw_price: Decimal,
        policy: str,
        moment: FillTime,
        exits_from: int,
        *,
        intrabar: bool = False,
    ) -> None:
        """Fill as much as possible at `raw_price`, before slippage; exits may fill from slot `exits_from` on."""
        slip = raw_price * self.config.slippage_bps * BASIS_POINT if order.slips else ZERO
        rate = BASIS_POINT * (self.config.maker_fee_bps if raw_price == order.limit else self.config.taker_fee_bps)
        price = raw_price + slip * order.sign
        if order.qty is None:
            order.qty = self._sized(order, price, rate)
        fill = Fill(order.id, order.symbol, order.sign, self._part(order), price, rate, slip, policy)
        reason = self._refusal(order, fill)
        if reason:
            self.end(moment.ts, order, "rejected", reason)
            return
        self._take_volume(fill)
        if not fill.qty:
            if order.sizing is not None and not order.filled:
                order.qty = None
            return
        opened = self._fill(order, fill, moment)
        if opened and order.bracket is not None:
            self._place_exits(Entry(order, opened, raw_price, moment.bar, exits_from, intrabar), moment.ts)
        self._reduce_exits(order, fill.qty, moment.ts)

    def _fill(self, order: Order, fill: Fill, moment: FillTime) -> Decimal:
        """Book a fill, a reversal as two fills at one price; return the quantity it opened."""
        position = self.account.positions[order.symbol]
        closing = min(fill.qty, abs(position.qty)) if position.sign == -order.sign else ZERO
        order.count_fill(fill.qty, self.rules)
        done = order.filled == order.qty
        if done:
            self.live.remove(order)
        self._log(moment.ts, order, "filled" if done else "partial", f"met by {fill.policy}")
        opening = fill.qty - closing
        for leg in (closing, opening):
            if leg:
                self._book(fill if leg is fill.qty else fill._replace(qty=leg), moment, order.reason)
        return opening

    def _book(self, fill: Fill, moment: FillTime, reason: str) -> None:
        trades = self.account.book(fill, moment, reason)
        self.events.append(event.fill(moment.ts, fill))
        for trade in trades:
            self.events.append(event.trade(moment.ts, trade))

    def _sized(self, order: Order, price: Decimal, rate: Decimal) -> Decimal:
        """Return the quantity of a sizing at a price and fee rate: the closing quantity plus the opening one.

        Money m buys m / (price * (1 + rate)), so that m includes the fee. Above 100 % of equity the fee is reserved
        p/100 times, because it reduces the equity that the leverage is based on.
        """
        assert order.sizing is not None
        position = self.account.positions[order.symbol]
        closing = abs(position.qty) if position.sign == -order.sign else ZERO
        if price <= 0:
            return closing
        money, reserved = order.sizing.amount, _ONE
        if order.sizing.kind == "equityPct":
            equity = self.account.equity_at(order.symbol, price) - closing * price * rate
            money, reserved = equity * money * PERCENT, max(_ONE, money * PERCENT)
        step = order.sizing.step
        steps = money // (price * (1 + rate * reserved) * step)
        return closing + max(steps, ZERO) * step

    def _part(self, order: Order) -> Decimal:
        """Return how much of the order may be filled now: nothing if the remaining volume is less than a step."""
        assert order.qty is not None
        part = order.qty - order.filled
        if order.reduce_only:
            part = min(part, abs(self.account.positions[order.symbol].qty))
        if self.config.volume_share is None or part <= self.volumes[1][order.symbol]:
            return part
        left = self.volumes[1][order.symbol]
        return left if order.sizing is None else left // order.sizing.step * order.sizing.step

    def _take_volume(self, fill: Fill) -> None:
        if self.config.volume_share is not None:
            left = self.volumes[1]
            left[fill.symbol] = left[fill.symbol] - fill.qty if fill.qty else ZERO

    def _refusal(self, order: Order, fill: Fill) -> str:
        """Return why an order is not filled, or ""."""
        if not order.qty:
            return "the size rounds to zero"
        if not self.rules.whole_order_judged:
            return self._margin_reason(fill)
        needs_no_margin = order.reduce_only or order.filled or not fill.qty
        return "" if needs_no_margin else self._margin_reason(fill._replace(qty=order.qty))

    def _margin_reason(self, fill: Fill) -> str:
        """Return why the margin does not allow a fill, or ""; only a larger |position| can be rejected."""
        leverage = self.config.leverage
        before = self.account.positions[fill.symbol].qty
        after = before + fill.qty * fill.sign
        if leverage is None or abs(after) <= abs(before):
            return ""
        notional = self.account.notional_at(fill.symbol, after, fill.price)
        equity = self.account.equity_at(fill.symbol, fill.price)
        if notional + fill.fee * leverage <= equity * leverage:
            return ""
        return (
            f"margin: {format_decimal(notional)} at leverage {format_decimal(leverage)}"
            f" and {format_decimal(fill.fee)} of fees"
            f" is more than the equity {format_decimal(equity)} carries"
        )

    def _place_exits(self, entry: Entry, ts: int) -> None:
        """Place the stop-loss and take-profit of an entry that filled, or reject those on the wrong side of it."""
        exits = []
        for order, name in new_exits(entry, self.next_id, self.config):
            reason = wrong_side(order, name, entry) if self.rules.exits_checked else ""
            if reason:
                self._log(ts, order, "rejected", reason)
            else:
                exits.append(order)
                self.accept(ts, order, f"{name} of order {entry.order.id}")
        if len(exits) == 2:
            exits[0].sibling, exits[1].sibling = exits[1], exits[0]

    def _reduce_exits(self, order: Order, part: Decimal, ts: int) -> None:
        """Reduce or cancel exits after a fill: the other exit of a bracket, and exits of a closed position."""
        sibling = order.sibling
        if sibling is not None and sibling in self.live and sibling.qty is not None:
            if order in self.live:
                sibling.qty -= part
                self._log(ts, sibling, "accepted", REDUCED)
            else:
                self.end(ts, sibling, "cancelled", "the other exit was filled")
        sign = self.account.positions[order.symbol].sign
        for other in [other for other in self.live if other.reduce_only and other.symbol == order.symbol]:
            if other.sign * sign >= 0:
                self.end(ts, other, "cancelled", "the position is closed")

    def _may_reach(self, order: Order, candle: Candle, bar: int) -> bool:
        """Whether a candle can still fill the order, or at least trigger it."""
        return order.can_be_reached(self._has_volume(candle, bar), self.rules)

    def _has_volume(self, candle: Candle, bar: int) -> bool:
        """Whether fills may still take some of the candle's volume."""
        if self.config.volume_share is None:
            return True
        if self.volumes[0] != bar:
            self.volumes = (bar, {})
        left = self.volumes[1].setdefault(candle.symbol, candle.volume * self.config.volume_share)
        return left > 0

    def _log(self, ts: int, order: Order, status: str, reason: str) -> None:
        self.events.append(event.order(ts, order, status, reason))


def _comes_first(order: Order, reached: Touch, symbol: str, price: Decimal, account: Account) -> bool:
    """Whether a stop that reduces the position is reached before the liquidation price."""
    sign = account.positions[symbol].sign
    reduces = order.symbol == symbol and order.sign == -sign and order.waits_for_stop
    return reduces and (reached.price - price) * sign > 0
