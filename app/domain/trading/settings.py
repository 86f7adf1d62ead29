"""The trading settings of a session: costs, fill rules, sizing and what is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field
from pydantic.alias_generators import to_camel

from app.domain.number import format_decimal, parse_decimal
from app.domain.setting import Amount, Rate, Setting, Share, Share100, SignedRate
from app.domain.trading.rules import FIRST_RULES, NEWEST_RULES, RULE_SETS, RuleSet
from app.errors import BadInputError

BASIS_POINT = Decimal("0.0001")
PERCENT = Decimal("0.01")
_TENTH_DECIMAL = Decimal("1E-10")
SIZES = ("qty", "cash", "equityPct")
"""The kinds of a sizing; a request names one of them."""


class Sizing(NamedTuple):
    """The size of orders that do not name a quantity.

    `amount` is units of the base for `qty`, quote money for `cash`, percent for `equityPct`; `step` is the
    unit to which the quantity of the last two is rounded down.
    """

    kind: str
    amount: Decimal
    step: Decimal = _TENTH_DECIMAL

    def __str__(self) -> str:
        """Return the sizing as text."""
        return f"{self.kind} {format_decimal(self.amount)}"


def sizing_to_json(value: Sizing) -> dict[str, Decimal]:
    """Return a sizing as the JSON of a request."""
    step = {} if value.step == _TENTH_DECIMAL else {"qtyStep": value.step}
    return {value.kind: value.amount, **step}


def parse_sizing(value: Mapping[str, Any]) -> Sizing:
    """Parse `{qty}`, `{cash}` or `{equityPct}`, each with an optional `qtyStep`; raises `BadInputError`."""
    kinds = [key for key in value if key in SIZES]
    if len(kinds) != 1 or set(value) - {*SIZES, "qtyStep"}:
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
    """The trading settings of a session; money in the quote currency, rates in basis points.

    Each field is also a field of requests and answers, an option and a column; see CONTRIBUTING.md to add one.
    `leverage` None means no margin check; `volume_share` None fills any size at once.
    """

    initial_cash: Annotated[Amount, Setting("Cash at the start, in the quote currency.", "MONEY")] = Decimal(10_000)
    maker_fee_bps: Annotated[
        Rate, Setting("Fee of fills at an order's own limit price, in basis points.", "BPS", fork=True, optional=True)
    ] = Decimal(10)
    taker_fee_bps: Annotated[
        Rate, Setting("Fee of all other fills, in basis points.", "BPS", fork=True, optional=True)
    ] = Decimal(10)
    slippage_bps: Annotated[
        Rate, Setting("How much worse than the price market and stop orders fill, in basis points.", "BPS", fork=True)
    ] = Decimal(0)
    leverage: Annotated[
        Amount | None,
        Setting("Largest positions, as a multiple of the equity; null: no margin check.", "TIMES", fork=True),
    ] = Decimal(1)
    fill: Annotated[
        Literal["next_open", "same_close"],
        Setting("When market orders fill: at the next open, or at the close of the same candle.", "WHEN", fork=True),
    ] = "next_open"
    limit_fill: Annotated[
        Literal["through", "touch"],
        Setting("When limit orders fill: when the price goes through the limit, or touches it.", "WHEN", fork=True),
    ] = "through"
    sizing: Annotated[
        Sizing,
        Setting(
            'Size of orders that name none: {"qty": 1}, {"cash": 500} or {"equityPct": 100}.',
            "JSON",
            fork=True,
        ),
    ] = field(default=Sizing("equityPct", Decimal(100)))
    volume_share: Annotated[
        Share | None,
        Setting("Share of a candle's volume that fills may take; null: no limit.", "0..1", fork=True),
    ] = None
    record: Annotated[
        Literal["full", "trades"],
        Setting("What is logged: everything, or no candles and equity only once a day.", "WHAT"),
    ] = "full"
    rules: Annotated[
        int,
        Field(ge=FIRST_RULES, le=NEWEST_RULES),
        Setting("Rule set of broker, warm-up and figures; 1 repeats results of older sessions.", "1|2", fork=True),
    ] = NEWEST_RULES
    entry_candle_profit: Annotated[
        Literal["never", "proven"],
        Setting(
            "When a take-profit fills in the candle inside which its entry filled: never, or if the prices prove it.",
            "WHEN",
            fork=True,
        ),
    ] = "never"

    funding_bps: Annotated[
        SignedRate,
        Setting(
            "Funding every 8 hours, in basis points of a position; above 0 long positions pay and short ones receive.",
            "BPS",
            fork=True,
        ),
    ] = Decimal(0)
    borrow_bps_per_day: Annotated[
        Rate,
        Setting("Interest per day on borrowed cash and on short positions, in basis points.", "BPS", fork=True),
    ] = Decimal(0)

    maintenance_margin_pct: Annotated[
        Share100 | None,
        Setting(
            "Positions are liquidated when the equity falls below this percentage of their value; null: never.",
            "PERCENT",
            fork=True,
        ),
    ] = None

    @property
    def rule_set(self) -> RuleSet:
        """The rule set with the number `rules`."""
        return RULE_SETS[self.rules]

    def require_consistent(self) -> None:
        """Raise `BadInputError` for settings that the rule set does not have."""
        if self.rules == FIRST_RULES:
            for name in _SINCE_RULES_2:
                if getattr(self, name) != getattr(_DEFAULTS, name):
                    raise BadInputError(f"{to_camel(name)}: needs rules 2")


_SINCE_RULES_2 = ("entry_candle_profit", "funding_bps", "borrow_bps_per_day", "maintenance_margin_pct")
_DEFAULTS = TradingSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerConfig(TradingSettings):
    """The input of a session's broker and strategy: the trading settings, the market and a seed.

    `seed` must depend only on the session's inputs, not on its id: equal input gives an equal log.
    """

    symbols: tuple[str, ...] = ()
    timeframe: str = ""
    seed: str = ""
