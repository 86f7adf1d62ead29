"""The ranking of many sessions' results, and its table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

import typer

from app.cli import output
from app.db.results import SessionResult
from app.domain.session import FINISHED

By = Annotated[
    Literal["return", "sharpe", "sortino", "drawdown", "profitFactor", "winRate", "trades"],
    typer.Option("--by", help="Figure to rank by, best first (for drawdown: smallest first)."),
]

_KEYS: dict[str, Callable[[SessionResult], Decimal | int | None]] = {
    "return": lambda each: each.return_pct,
    "sharpe": lambda each: each.sharpe,
    "sortino": lambda each: each.sortino,
    "drawdown": lambda each: None if each.drawdown_pct is None else -each.drawdown_pct,
    "profitFactor": lambda each: each.profit_factor,
    "winRate": lambda each: each.win_rate_pct,
    "trades": lambda each: each.trades,
}
_COLUMNS = {
    "final equity": "equity",
    "return %": "return_pct",
    "Sharpe": "sharpe",
    "max drawdown %": "drawdown_pct",
    "profit factor": "profit_factor",
}


def ranked(results: Sequence[SessionResult], by: str) -> list[SessionResult]:
    """Return results with the best first, equal ones in their order.

    Sessions that have not finished come after all that have; among each, those without the figure come last.
    """

    def key(each: SessionResult) -> tuple[bool, bool, Decimal | int]:
        figure = _KEYS[by](each)
        return each.status == FINISHED, figure is not None, 0 if figure is None else figure

    return sorted(results, key=key, reverse=True)


def print_ranking(results: Sequence[SessionResult]) -> None:
    """Print a table of results: the parameters that differ, and the figures."""
    names = list(dict.fromkeys(name for each in results for name in each.config))
    names = [name for name in names if len({str(each.config.get(name)) for each in results}) > 1]
    rows = (
        (
            each.id,
            *(each.config.get(name, "") for name in names),
            *(_two(getattr(each, figure)) for figure in _COLUMNS.values()),
            each.trades,
            each.status if each.error is None else f"{each.status}: {each.error}",
        )
        for each in results
    )
    output.table(("id", *names, *_COLUMNS, "trades", "status"), rows, right=(*names, *_COLUMNS, "trades"))


def ranking_to_json(results: Sequence[SessionResult]) -> list[dict[str, Any]]:
    """Return results as JSON values."""
    return [
        {
            "id": str(each.id),
            "config": each.config,
            "status": each.status,
            "error": each.error,
            "finalEquity": _float(each.equity),
            "returnPct": _float(each.return_pct),
            "sharpe": _float(each.sharpe),
            "sortino": _float(each.sortino),
            "maxDrawdownPct": _float(each.drawdown_pct),
            "profitFactor": _float(each.profit_factor),
            "winRatePct": _float(each.win_rate_pct),
            "trades": each.trades,
        }
        for each in results
    ]


def _two(number: Decimal | None) -> str:
    return "" if number is None else f"{number:,.2f}"


def _float(number: Decimal | None) -> float | None:
    return None if number is None else float(number)
