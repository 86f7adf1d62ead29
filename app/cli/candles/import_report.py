"""What an import shows: a bar while it reads, then a report of rows, refusals and gaps."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from app.candles.imports.importer import Progress as Watch
from app.candles.rows.report import Alternative, Inspection, Note, Report, findings_as_json
from app.candles.rows.row import RowIssue
from app.candles.sources.fetch import FetchResult
from app.cli import output
from app.domain.market.candle import Gap
from app.domain.visible import visible

LISTED = 10
"""How many refusals, repairs and gaps a report lists on a terminal; all are counted."""


_TOPICS = {"timeZone": "time zone"}


@contextmanager
def bar(name: str) -> Iterator[Watch | None]:
    """Show on stderr how far a file is read; nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(visible(name), total=None)
        yield lambda done, size: progress.update(task, completed=done, total=size)


def print_report(report: Report) -> None:
    """Print a report for people."""
    output.facts(
        (
            ("candles", f"{report.symbol} {report.timeframe} at venue {report.venue}"),
            ("rows", f"{report.rows:,}: {report.new:,} new, {report.changed:,} changed, {report.same:,} as before"),
            ("first", output.utc(report.first_ms)),
            ("last", output.utc(report.last_ms)),
            ("duplicates", report.duplicates),
            ("out of order", report.unordered),
            ("refused", report.refused),
            ("missing", f"{report.missing:,}" if report.missing else "none"),
            ("broke off", report.broke),
            ("stored", "nothing" if report.rejected else None),
        )
    )
    _print_notes(report.notes)
    _list("refused", report.refusals, report.refused)
    _list("repaired", report.repairs, report.duplicates + report.unordered)
    if report.gaps:
        output.line("")
        print_gaps(report.gaps[:LISTED])
        if len(report.gaps) > LISTED:
            output.line(
                f"more: zeon candles gaps {report.symbol} --timeframe {report.timeframe} --venue {report.venue}"
            )


def print_inspection(inspection: Inspection) -> None:
    """Print for people what an import would store."""
    missing = f"{inspection.missing:,}" if inspection.missing else "none"
    output.facts(
        (
            ("file", f"{inspection.file}: {inspection.kind}" if inspection.kind else inspection.file),
            ("candles", f"{inspection.symbol or 'unknown symbol'} {inspection.timeframe or 'unknown timeframe'}"),
            ("instruments", ", ".join(inspection.instruments[:10])),
            ("rows", inspection.rows),
            ("first", output.utc(inspection.first_ms)),
            ("last", output.utc(inspection.last_ms)),
            ("duplicates", inspection.duplicates or None),
            ("out of order", inspection.unordered or None),
            ("refused", inspection.refused or None),
            ("missing", missing if inspection.first_ms is not None else None),
        )
    )
    _print_notes(inspection.notes)
    _list("refused", inspection.refusals, inspection.refused)
    for reading in inspection.readings:
        _print_reading(reading)
    output.line("")
    output.line(f"question  {inspection.question}" if inspection.question else f"to store it: {inspection.command}")


def _print_reading(reading: Alternative) -> None:
    output.line("")
    if reading.options:
        output.line(f"with {reading.options}:")
    rows = list(dict.fromkeys((*reading.first, *reading.last)))
    output.table(
        ("line", "open time", "open", "high", "low", "close", "volume"),
        ((row.line_number, output.utc(row.open_ms), *row[2:]) for row in rows),
        right=("line", "open", "high", "low", "close", "volume"),
    )


def _print_notes(notes: Sequence[Note]) -> None:
    if notes:
        output.line("")
    for topic, text in notes:
        output.line(f"{_TOPICS.get(topic, topic)}: {text}")


def print_gaps(gaps: Sequence[Gap], reasons: Sequence[str | None] = ()) -> None:
    """Print gaps as a table, with the reasons where they are known."""
    rows = [(output.utc(gap.from_ms), output.utc(gap.to_ms), gap.missing) for gap in gaps]
    if not any(reasons):
        output.table(("from", "to", "missing"), rows, right=["missing"], none="There are no gaps.")
        return
    lines = ((*row, reason) for row, reason in zip(rows, reasons, strict=True))
    output.table(("from", "to", "missing", "reason"), lines, right=["missing"])


@contextmanager
def fetch_bar(name: str) -> Iterator[Watch | None]:
    """Show on stderr how much of a range is fetched; nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(visible(name), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def fetched_to_json(done: FetchResult) -> dict[str, Any]:
    """Return what a fetch did, or would do, as JSON for scripts."""
    return {
        "asked": [{"fromMs": range_.from_ms, "toMs": range_.to_ms} for range_ in done.ranges],
        "new": done.new,
        "changed": done.changed,
        "same": done.same,
        "refused": done.refused,
        "refusals": findings_as_json(done.refusals),
    }


def print_fetched(done: FetchResult, *, dry_run: bool) -> None:
    """Print what a fetch did, or would do, for people."""
    if not done.ranges:
        output.line("Nothing is missing that was not asked for before.")
        return
    output.table(("from", "to"), ((output.utc(range_.from_ms), output.utc(range_.to_ms)) for range_ in done.ranges))
    if not dry_run:
        output.line(f"{done.new:,} new, {done.changed:,} changed, {done.same:,} as before, {done.refused:,} refused")
        _list("refused", done.refusals, done.refused)


def _list(title: str, findings: Sequence[RowIssue], count: int) -> None:
    if findings:
        output.line("")
    for line_number, reason in findings[:LISTED]:
        output.line(f"{title}: line {line_number}: {reason}")
    if count > LISTED:
        output.line(f"{title}: {count - LISTED:,} more (--json lists the first {len(findings)})")
