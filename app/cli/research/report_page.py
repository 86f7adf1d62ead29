"""The page of `zeon report --html`: one file with plotly charts that loads nothing from other hosts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.util import find_spec

from app.cli import output
from app.db.log.stats import Point
from app.domain.number import format_decimal
from app.domain.trading.account import Trade
from app.errors import SimError

POINTS = 5000
"""Points of the equity curve on a page."""
TRADES = 5000
"""The newest trades, in the chart."""
_ROWS = 1000
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; form-action 'none'"
)
_CONFIG = {
    "displaylogo": False,
    "plotlyServerURL": "",
    "showSendToCloud": False,
    "modeBarButtonsToRemove": ["sendChartToCloud", "sendDataToCloud"],
}
"""Without plotly's buttons that send the chart to its servers."""
_STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.15rem .8rem;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child{text-align:left}"
)
_COLUMNS = ("closed", "symbol", "side", "quantity", "entry", "exit", "fees", "net profit", "reason")


def require_plotly() -> None:
    """Raise `SimError` when the charts cannot be drawn."""
    if find_spec("plotly") is None:
        raise SimError("--html needs the package plotly; pip install 'zeon-sim[report]'")


def page(title: str, figures: Sequence[tuple[str, str]], points: Sequence[Point], trades: Sequence[Trade]) -> str:
    """Return the page as HTML; every text in it is escaped."""
    shown = trades[-_ROWS:][::-1]
    note = f"<p>The newest {len(shown)} trades.</p>" if shown else "<p>No trade was closed.</p>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"{_charts(points, trades)}<h2>Figures</h2>{_table(('figure', 'value'), figures)}"
        f"<h2>Trades</h2>{note}{_table(_COLUMNS, map(_row, shown)) if shown else ''}</body></html>\n"
    )


def _charts(points: Sequence[Point], trades: Sequence[Trade]) -> str:
    """Draw equity, drawdown and the trades' net profits, one below the other."""
    from plotly.graph_objects import Scatter
    from plotly.subplots import make_subplots

    times = [_time(point.ts) for point in points]
    chart = make_subplots(
        rows=3,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.05,
        row_heights=[0.5, 0.25, 0.25],
        subplot_titles=("Equity", "Drawdown, %", "Net profit of each trade"),
    )
    chart.add_trace(Scatter(x=times, y=[float(point.equity) for point in points], name="equity"), 1, 1)
    falls = [-float(point.drawdown_pct) for point in points]
    chart.add_trace(Scatter(x=times, y=falls, name="drawdown", fill="tozeroy"), 2, 1)
    profits = [float(trade.net_pnl) for trade in trades]
    colors = ["#2a9d5c" if profit > 0 else "#c8443c" for profit in profits]
    closed = [_time(trade.exit_ts) for trade in trades]
    names = [escape(f"{trade.side} {trade.symbol}: {trade.reason}") for trade in trades]
    dots = Scatter(
        x=closed, y=profits, mode="markers", name="trades", marker={"color": colors, "size": 5}, hovertext=names
    )
    chart.add_trace(dots, 3, 1)
    chart.update_layout(height=900, showlegend=False, margin={"l": 60, "r": 20, "t": 40, "b": 40})
    return str(chart.to_html(full_html=False, include_plotlyjs=True, config=_CONFIG))


def _row(trade: Trade) -> tuple[str, ...]:
    numbers = (trade.qty, trade.entry_price, trade.exit_price, trade.fees, trade.net_pnl)
    return (output.utc(trade.exit_ts), trade.symbol, trade.side, *map(format_decimal, numbers), trade.reason)


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _time(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)
