"""Rank the results of many sessions and print them as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

import typer

from app.cli import output
from app.db.log.results import SessionResult
from app.domain.session import FINISHED

By = Annotated[
    Literal["return", "sharpe", "sortino", "drawdown", "profitFactor", "winRate", "trades"],
    typer.Option("--by", help="Figure to rank by, best first (for drawdown: smallest first)."),
]

_KEYS: dict[str, Callable[[SessionResult], Decimal | int | None]] = {
    "return": lambda result: result.return_pct,
    "sharpe": lambda result: result.sharpe,
    "sortino": lambda result: result.sortino,
    "drawdown": lambda result: None if result.drawdown_pct is None else -result.drawdown_pct,
    "profitFactor": lambda result: result.profit_factor,
    "winRate": lambda result: result.win_rate_pct,
    "trades": lambda result: result.trades,
}
_COLUMNS = {
    "final equity": "equity",
    "return %": "return_pct",
    "Sharpe": "sharpe",
    "max drawdown %": "drawdown_pct",
    "profit factor": "profit_factor",
}


def figure(result: SessionResult, by: str) -> float | None:
    """Return the figure to rank by, larger is better; null if the session has none."""
    value = _KEYS[by](result)
    return None if value is None else float(value)


def rank_results(results: Sequence[SessionResult], by: str) -> list[SessionResult]:
    """Return the results with the best first; equal ones keep their order.

    Unfinished sessions come after finished ones; within both groups, sessions without the figure come last.
    """

    def key(result: SessionResult) -> tuple[bool, bool, Decimal | int]:
        figure = _KEYS[by](result)
        return result.status == FINISHED, figure is not None, 0 if figure is None else figure

    return sorted(results, key=key, reverse=True)


def print_ranking(results: Sequence[SessionResult]) -> None:
    """Print a table of results: the parameters that differ, and the figures."""
    names = list(dict.fromkeys(name for result in results for name in result.config))
    names = [name for name in names if len({str(result.config.get(name)) for result in results}) > 1]
    rows = (
        (
            result.id,
            *(result.config.get(name, "") for name in names),
            *(_two(getattr(result, figure)) for figure in _COLUMNS.values()),
            result.trades,
            result.status if result.error is None else f"{result.status}: {result.error}",
        )
        for result in results
    )
    output.table(("id", *names, *_COLUMNS, "trades", "status"), rows, right=(*names, *_COLUMNS, "trades"))


def ranking_to_json(results: Sequence[SessionResult]) -> list[dict[str, Any]]:
    """Return results as JSON values."""
    return [
        {
            "id": str(result.id),
            "config": result.config,
            "status": result.status,
            "error": result.error,
            "finalEquity": _float(result.equity),
            "returnPct": _float(result.return_pct),
            "sharpe": _float(result.sharpe),
            "sortino": _float(result.sortino),
            "maxDrawdownPct": _float(result.drawdown_pct),
            "profitFactor": _float(result.profit_factor),
            "winRatePct": _float(result.win_rate_pct),
            "trades": result.trades,
        }
        for result in results
    ]


def _two(number: Decimal | None) -> str:
    return "" if number is None else f"{number:,.2f}"


def _float(number: Decimal | None) -> float | None:
    return None if number is None else float(number)
