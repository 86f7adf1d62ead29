"""The equity payload, which reuses what a fill has not changed, against one that computes everything each time."""

from __future__ import annotations

import json
from decimal import Decimal, localcontext
from random import Random
from typing import Any

import pytest

from app.domain.number import EXACT, format_decimal, ratio
from app.domain.trading.account import Account, Fill, FillTime
from app.domain.trading.equity_curve import EquityCurve

ZERO = Decimal(0)


def payload(account: Account, peak: Decimal) -> dict[str, Any]:
    """Return the payload of an account, computed plainly."""
    value = sum((position.qty * account.marks[name] for name, position in account.positions.items()), ZERO)
    cost = sum((position.cost for position in account.positions.values()), ZERO)
    equity = account.cash + value
    held = {
        name: {
            "qty": position.qty,
            "avgPrice": ratio(position.cost, position.qty) if position.qty else ZERO,
            "value": position.qty * account.marks[name],
        }
        for name, position in account.positions.items()
    }
    single = {"positionQty": next(iter(held.values()))["qty"]} if len(held) == 1 else {"positions": held}
    return single | {
        "cash": account.cash,
        "equity": equity,
        "feesPaid": account.fees_paid,
        "peakEquity": peak,
        "realizedPnl": account.realized,
        "drawdownPct": ratio((peak - equity) * 100, peak) if peak > 0 else ZERO,
        "positionValue": value,
        "unrealizedPnl": value - cost,
    }


def trade_at_random(account: Account, rng: Random, bar: int) -> None:
    """Book a fill that either opens, adds to or closes a position."""
    name = rng.choice(list(account.positions))
    position = account.positions[name]
    closing = position.qty and rng.random() < 0.5
    sign = -position.sign if closing else position.sign or rng.choice((1, -1))
    qty = position.qty.copy_abs() if closing else Decimal(rng.randint(1, 999)) / 100
    price, rate = Decimal(rng.randint(1, 99_999)) / 100, Decimal("0.001")
    account.book(Fill(bar, name, sign, qty, price, rate, ZERO, "next_open"), FillTime(bar, bar), "test")


@pytest.mark.parametrize("symbols", [("BTC",), ("BTC", "ETH"), ("LONGER", "茅台", "АБ", "A")])
@pytest.mark.parametrize("seed", range(5))
def test_every_payload_is_what_the_account_says(symbols: tuple[str, ...], seed: int) -> None:
    rng, account = Random(seed), Account(Decimal("1000.50"), symbols)
    curve, peak = EquityCurve(account), None
    with localcontext(EXACT):
        for bar in range(200):
            for name in symbols:
                account.marks[name] = Decimal(rng.randint(1, 99_999)) / 100
            if rng.random() < 0.3:
                trade_at_random(account, rng, bar)
            peak = account.equity() if peak is None else max(peak, account.equity())
            text = curve.render()
            assert json.loads(text, parse_float=Decimal, parse_int=Decimal) == payload(account, peak)
            assert curve.peak == peak
            assert text == reordered(text)


def reordered(text: str) -> str:
    """Return a JSON object as Postgres's jsonb renders it, without spaces: shorter keys first, plain numbers."""
    return render(json.loads(text, parse_float=Decimal, parse_int=Decimal))


def render(value: Any) -> str:
    if isinstance(value, Decimal):
        return format_decimal(value)
    fields = sorted(value.items(), key=lambda item: (len(item[0].encode()), item[0]))
    return "{" + ",".join(f'"{name}":{render(item)}' for name, item in fields) + "}"


def test_positions_stand_in_the_order_of_jsonb_which_counts_bytes() -> None:
    symbols = ("茅台", "BTCUSDT", "АБ", "ETH", "EURUSD=X")
    with localcontext():
        payload = EquityCurve(Account(Decimal(100), symbols)).render()
    assert sorted(symbols, key=payload.index) == ["ETH", "АБ", "茅台", "BTCUSDT", "EURUSD=X"]
