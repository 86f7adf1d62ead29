"""The order and the table of what many sessions came to."""

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
    typer.Option("--by", help="What the best is first by; the drawdown that is smallest."),
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


def ranked(found: Sequence[SessionResult], by: str) -> list[SessionResult]:
    """Return results with the best first, equal ones as they came.

    Those that have not finished come behind all that have, those without the figure last among their like.
    """

    def place(each: SessionResult) -> tuple[bool, bool, Decimal | int]:
        figure = _KEYS[by](each)
        return each.status == FINISHED, figure is not None, 0 if figure is None else figure

    return sorted(found, key=place, reverse=True)


def print_ranking(found: Sequence[SessionResult]) -> None:
    """Print a table of results: the parameters that differ, and what came of them."""
    names = list(dict.fromkeys(name for each in found for name in each.config))
    names = [name for name in names if len({str(each.config.get(name)) for each in found}) > 1]
    rows = (
        (
            each.id,
            *(each.config.get(name, "") for name in names),
            *(_two(getattr(each, figure)) for figure in _COLUMNS.values()),
            each.trades,
            each.status if each.error is None else f"{each.status}: {each.error}",
        )
        for each in found
    )
    output.table(("id", *names, *_COLUMNS, "trades", "status"), rows, right=(*names, *_COLUMNS, "trades"))


def ranking_to_json(found: Sequence[SessionResult]) -> list[dict[str, Any]]:
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
        for each in found
    ]


def _two(number: Decimal | None) -> str:
    return "" if number is None else f"{number:,.2f}"


def _float(number: Decimal | None) -> float | None:
    return None if number is None else float(number)
