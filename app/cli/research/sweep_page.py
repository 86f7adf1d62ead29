"""The page of `zeon sweep --html`: the ranking, a heat map of two parameters, or the windows of a walk-forward."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from app.cli import output
from app.cli.research import ranking
from app.cli.research.param_grid import Axis
from app.cli.research.walk_forward import Judged
from app.db.log.results import SessionResult

_ROWS = 500
_STYLE = (
    ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;"
    "padding:0 1rem}.scroll{overflow-x:auto}table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #8886;white-space:nowrap}"
    ".map td{border:1px solid #8884;text-align:center}.map th{text-align:right}"
)


def page(
    title: str,
    words: str,
    ranked: Sequence[SessionResult],
    windows: Sequence[Judged],
    axes: Sequence[Axis],
    by: str,
) -> str:
    """Return the page as HTML, without scripts; every text in it is escaped."""
    body = [f"<h1>{escape(title)}</h1>", f"<p>{escape(words)}</p>"]
    if windows:
        body += ["<h2>Chosen before, judged after</h2>", _windows(windows)]
    else:
        body += [_heat_map(ranked, axes, by), "<h2>Ranking</h2>", _ranking(ranked, axes)]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _heat_map(ranked: Sequence[SessionResult], axes: Sequence[Axis], by: str) -> str:
    """Return a table of the two parameters with most values: the best figure of each pair; empty with fewer."""
    wide = sorted((axis for axis in axes if len(axis.values) > 1), key=lambda axis: -len(axis.values))[:2]
    if len(wide) < 2:
        return ""
    across, down = wide
    best: dict[tuple[str, str], float] = {}
    for result in ranked:
        value = ranking.figure(result, by)
        place = str(result.config.get(down.name)), str(result.config.get(across.name))
        if value is not None:
            best[place] = max(value, best.get(place, value))
    largest = max((abs(value) for value in best.values()), default=1) or 1
    columns = [value for value in across.values if any(place[1] == str(value) for place in best)]
    rows = [value for value in down.values if any(place[0] == str(value) for place in best)]
    head = "".join(f'<th scope="col">{escape(str(value))}</th>' for value in columns)
    lines = "".join(
        f'<tr><th scope="row">{escape(str(row))}</th>'
        + "".join(_cell(best.get((str(row), str(column))), largest) for column in columns)
        + "</tr>"
        for row in rows
    )
    caption = f"The best {escape(by)} of each pair: {escape(down.name)} down, {escape(across.name)} across"
    return (
        f'<h2>Heat map</h2><div class="scroll"><table class="map"><caption>{caption}</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _cell(value: float | None, largest: float) -> str:
    if value is None:
        return "<td>–</td>"
    color = "20 150 90" if value >= 0 else "210 60 70"
    strength = 0.55 * abs(value) / largest
    return f'<td style="background:rgb({color} / {strength:.2f})">{escape(output.number(round(value, 4)))}</td>'


def _ranking(ranked: Sequence[SessionResult], axes: Sequence[Axis]) -> str:
    names = [axis.name for axis in axes]
    columns = (*names, "final equity", "return %", "Sharpe", "max drawdown %", "profit factor", "trades", "status")
    shown = ranked[:_ROWS]
    rows = (
        (
            *(result.config.get(name, "") for name in names),
            *(output.number(value) for value in (result.equity, result.return_pct, result.sharpe)),
            *(output.number(value) for value in (result.drawdown_pct, result.profit_factor)),
            result.trades,
            result.status,
        )
        for result in shown
    )
    more = f"<p>The best {_ROWS} of {len(ranked):,} runs.</p>" if len(ranked) > _ROWS else ""
    return _table(columns, rows) + more


def _windows(windows: Sequence[Judged]) -> str:
    columns = ("fit from", "fit to", "judged to", "chosen", "fit return %", "judged return %", "judged trades")
    rows = (
        (
            *(output.utc(time)[:10] for time in row.window),
            ", ".join(f"{name} {value}" for name, value in row.config.items()),
            output.number(row.fitted.return_pct),
            output.number(None if row.judged is None else row.judged.return_pct),
            "" if row.judged is None else row.judged.trades,
        )
        for row in windows
    )
    return _table(columns, rows)


def _table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
