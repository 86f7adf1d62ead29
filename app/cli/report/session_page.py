"""The page of a session's results: price with trades, equity, drawdown, parameters, figures and trades in one file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Any, Final

from app.cli.report import charts, figures, html
from app.cli.report.failure import failure_lines
from app.db.candles import read_bars
from app.db.log import stats
from app.db.log.stats import Point
from app.db.pool import Connection
from app.domain.market.candle import Candle
from app.domain.session import SETTINGS, Session
from app.domain.trading.account import Trade
from app.domain.utc import utc
from app.web.sim.answers import SessionAnswer

POINTS: Final = 5000
"""Points of the equity curve that are read, at most."""
_ROWS: Final = 1000
_CHARTS: Final = 10
"""Symbols with a price chart, at most."""
_TILES: Final = (
    *("return_pct", "buy_and_hold_pct", "net_profit", "max_drawdown_pct", "daily_sharpe"),
    *("trades", "win_rate_pct", "profit_factor"),
)
_NUMBERS: Final = ("quantity", "entry", "exit", "fees", "net profit", "candles")
_COLUMNS: Final = ("opened", "closed", "symbol", "side", *_NUMBERS, "reason")
_HIDDEN: Final = frozenset({"profileSlug", "config", "name", "tags", "kind"})
"""Settings that the page shows elsewhere."""
_TIMES: Final = frozenset({"startMs", "endMs"})


async def read_page(connection: Connection, session: Session, result: Mapping[str, Any]) -> str:
    """Read what the page shows of a session and return it; `result` has its figures."""
    points = await stats.equity(connection, session.id, POINTS)
    trades = await stats.last_trades(connection, session.id, charts.ARROWS)
    spec = session.spec
    symbols = spec.symbols[:_CHARTS]
    to_ms = result["to_ms"] or session.cursor_ms or spec.start_ms
    step_ms = bar_ms(spec.grid.ms, to_ms - spec.start_ms, len(symbols))
    bars = {
        symbol: await read_bars(connection, spec.venue, symbol, spec.timeframe, spec.start_ms, to_ms, step_ms)
        for symbol in symbols
    }
    return page(session, result, points, trades, bars, step_ms)


def bar_ms(step_ms: int, range_ms: int, symbols: int) -> int:
    """Return the length of the bars that fit on the page: a multiple of the session's timeframe."""
    slots = -(-range_ms // step_ms)
    return step_ms * max(1, -(-slots * symbols // charts.BARS))


def page(
    session: Session,
    result: Mapping[str, Any],
    points: Sequence[Point],
    trades: Sequence[Trade],
    bars: Mapping[str, Sequence[Candle]],
    step_ms: int,
) -> str:
    """Return the page as HTML; every text in it is escaped."""
    spec = session.spec
    title = f"{spec.profile_slug} on {' '.join(spec.symbols)} {spec.timeframe}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="faint">{escape(_about(session, result))}</p>',
        _failure(session),
        html.tiles((figures.FIGURES[name][0], figures.figure(name, result[name])) for name in _TILES),
        _charts(session, points, trades, bars, step_ms),
        '<div class="columns"><section><h2>Parameters</h2>',
        html.table(("parameter", "value"), _texts(spec.config))
        if spec.config
        else "<p>The defaults of the strategy.</p>",
        "<h2>Settings</h2>",
        html.table(("setting", "value"), _texts(_settings(session))),
        "</section><section><h2>Figures</h2>",
        html.table(("figure", "value"), figures.lines(result), right=("value",)),
        "</section></div>",
        _trades(trades, result["trades"]),
        f"<footer><p>Session {session.id}. {escape(charts.CREDIT)}</p></footer>",
        html.data("data", charts.series(bars, points, trades, step_ms)),
    ]
    return html.page(title, "".join(parts), scripts=(charts.script(),))


def _settings(session: Session) -> dict[str, Any]:
    """Return the settings of a session by their names in the API, without those shown elsewhere."""
    answer = SessionAnswer.of(session).model_dump(mode="json", by_alias=True)
    names = [field.json_name for field in SETTINGS if field.json_name in answer]
    return {name: answer[name] for name in names if name not in _HIDDEN}


def _about(session: Session, result: Mapping[str, Any]) -> str:
    spec = session.spec
    to_ms = result["to_ms"] or spec.end_ms
    until = "" if to_ms is None else f" to {utc(to_ms)}"
    name = f"{spec.name}, " if spec.name else ""
    return f"{name}{session.status}. Candles of {spec.venue}, {utc(spec.start_ms)}{until}."


def _failure(session: Session) -> str:
    lines = failure_lines(session.error, session.error_details)
    return f'<div class="failure"><pre>{escape(chr(10).join(lines))}</pre></div>' if lines else ""


def _charts(
    session: Session,
    points: Sequence[Point],
    trades: Sequence[Trade],
    bars: Mapping[str, Sequence[Candle]],
    step_ms: int,
) -> str:
    spec = session.spec
    notes = [f"Each bar joins {step_ms // spec.grid.ms} candles."] if step_ms > spec.grid.ms else []
    if len(spec.symbols) > len(bars):
        notes.append(f"The first {len(bars)} of {len(spec.symbols)} symbols have a price chart.")
    if len(trades) == charts.ARROWS:
        notes.append(f"The newest {charts.ARROWS:,} trades are drawn.")
    if not any(bars.values()):
        notes.append("The candles are not cached any more.")
    options = "".join(f"<option>{escape(symbol)}</option>" for symbol in bars)
    choice = f'<label>Price of <select id="symbol">{options}</select></label> ' if len(bars) > 1 else ""
    legend = (
        "Price with entries (arrows) and exits (dots), green where a trade won, red where it lost; equity; drawdown."
    )
    return (
        f'<h2>Price, equity and drawdown</h2><p class="faint">{choice}{legend} {escape(" ".join(notes))}</p>'
        '<div id="chart" class="chart" role="img" aria-label="Price with trades, equity and drawdown"></div>'
    )


def _trades(trades: Sequence[Trade], count: int) -> str:
    if not trades:
        return "<h2>Trades</h2><p>No trade was closed.</p>"
    shown = trades[-_ROWS:][::-1]
    note = f"The newest {len(shown):,} of {count:,}." if count > len(shown) else f"{count:,}, the newest first."
    return f"<h2>Trades</h2><p>{note}</p>{html.table(_COLUMNS, map(_row, shown), right=_NUMBERS, one_line=True)}"


def _row(trade: Trade) -> tuple[str, ...]:
    prices = (figures.number(trade.entry_price), figures.number(trade.exit_price))
    amounts = (figures.money(trade.fees), figures.money(trade.net_pnl), figures.count(trade.hold_bars))
    times = (utc(trade.entry_ts), utc(trade.exit_ts))
    return (*times, trade.symbol, trade.side, figures.number(trade.qty), *prices, *amounts, trade.reason)


def _texts(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield names and values of settings as text; a value without a meaning here is left out."""
    for name, value in values.items():
        if value is not None and value != []:
            yield name, _text(name, value)


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if name in _TIMES:
        return utc(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
