"""Money, positions and FIFO lots; every number is exact, nothing is rounded.

All arithmetic needs the `EXACT` context, which the strategy runner sets.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from app.domain.number import ratio

ZERO = Decimal(0)


class Fill(NamedTuple):
    """One execution: `qty` above zero in units of the base, `price` after slippage, `fee` in quote money.

    `slippage` is how much worse the price of one unit became, in quote money; `rate` is the fee as a share of the
    notional, so that the fee of a part is exact.
    """

    order_id: int
    symbol: str
    sign: int
    qty: Decimal
    price: Decimal
    rate: Decimal
    slippage: Decimal
    policy: str

    @property
    def fee(self) -> Decimal:
        """Return rate * qty * price."""
        return self.rate * self.qty * self.price


class FillTime(NamedTuple):
    """The time of a fill: simulated time in ms and the number of the slot."""

    ts: int
    bar: int


class Lot(NamedTuple):
    """The part of an opening fill that is not closed yet."""

    qty: Decimal
    price: Decimal
    rate: Decimal
    moment: FillTime


class Trade(NamedTuple):
    """A closed lot, or a closed part of one. Money in quote currency; `fees` are those of both sides, pro rata."""

    symbol: str
    side: str
    qty: Decimal
    entry_price: Decimal
    exit_price: Decimal
    entry_ts: int
    exit_ts: int
    gross_pnl: Decimal
    fees: Decimal
    hold_bars: int
    reason: str

    @property
    def net_pnl(self) -> Decimal:
        """Return gross profit less the fees of both sides."""
        return self.gross_pnl - self.fees


class Position(NamedTuple):
    """A position: signed quantity, signed cost (sum of quantity * entry price) and lots, oldest first."""

    qty: Decimal = ZERO
    cost: Decimal = ZERO
    lots: tuple[Lot, ...] = ()

    @property
    def avg_price(self) -> Decimal:
        """Return the mean entry price to 10 decimals, 0 when flat."""
        return ratio(self.cost, self.qty) if self.qty else ZERO

    @property
    def sign(self) -> int:
        """Return 1 for long, -1 for short, 0 for flat."""
        return (self.qty > 0) - (self.qty < 0)


class Account:
    """Cash, fees, funding, interest, realised profit (net of both sides' fees), a position and mark price per symbol.

    `version` grows with each fill and payment, so that readers know when their derived values are out of date.
    """

    __slots__ = ("cash", "fees_paid", "funding_paid", "interest_paid", "marks", "positions", "realized", "version")

    def __init__(self, cash: Decimal, symbols: tuple[str, ...]) -> None:
        self.cash = cash
        self.fees_paid = ZERO
        self.funding_paid = ZERO
        self.interest_paid = ZERO
        self.realized = ZERO
        self.positions = dict.fromkeys(symbols, Position())
        self.marks = dict.fromkeys(symbols, ZERO)
        self.version = 0

    def value(self) -> Decimal:
        """Return the signed worth of all positions at their marks."""
        marks = self.marks
        return sum((position.qty * marks[symbol] for symbol, position in self.positions.items()), ZERO)

    def equity(self) -> Decimal:
        """Return cash + position value."""
        return self.cash + self.value()

    def equity_at(self, symbol: str, price: Decimal) -> Decimal:
        """Return the equity with `symbol` marked at `price`, the others at their marks."""
        return self.equity() + self.positions[symbol].qty * (price - self.marks[symbol])

    def notional_at(self, symbol: str, qty: Decimal, price: Decimal) -> Decimal:
        """Return the sum of |qty| * price if the position in `symbol` were `qty`, the others at their marks."""
        others = (
            abs(position.qty) * self.marks[other] for other, position in self.positions.items() if other != symbol
        )
        return sum(others, abs(qty) * price)

    def pay_funding(self, amount: Decimal) -> None:
        """Take funding from the cash; below zero it is received."""
        self.cash -= amount
        self.funding_paid += amount
        self.version += 1

    def pay_interest(self, amount: Decimal) -> None:
        """Take interest from the cash."""
        self.cash -= amount
        self.interest_paid += amount
        self.version += 1

    def book(self, fill: Fill, moment: FillTime, reason: str) -> list[Trade]:
        """Book a fill that either opens or closes (never both) and return the trades it closed."""
        signed = fill.qty * fill.sign
        position = self.positions[fill.symbol]
        self.cash -= signed * fill.price + fill.fee
        self.fees_paid += fill.fee
        self.version += 1
        if position.sign * fill.sign >= 0:
            lot = Lot(fill.qty, fill.price, fill.rate, moment)
            self.positions[fill.symbol] = _add_lot(position, fill.sign, lot)
            return []
        self.positions[fill.symbol], trades = _close_lots(position, fill, moment, reason)
        self.realized += sum((trade.net_pnl for trade in trades), ZERO)
        return trades


def _add_lot(position: Position, sign: int, lot: Lot) -> Position:
    signed = lot.qty * sign
    return Position(position.qty + signed, position.cost + signed * lot.price, (*position.lots, lot))


def _close_lots(position: Position, fill: Fill, moment: FillTime, reason: str) -> tuple[Position, list[Trade]]:
    """Close `fill.qty` of the position, oldest lots first."""
    left, cost, taken, trades = fill.qty, position.cost, 0, []
    rest: tuple[Lot, ...] = ()
    for lot in position.lots:
        part = min(left, lot.qty)
        trades.append(_trade(lot, part, fill, moment, reason))
        cost -= part * lot.price * position.sign
        left -= part
        taken += 1
        if part < lot.qty:
            rest = (lot._replace(qty=lot.qty - part),)
        if not left:
            break
    return Position(position.qty + fill.qty * fill.sign, cost, rest + position.lots[taken:]), trades


def _trade(lot: Lot, qty: Decimal, fill: Fill, moment: FillTime, reason: str) -> Trade:
    return Trade(
        fill.symbol,
        "LONG" if fill.sign < 0 else "SHORT",
        qty,
        lot.price,
        fill.price,
        lot.moment.ts,
        moment.ts,
        (lot.price - fill.price) * qty * fill.sign,
        qty * (lot.rate * lot.price + fill.rate * fill.price),
        moment.bar - lot.moment.bar,
        reason,
    )
