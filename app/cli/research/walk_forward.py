"""Walk-forward: parameters are chosen on one stretch of the range and judged on the next, again and again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from statistics import fmean
from typing import Any, NamedTuple

from app.cli import output
from app.db.log.results import SessionResult
from app.errors import BadInputError

_LENGTH = re.compile(r"(\d{1,5})([hdw])")
_UNIT_MS = {"h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
MAX_WINDOWS = 500


class Window(NamedTuple):
    """A stretch on which parameters are chosen, and the one after it on which they are judged; ms UTC, half-open."""

    fit_from_ms: int
    fit_to_ms: int
    judge_to_ms: int


class Judged(NamedTuple):
    """A window with the parameters chosen in it, and their results before and after."""

    window: Window
    config: dict[str, Any]
    fitted: SessionResult
    judged: SessionResult | None


def parse_lengths(text: str) -> tuple[int, int]:
    """Return both lengths of `90d/30d` in ms; raises `BadInputError`."""
    fit, slash, judge = text.partition("/")
    found = [_LENGTH.fullmatch(part) for part in (fit, judge)]
    if not slash or None in found:
        raise BadInputError(f"walk-forward: {text[:40]!r} is not LENGTH/LENGTH, as in 90d/30d (h, d or w)")
    lengths = [int(match[1]) * _UNIT_MS[match[2]] for match in found if match is not None]
    if not all(lengths):
        raise BadInputError("walk-forward: a length is 0")
    return lengths[0], lengths[1]


def windows(start_ms: int, end_ms: int, lengths: tuple[int, int]) -> list[Window]:
    """Return the windows of a range; the last one may be judged on less. Raises `BadInputError` without any."""
    fit_ms, judge_ms = lengths
    starts = range(start_ms, end_ms - fit_ms, judge_ms)
    if not starts:
        raise BadInputError("walk-forward: the range is not longer than the first stretch")
    if len(starts) > MAX_WINDOWS:
        raise BadInputError(f"walk-forward: {len(starts)} windows, at most {MAX_WINDOWS} are allowed")
    return [Window(at, at + fit_ms, min(at + fit_ms + judge_ms, end_ms)) for at in starts]


def print_table(rows: Sequence[Judged]) -> None:
    """Print one line per window: what was chosen, and the return before and after."""
    names = list(dict.fromkeys(name for row in rows for name in row.config))
    lines = (
        (
            output.utc(row.window.fit_from_ms)[:10],
            output.utc(row.window.fit_to_ms)[:10],
            output.utc(row.window.judge_to_ms)[:10],
            *(row.config.get(name, "") for name in names),
            *_figures(row.fitted),
            *_figures(row.judged),
        )
        for row in rows
    )
    figures = ("fit return %", "fit Sharpe", "fit trades", "judged return %", "judged Sharpe", "judged trades")
    output.table(("fit from", "fit to", "judged to", *names, *figures), lines, right=(*names, *figures))


def _figures(result: SessionResult | None) -> tuple[str, str, object]:
    if result is None:
        return "", "", ""
    return _two(result.return_pct), _two(result.sharpe), result.trades


def _two(number: Decimal | None) -> str:
    return "" if number is None else f"{number:,.2f}"


def summary(rows: Sequence[Judged]) -> dict[str, Any]:
    """Return the mean returns before and after, in percent of a window, and all judged windows one after the other."""
    pairs = [
        (float(row.fitted.return_pct), float(row.judged.return_pct))
        for row in rows
        if row.judged is not None and row.judged.return_pct is not None and row.fitted.return_pct is not None
    ]
    if not pairs:
        return {"windows": 0, "fitReturnPct": None, "judgedReturnPct": None, "judgedTogetherPct": None, "losing": 0}
    together = 1.0
    for _, judged in pairs:
        together *= 1 + judged / 100
    return {
        "windows": len(pairs),
        "fitReturnPct": fmean(fit for fit, _ in pairs),
        "judgedReturnPct": fmean(judged for _, judged in pairs),
        "judgedTogetherPct": 100 * (together - 1),
        "losing": sum(judged < 0 for _, judged in pairs),
    }


def sentence(rows: Sequence[Judged], lengths: tuple[int, int]) -> str:
    """Say in words how much of the fitted result was left."""
    found = summary(rows)
    if not found["windows"]:
        return "No window has a result, so nothing can be said."
    fit_a_day, judged_a_day = (
        found[name] / (length / 86_400_000)
        for name, length in zip(("fitReturnPct", "judgedReturnPct"), lengths, strict=True)
    )
    verdict = (
        "The choice does not carry over to candles it was not made on: it is fitted to the past."
        if judged_a_day <= 0 or (fit_a_day > 0 and judged_a_day < 0.5 * fit_a_day)
        else "Most of the fitted result was left on candles it was not chosen by."
    )
    return (
        f"Chosen on the past: {found['fitReturnPct']:+.2f} % a window ({fit_a_day:+.3f} % a day). On the candles after"
        f" it: {found['judgedReturnPct']:+.2f} % a window ({judged_a_day:+.3f} % a day), {found['losing']} of"
        f" {found['windows']} windows lost, all together {found['judgedTogetherPct']:+.2f} %. {verdict}"
    )


def to_json(rows: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return the windows as JSON values."""
    return [
        {
            "fitFromMs": row.window.fit_from_ms,
            "fitToMs": row.window.fit_to_ms,
            "judgedToMs": row.window.judge_to_ms,
            "config": row.config,
            "fit": _result(row.fitted),
            "judged": None if row.judged is None else _result(row.judged),
        }
        for row in rows
    ]


def _result(result: SessionResult) -> dict[str, Any]:
    return {
        "id": str(result.id),
        "returnPct": _float(result.return_pct),
        "sharpe": _float(result.sharpe),
        "maxDrawdownPct": _float(result.drawdown_pct),
        "trades": result.trades,
    }


def _float(number: Decimal | None) -> float | None:
    return None if number is None else float(number)
