"""`zeon report`: the results of a session as a table, as JSON, or as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from app.cli import output
from app.cli.options import Json, SessionId, create
from app.cli.research import report_page
from app.cli.run import Context, run
from app.cli.sessions.session_view import market
from app.db.log import stats
from app.domain.session import Session
from app.domain.trading.account import Trade
from app.web.sim.stats import stats_json

Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write a page with charts to this file; needs plotly.")
]

_MONEY, _PERCENT, _RATIO, _COUNT, _TIME, _LENGTH = "money", "percent", "ratio", "count", "time", "length"
FIGURES = {
    "from_ms": ("from", _TIME),
    "to_ms": ("to", _TIME),
    "initial_cash": ("initial cash", _MONEY),
    "equity": ("equity", _MONEY),
    "net_profit": ("net profit", _MONEY),
    "fees": ("fees paid", _MONEY),
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
"""The figures shown: their names and how they are formatted."""


class Outcome(NamedTuple):
    """A session with its results."""

    session: Session
    stats: stats.Stats
    points: list[stats.Point]
    trades: list[Trade]


def report(session_id: SessionId, html: Html = None, json: Json = False) -> None:
    """Show the results of a session: return, risk and trades, also while it runs."""
    if html is not None:
        report_page.require_plotly()

    async def work(context: Context) -> Outcome:
        session = await context.sim.get(context.user, await context.session_id(session_id))
        figures = await context.database.run(stats.stats, session.id)
        if html is None:
            return Outcome(session, figures, [], [])
        points = await context.database.run(stats.equity, session.id, report_page.POINTS)
        trades = await context.database.run(stats.last_trades, session.id, report_page.TRADES)
        return Outcome(session, figures, points, list(trades))

    outcome = run(work)
    if json:
        output.line(stats_json(outcome.stats))
    elif html is None:
        output.line(title(outcome.session))
        output.table(("figure", "value"), lines(outcome.stats.figures), right=("value",))
    if html is not None:
        page = report_page.page(
            title(outcome.session), list(lines(outcome.stats.figures)), outcome.points, outcome.trades
        )
        with create(html) as file:
            file.write(page.encode())
        output.note(f"The report is written to {html}.")


def title(session: Session) -> str:
    """Return a line that names a session, and its error if it failed."""
    name_line = f"{session.spec.profile_slug} on {market(session)}, {session.status}"
    return name_line if session.error is None else f"{name_line}: {session.error}"


def lines(figures: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and value of each figure; a dash for a missing value."""
    for name, (words, kind) in FIGURES.items():
        value = figures[name]
        yield words, figure(value, kind)


def figure(value: Any, kind: str) -> str:
    """Return a figure for people; a dash for a missing one."""
    if value is None:
        return "-"
    if kind == _TIME:
        return output.utc(value)
    if kind == _LENGTH:
        return str(timedelta(milliseconds=value))
    if kind == _COUNT:
        return f"{value:,}"
    return f"{value:,.2f} %" if kind == _PERCENT else _number(value)


def _number(value: Decimal) -> str:
    """Format a number with 2 decimals, one below 1 with 4 significant digits."""
    return f"{value:,.2f}" if abs(value) >= 1 or not value else f"{value:.4g}"
