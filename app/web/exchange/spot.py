"""What a spot account holds: free and locked of each asset, from the account of the log."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from app.domain.trading.account import ZERO
from app.domain.trading.settings import BASIS_POINT, TradingSettings
from app.engine.account import AccountView, exact
from app.web.exchange.instruments import Instrument
from app.web.exchange.numbers import floor_text


class Balance(NamedTuple):
    """What of an asset can be used, and what open orders need."""

    free: Decimal
    locked: Decimal


def balances(view: AccountView, instruments: Mapping[str, Instrument], trading: TradingSettings) -> dict[str, Balance]:
    """Return the balances by asset, the quote first. What is borrowed or sold short shows as nothing."""
    held = {position.symbol: max(position.qty, ZERO) for position in view.positions}
    spent, sold = ZERO, dict.fromkeys(instruments, ZERO)
    for order in view.open_orders:
        if order["side"] == "BUY":
            spent += _money_of(order, trading)
        elif order["qty"] is not None:
            sold[order["symbol"]] += exact(order["qty"]) - exact(order["filledQty"])
    quote = next(iter(instruments.values())).quote
    found = {quote: Balance(max(view.cash - spent, ZERO), max(min(spent, view.cash), ZERO))}
    for symbol, instrument in instruments.items():
        has = held.get(symbol, ZERO)
        locked = min(sold[symbol], has)  # Two exits of one position share its quantity.
        found[instrument.base] = Balance(has - locked, locked)
    return found


def fee_share(trading: TradingSettings) -> Decimal:
    """Return the larger of the fees as a share of the worth."""
    return max(trading.maker_fee_bps, trading.taker_fee_bps) * BASIS_POINT


def cost(qty: Decimal, price: Decimal, trading: TradingSettings, *, slips: bool) -> Decimal:
    """Return the most that buying may cost, with its fee, and with slippage for an order at the market's price."""
    slippage = trading.slippage_bps * BASIS_POINT if slips else ZERO
    return qty * price * (1 + slippage) * (1 + fee_share(trading))


def as_json(found: Mapping[str, Balance]) -> list[dict[str, str]]:
    """Return balances as `account` has them."""
    return [
        {"asset": asset, "free": floor_text(balance.free), "locked": floor_text(balance.locked)}
        for asset, balance in found.items()
    ]


def _money_of(order: Mapping[str, Any], trading: TradingSettings) -> Decimal:
    """Return what an open buy order needs; a strategy's order by a share of the equity needs nothing yet."""
    sizing = order.get("sizing") or {}
    if order["qty"] is None:
        return exact(sizing["cash"]) if "cash" in sizing else ZERO
    left = exact(order["qty"]) - exact(order["filledQty"])
    price = order["limitPrice"] if order["limitPrice"] is not None else order["stopPrice"]
    if price is None:
        return ZERO
    return cost(left, exact(price), trading, slips=order["limitPrice"] is None)
