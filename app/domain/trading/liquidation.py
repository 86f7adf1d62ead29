"""Liquidation: the price at which an account no longer carries its positions. Needs the `EXACT` context."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from app.domain.market.candle import Candle
from app.domain.number import ratio
from app.domain.trading.account import ZERO, Account
from app.domain.trading.settings import PERCENT


def liquidation_price(account: Account, symbol: str, margin_pct: Decimal) -> Decimal | None:
    """Return the price of a symbol at which equity = maintenance margin, the others at their marks; null if none is.

    The equity must be at least `margin_pct` percent of the value of all positions, short ones counted as positive. With
    q units, cash and other positions E, and other margins M: E + q * p = M + m * |q| * p. Rounded to 10 decimals.
    """
    qty, margin = account.positions[symbol].qty, margin_pct * PERCENT
    others = [(name, position.qty) for name, position in account.positions.items() if name != symbol]
    equity = account.cash + sum((held * account.marks[name] for name, held in others), ZERO)
    required = margin * sum((abs(held) * account.marks[name] for name, held in others), ZERO)
    slope = qty - margin * abs(qty)
    price = ratio(required - equity, slope)
    return price if price > 0 else None


def liquidated_at(
    account: Account, candles: Mapping[str, Candle], margin_pct: Decimal, *, from_open: bool
) -> tuple[str, Decimal] | None:
    """Return the first symbol whose candle reaches its liquidation price, and the price of the liquidation.

    `from_open`: the positions are as they were at the open, which counts if it is past the liquidation price.
    """
    for symbol, candle in candles.items():
        position = account.positions[symbol]
        price = liquidation_price(account, symbol, margin_pct) if position.qty else None
        if price is None:
            continue
        if from_open and (candle.open - price) * position.sign <= 0:
            return symbol, candle.open
        extreme = candle.low if position.sign > 0 else candle.high
        if (extreme - price) * position.sign <= 0:
            return symbol, price
    return None
