"""What an import shows: a bar while it reads, then a report of rows, refusals and gaps."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from app.candles.importer import Progress as Watch
from app.candles.importer import Report
from app.candles.quality import Finding
from app.cli import show
from app.domain.candle import Gap

LISTED = 10
"""How many refusals, repairs and gaps a report lists on a terminal; all are counted."""


@contextmanager
def bar(name: str) -> Iterator[Watch | None]:
    """Show on stderr how far a file is read; nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done, size: progress.update(task, completed=done, total=size)


def described(report: Report) -> dict[str, Any]:
    """Spell a report for scripts."""
    return {
        "venue": report.venue,
        "symbol": report.symbol,
        "timeframe": report.timeframe,
        "rows": report.rows,
        "new": report.new,
        "changed": report.changed,
        "same": report.same,
        "duplicates": report.duplicates,
        "unordered": report.unordered,
        "refused": report.refused,
        "refusals": _found(report.refusals),
        "repairs": _found(report.repairs),
        "broke": report.broke,
        "firstMs": report.first_ms,
        "lastMs": report.last_ms,
        "gaps": [{"fromMs": gap.from_ms, "toMs": gap.to_ms, "missing": gap.missing} for gap in report.gaps],
        "missing": report.missing,
    }


def tell(report: Report) -> None:
    """Print a report for people."""
    show.facts(
        (
            ("candles", f"{report.symbol} {report.timeframe} at venue {report.venue}"),
            ("rows", f"{report.rows:,}: {report.new:,} new, {report.changed:,} changed, {report.same:,} as before"),
            ("first", show.utc(report.first_ms)),
            ("last", show.utc(report.last_ms)),
            ("duplicates", report.duplicates),
            ("out of order", report.unordered),
            ("refused", report.refused),
            ("missing", f"{report.missing:,}" if report.missing else "none"),
            ("broke off", report.broke),
        )
    )
    _list("refused", report.refusals, report.refused)
    _list("repaired", report.repairs, report.duplicates + report.unordered)
    if report.gaps:
        show.line("")
        tell_gaps(report.gaps[:LISTED])
        if len(report.gaps) > LISTED:
            show.line(f"more: zeon candles gaps {report.symbol} --timeframe {report.timeframe} --venue {report.venue}")


def tell_gaps(gaps: Sequence[Gap]) -> None:
    """Print gaps as a table."""
    rows = ((show.utc(gap.from_ms), show.utc(gap.to_ms), gap.missing) for gap in gaps)
    show.table(("from", "to", "missing"), rows, right=["missing"])


def _list(title: str, findings: Sequence[Finding], count: int) -> None:
    if findings:
        show.line("")
    for place, reason in findings[:LISTED]:
        show.line(f"{title}: line {place}: {reason}")
    if count > LISTED:
        show.line(f"{title}: {count - LISTED:,} more (--json lists the first {len(findings)})")


def _found(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [{"line": place, "reason": reason} for place, reason in findings]
