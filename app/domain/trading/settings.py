"""The terms a session trades on: costs, fill rules, sizing and what is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from app.domain.number import format_decimal, parse_decimal
from app.errors import BadInputError

BASIS_POINT = Decimal("0.0001")
PERCENT = Decimal("0.01")
_TENTH_DECIMAL = Decimal("1E-10")
_KINDS = ("qty", "cash", "equityPct")


class Sizing(NamedTuple):
    """How large an order without a quantity of its own becomes.

    `amount` is units of the base for `qty`, quote money for `cash`, percent for `equityPct`; `step` is the
    unit to which the quantity of the last two is rounded down.
    """

    kind: str
    amount: Decimal
    step: Decimal = _TENTH_DECIMAL

    def __str__(self) -> str:
        """Name the sizing the way a client writes it."""
        return f"{self.kind} {format_decimal(self.amount)}"


def sizing_to_json(value: Sizing) -> dict[str, Decimal]:
    """Spell a sizing the way a client writes it."""
    step = {} if value.step == _TENTH_DECIMAL else {"qtyStep": value.step}
    return {value.kind: value.amount, **step}


def parse_sizing(value: Mapping[str, Any]) -> Sizing:
    """Read `{qty}`, `{cash}` or `{equityPct}`, each with an optional `qtyStep`; raises `BadInputError`."""
    kinds = [key for key in value if key in _KINDS]
    if len(kinds) != 1 or set(value) - {*_KINDS, "qtyStep"}:
        raise BadInputError("sizing: give one of qty, cash and equityPct, and qtyStep if quantities come in steps")
    step = _positive("sizing.qtyStep", value["qtyStep"]) if "qtyStep" in value else _TENTH_DECIMAL
    return Sizing(kinds[0], _positive(f"sizing.{kinds[0]}", value[kinds[0]]), step)


def _positive(name: str, value: Any) -> Decimal:
    try:
        number = parse_decimal(value)
    except ValueError as error:
        raise BadInputError(f"{name}: {error}") from None
    if isinstance(value, bool) or number <= 0:
        raise BadInputError(f"{name}: must be a number above zero")
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingSettings:
    """What a session's trader needs to know; money in the quote currency, rates in basis points.

    `leverage` None switches the margin check off, `volume_share` None fills any size at once (otherwise it is
    the share of a candle's volume that all fills of its symbol may take). `seed` must come from the session's
    inputs, never from its id, or equal input would not give an equal log.
    """

    symbols: tuple[str, ...] = ()
    timeframe: str = ""
    initial_cash: Decimal = Decimal(10_000)
    maker_fee_bps: Decimal = Decimal(10)
    taker_fee_bps: Decimal = Decimal(10)
    slippage_bps: Decimal = Decimal(0)
    leverage: Decimal | None = Decimal(1)
    fill: Literal["next_open", "same_close"] = "next_open"
    limit_fill: Literal["through", "touch"] = "through"
    sizing: Sizing = field(default=Sizing("equityPct", Decimal(100)))
    volume_share: Decimal | None = None
    record: Literal["full", "trades"] = "full"
    seed: str = ""
