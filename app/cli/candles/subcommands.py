"""`zeon candles`: bring candles in, see what is there and what is missing, take them out, delete them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from app.candles.cache.calendar import Calendar, calendars
from app.candles.cache.deletion import Deletion, delete_series, plan_deletion, require_idle
from app.candles.cache.load import coverage, find_gaps
from app.candles.cache.reasons import Reason, gap_reasons
from app.candles.imports.importer import import_file
from app.candles.imports.inspection import inspect_file
from app.candles.rows.read_options import ReadOptions
from app.candles.rows.report import Report
from app.candles.sources.fetch import FetchResult, fetch_candles, missing_ranges
from app.candles.sources.follow import Follower
from app.candles.sources.source import VenueSource, sources, venue_source
from app.cli import output
from app.cli.candles import deletion_report, import_report
from app.cli.candles.arguments import SPELLINGS, Series, SymbolArgument, range_or_all
from app.cli.candles.export import export
from app.cli.candles.reading_options import takes_read_options
from app.cli.options import (
    EndOption,
    Json,
    StartOption,
    TimeframeOption,
    VenueOption,
    read_spelling,
    read_symbol,
    read_timeframe,
    time_ms,
)
from app.cli.run import Context, run
from app.db import candles as cache
from app.db import symbols
from app.db.candles import Coverage
from app.db.pool import Connection, ConnectionPool
from app.domain.market.candle import Gap
from app.domain.market.symbol import normalize_symbol
from app.errors import BadInputError
from app.settings import Settings, load

app = typer.Typer(no_args_is_help=True, help="Bring candles in, see what is there and what is missing, take them out.")

SymbolOption = Annotated[str, typer.Option("--symbol", metavar="SYMBOL", parser=read_spelling, help=SPELLINGS)]
File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", exists=True, help="CSV, JSON, Parquet, Feather, Lean; packed or a folder.", show_default=False
    ),
]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="Store the good rows even when more than half are refused.")
]
SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="KIND[:ARGUMENT]",
        help="Where to fetch from, as in exchange:binance or dump:FOLDER; unset: the venue's of ZEON_SOURCES.",
    ),
]
_EVERY = 2**31 - 1
_READ_AS_IT_IS = ReadOptions()
_FOLLOWED_AT_ONCE = 8


@app.command("import")
@takes_read_options
def import_(
    file: File,
    symbol: SymbolOption,
    timeframe: TimeframeOption,
    venue: VenueOption = None,
    options: ReadOptions = _READ_AS_IT_IS,
    keep_going: KeepGoing = False,
    json: Json = False,
) -> None:
    """Import a file of candles, and report what was stored, assumed, refused and missing."""

    async def work(context: Context) -> Report:
        chosen = venue or context.settings.venue
        with import_report.bar(file.name) as progress:
            key = (file, chosen, symbol, timeframe, progress, context.sim.calendars.get(chosen), options)
            recording = context.recording("candles.import")
            return await context.database.run(partial(import_file, keep_going=keep_going, recording=recording), *key)

    report = run(work, set_up=True)
    if json:
        output.as_json(report.as_json())
    else:
        import_report.print_report(report)
    if report.rejected:
        output.note(report.rejected)
    if report.broke or report.rejected:
        raise typer.Exit(1)


@app.command()
@takes_read_options
def inspect(
    file: File,
    symbol: Annotated[
        str | None,
        typer.Option("--symbol", metavar="SYMBOL", parser=read_symbol, help="If unset, the one that the file names."),
    ] = None,
    timeframe: Annotated[
        str | None,
        typer.Option(
            "--timeframe",
            parser=read_timeframe,
            metavar="TIMEFRAME",
            help="If unset, taken from the steps between the rows.",
        ),
    ] = None,
    venue: VenueOption = None,
    options: ReadOptions = _READ_AS_IT_IS,
    json: Json = False,
) -> None:
    """Show what an import of a file would store and the command for it; nothing is stored."""
    settings = load()
    try:
        calendar = calendars(settings.calendars).get(venue or settings.venue)
        inspection = inspect_file(file, symbol, timeframe, options, calendar)
    except BadInputError as error:
        output.note(error.message)
        raise typer.Exit(1) from None
    if json:
        output.as_json(inspection.as_json())
    else:
        import_report.print_inspection(inspection)
    if not inspection.is_readable:
        raise typer.Exit(1)


@app.command()
def fetch(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", parser=read_spelling, show_default=False, help=SPELLINGS)],
    timeframe: TimeframeOption,
    start: Annotated[int, typer.Option("--start", parser=time_ms, metavar="TIME", help="First open time, UTC.")],
    end: EndOption = None,
    venue: VenueOption = None,
    source: SourceOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be fetched, and fetch nothing.")] = False,
    json: Json = False,
) -> None:
    """Fetch what is missing of a range from the venue's source; what was asked for before is not asked for again."""

    async def work(context: Context) -> FetchResult:
        chosen = venue or context.settings.venue
        by = _source(context.settings, chosen, source)
        until = end if end is not None else time.time_ns() // 1_000_000
        async with _lines(context, 1) as lines, lines.lend() as conn:
            if dry_run:
                return FetchResult(
                    await missing_ranges(conn, by.name, chosen, normalize_symbol(symbol), timeframe, start, until)
                )
            await symbols.store_spelling(conn, chosen, symbol)
            with import_report.fetch_bar(symbol) as progress:
                return await fetch_candles(
                    conn, by, chosen, normalize_symbol(symbol), timeframe, start, until, progress
                )

    done = run(work, set_up=True)
    if json:
        output.as_json(import_report.fetched_to_json(done))
    else:
        import_report.print_fetched(done, dry_run=dry_run)


@app.command()
def follow(
    spellings: Annotated[
        list[str],
        typer.Argument(metavar="SYMBOL...", parser=read_spelling, help="One or more symbols.", show_default=False),
    ],
    timeframe: TimeframeOption,
    venue: VenueOption = None,
    source: SourceOption = None,
) -> None:
    """Keep the cache current with every closed candle until interrupted; sessions that wait for them go on."""

    async def work(context: Context) -> None:
        chosen = venue or context.settings.venue
        by = _source(context.settings, chosen, source)
        followed = list(dict.fromkeys(map(normalize_symbol, spellings)))
        async with _lines(context, min(len(followed), _FOLLOWED_AT_ONCE)) as lines:
            async with lines.lend() as conn:
                for text in spellings:
                    await symbols.store_spelling(conn, chosen, text)
            await Follower(lines.lend, by, chosen, timeframe, on_problem=_print_problem).follow(followed)

    with suppress(KeyboardInterrupt):
        output.note(f"Following {' '.join(spellings)} {timeframe}; Ctrl-C ends it.")
        run(work, set_up=True)


def _print_problem(symbol: str, sentence: str) -> None:
    output.note(f"{symbol}: {sentence}")


def _source(settings: Settings, venue: str, spec: str | None) -> VenueSource:
    """Return the source named on the command line, or the venue's own; raises `BadInputError` when there is none."""
    if spec is not None:
        return venue_source(venue, spec)
    chosen = sources(settings.sources)
    if venue not in chosen:
        raise BadInputError(
            f"source: venue {venue} has none; set ZEON_SOURCES or give --source, as in exchange:{venue}"
        )
    return chosen[venue]


@asynccontextmanager
async def _lines(context: Context, size: int) -> AsyncIterator[ConnectionPool]:
    lines = ConnectionPool(context.location.url, size=size, application_name="zeon candles")
    try:
        yield lines
    finally:
        await lines.close()


@app.command("list")
def list_(json: Json = False) -> None:
    """Show what is cached: rows, first and last candle, gaps and sources."""

    async def work(context: Context) -> list[Coverage]:
        return await context.database.run(coverage, context.sim.calendars)

    listed = run(work)
    if json:
        output.as_json([_series_to_json(series) for series in listed])
        return
    output.table(
        ("venue", "symbol", "timeframe", "rows", "first", "last", "gaps", "missing", "source"),
        (
            (
                series.venue,
                series.spelling,
                *series[2:4],
                output.utc(series.first_ms),
                output.utc(series.last_ms),
                *series[6:9],
            )
            for series in listed
        ),
        right=("rows", "gaps", "missing"),
        none="There are no candles.",
    )


@app.command()
def gaps(
    symbol: SymbolArgument,
    timeframe: TimeframeOption,
    venue: VenueOption = None,
    start: StartOption = None,
    end: EndOption = None,
    why: Annotated[bool, typer.Option("--why", help="Cut gaps by reason, as far as the sources can tell.")] = False,
    json: Json = False,
) -> None:
    """List the candles missing between the first and the last one, or in a range; closed hours are none."""

    async def work(context: Context) -> list[tuple[Gap, Reason | None]]:
        chosen = venue or context.settings.venue
        calendar = context.sim.calendars.get(chosen)
        return await context.database.run(_gaps, (chosen, symbol, timeframe), start, end, calendar, why=why)

    gaps_ = run(work)
    if json:
        rows = [(("fromMs", gap.from_ms), ("toMs", gap.to_ms), ("missing", gap.missing)) for gap, _ in gaps_]
        reasons = [(("reason", reason),) if why else () for _, reason in gaps_]
        output.as_json([dict((*row, *reason)) for row, reason in zip(rows, reasons, strict=True)])
    elif gaps_:
        import_report.print_gaps([gap for gap, _ in gaps_], [reason for _, reason in gaps_])
    else:
        output.line("No candle is missing.")


app.command()(export)


@app.command()
def delete(
    symbol: SymbolArgument,
    timeframe: TimeframeOption,
    venue: VenueOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    json: Json = False,
) -> None:
    """Delete a series from the cache, with the longer candles built from it; asks before."""

    async def work(context: Context) -> Deletion:
        key = (venue or context.settings.venue, symbol, timeframe)
        if not yes:
            plan = await context.database.run(plan_deletion, *key)
            require_idle(plan)
            deletion_report.confirm(plan)
        return await context.database.run(delete_series, *key, context.recording("candles.delete"))

    deleted = run(work)
    if json:
        output.as_json(deletion_report.as_json(deleted))
    else:
        deletion_report.print_deleted(deleted)


def _series_to_json(series: Coverage) -> dict[str, str | int | None]:
    return {
        "venue": series.venue,
        "symbol": series.symbol,
        "timeframe": series.timeframe,
        "rows": series.rows,
        "firstMs": series.first_ms,
        "lastMs": series.last_ms,
        "gaps": series.gaps,
        "source": series.source,
    }


async def _gaps(
    connection: Connection, key: Series, start: int | None, end: int | None, calendar: Calendar | None, *, why: bool
) -> list[tuple[Gap, Reason | None]]:
    range_ms = await range_or_all(connection, key, start, end)
    venue, symbol, timeframe = key
    gaps_, _ = await find_gaps(connection, venue, [symbol], timeframe, *range_ms, limit=_EVERY, calendar=calendar)
    if not why:
        return [(gap, None) for gap in gaps_]
    return [(gap, reason) for reason, gap in gap_reasons(gaps_, await cache.fetched_ranges(connection, *key))]
