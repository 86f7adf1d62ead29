"""The figures of a result as people read them: their names, and numbers with separators and few digits.

JSON keeps every digit; only terminals and pages use these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from app.domain import utc as times

MISSING = "-"
_OPTIONAL = ("funding", "interest")
_CENT = Decimal("0.01")
_MONEY, _PERCENT, _RATIO, _COUNT, _TIME, _LENGTH = "money", "percent", "ratio", "count", "time", "length"
FIGURES = {
    "from_ms": ("from", _TIME),
    "to_ms": ("to", _TIME),
    "initial_cash": ("initial cash", _MONEY),
    "equity": ("equity", _MONEY),
    "net_profit": ("net profit", _MONEY),
    "fees": ("fees paid", _MONEY),
    "funding": ("funding paid", _MONEY),
    "interest": ("interest paid", _MONEY),
    "return_pct": ("return", _PERCENT),
    "buy_and_hold_pct": ("buy and hold", _PERCENT),
    "cagr_pct": ("CAGR", _PERCENT),
    "volatility_pct": ("volatility, a year", _PERCENT),
    "sharpe": ("Sharpe", _RATIO),
    "sortino": ("Sortino", _RATIO),
    "daily_volatility_pct": ("volatility of days, a year", _PERCENT),
    "daily_sharpe": ("Sharpe of days", _RATIO),
    "daily_sortino": ("Sortino of days", _RATIO),
    "calmar": ("Calmar", _RATIO),
    "max_drawdown": ("largest drawdown", _MONEY),
    "max_drawdown_pct": ("deepest drawdown", _PERCENT),
    "max_drawdown_ms": ("longest drawdown", _LENGTH),
    "exposure_pct": ("exposure", _PERCENT),
    "trades": ("trades", _COUNT),
    "wins": ("won", _COUNT),
    "losses": ("lost", _COUNT),
    "win_rate_pct": ("win rate", _PERCENT),
    "profit_factor": ("profit factor", _RATIO),
    "expectancy": ("expectancy", _MONEY),
    "sqn": ("SQN", _RATIO),
    "avg_win": ("average win", _MONEY),
    "avg_loss": ("average loss", _MONEY),
    "best_trade": ("best trade", _MONEY),
    "worst_trade": ("worst trade", _MONEY),
    "win_streak": ("most wins in a row", _COUNT),
    "loss_streak": ("most losses in a row", _COUNT),
    "avg_hold_bars": ("average candles held", _RATIO),
}
"""The figures shown, by their name in SQL: what they are called, and the kind of number."""


def lines(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and value of each figure of a result; a dash for a missing value. Funding of 0 is left out."""
    for name, (words, _) in FIGURES.items():
        if figures[name] or name not in _OPTIONAL:
            yield words, figure(name, figures[name])


def figure(name: str, value: Any) -> str:
    """Return a figure by its name in SQL as text; a dash for a missing value."""
    return of_kind(value, FIGURES[name][1])


def of_kind(value: Any, kind: str) -> str:
    """Return a number of one of the kinds in `FIGURES` as text; a dash for a missing value."""
    return MISSING if value is None else _FORMATS[kind](value)


def money(value: Decimal | float) -> str:
    """Format an amount with 2 decimals, one below a hundredth with 4 significant digits: 12,345.67."""
    if value and -_CENT < value < _CENT:
        return f"{Decimal(f'{value:.4g}'):f}"
    return ratio(value)


def ratio(value: Decimal | float) -> str:
    """Format a ratio with 2 decimals: 1.57."""
    return f"{value:,.2f}"


def percent(value: Decimal | float) -> str:
    """Format a percentage with 2 decimals: 12.35 %."""
    return f"{value:,.2f} %"


def count(value: int) -> str:
    """Format a whole number: 12,345."""
    return f"{value:,}"


def length(milliseconds: int) -> str:
    """Format a length of time: 3 days, 4:00:00."""
    return str(timedelta(milliseconds=milliseconds))


def number(value: Decimal | float) -> str:
    """Format a price or a quantity with up to 8 significant digits, and separators: 1,234.5."""
    rounded = Decimal(f"{value:.8g}")
    text = f"{rounded:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


_FORMATS: Mapping[str, Callable[[Any], str]] = {
    _MONEY: money,
    _RATIO: ratio,
    _PERCENT: percent,
    _COUNT: count,
    _TIME: times.utc,
    _LENGTH: length,
}
