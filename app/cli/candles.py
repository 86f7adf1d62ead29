"""`zeon candles`: bring candles in, see what is there and what is missing, take them out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from app.candles.importer import Report, import_file
from app.cli import import_report, show
from app.cli.context import Context, run
from app.cli.options import EndOption, Json, StartOption, TimeframeOption, VenueOption, read_symbol
from app.db import candles as cache
from app.db.candles import Coverage
from app.db.pool import Connection
from app.domain.candle import Candle, Gap
from app.domain.number import plain
from app.errors import NotFound

app = typer.Typer(no_args_is_help=True, help="Bring candles in, see what is there and what is missing, take them out.")

SymbolArgument = Annotated[
    str,
    typer.Argument(
        metavar="SYMBOL", parser=read_symbol, help="In any usual spelling: BTCUSDT, btc-usdt.", show_default=False
    ),
]
SymbolOption = Annotated[
    str,
    typer.Option("--symbol", metavar="SYMBOL", parser=read_symbol, help="In any usual spelling: BTCUSDT, btc-usdt."),
]
File = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="CSV, plain or gzip.", show_default=False)
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write; unset: stdout.")]

Key = tuple[str, str, str]
"""Venue, symbol and timeframe."""

_EVERY = 2**31 - 1


@app.command("import")
def import_(
    file: File, symbol: SymbolOption, timeframe: TimeframeOption, venue: VenueOption = None, json: Json = False
) -> None:
    """Bring a file of candles into the cache and report what was taken, refused and missing."""

    async def work(context: Context) -> Report:
        chosen = venue or context.settings.venue
        with import_report.bar(file.name) as progress:
            return await context.database.run(import_file, file, chosen, symbol, timeframe, progress)

    report = run(work)
    if json:
        show.as_json(import_report.described(report))
    else:
        import_report.tell(report)
    if report.broke:
        raise typer.Exit(1)


@app.command("list")
def list_(json: Json = False) -> None:
    """Show what is cached: rows, first and last candle, gaps and sources."""

    async def work(context: Context) -> list[Coverage]:
        return await context.database.run(cache.coverage)

    found = run(work)
    if json:
        show.as_json([_described(each) for each in found])
        return
    show.table(
        ("venue", "symbol", "timeframe", "rows", "first", "last", "gaps", "missing", "source"),
        ((*each[:4], show.utc(each.first_ms), show.utc(each.last_ms), *each[6:]) for each in found),
        right=("rows", "gaps", "missing"),
    )


@app.command()
def gaps(
    symbol: SymbolArgument,
    timeframe: TimeframeOption,
    venue: VenueOption = None,
    start: StartOption = None,
    end: EndOption = None,
    json: Json = False,
) -> None:
    """List the candles missing between the first and the last one, or in a range."""

    async def work(context: Context) -> list[Gap]:
        key = (venue or context.settings.venue, symbol, timeframe)
        return await context.database.run(_gaps, key, start, end)

    found = run(work)
    if json:
        show.as_json([{"fromMs": gap.from_ms, "toMs": gap.to_ms, "missing": gap.missing} for gap in found])
    elif found:
        import_report.tell_gaps(found)
    else:
        show.line("No candle is missing.")


@app.command()
def export(
    symbol: SymbolArgument,
    timeframe: TimeframeOption,
    venue: VenueOption = None,
    start: StartOption = None,
    end: EndOption = None,
    output: Output = None,
) -> None:
    """Write cached candles as CSV, oldest first."""

    async def work(context: Context) -> int:
        key = (venue or context.settings.venue, symbol, timeframe)
        return await context.database.run(_export, key, start, end, output)

    count = run(work)
    if output is not None:
        show.aside(f"{count:,} candles written to {output}.")


def _described(each: Coverage) -> dict[str, str | int | None]:
    return {
        "venue": each.venue,
        "symbol": each.symbol,
        "timeframe": each.timeframe,
        "rows": each.rows,
        "firstMs": each.first_ms,
        "lastMs": each.last_ms,
        "gaps": each.gaps,
        "source": each.source,
    }


async def _gaps(connection: Connection, key: Key, start: int | None, end: int | None) -> list[Gap]:
    range_ms = await _range(connection, key, start, end)
    found, _ = await cache.gaps(connection, *key, *range_ms, limit=_EVERY)
    return found


async def _export(connection: Connection, key: Key, start: int | None, end: int | None, output: Path | None) -> int:
    """Write the candles of a range and return how many there were."""
    range_ms = await _range(connection, key, start, end)
    count = 0
    with _opened(output) as file:
        file.write("open_time_ms,open,high,low,close,volume\n")
        async for candle in cache.read(connection, *key, *range_ms):
            file.write(_row(candle))
            count += 1
    return count


async def _range(connection: Connection, key: Key, start: int | None, end: int | None) -> tuple[int, int]:
    """Return the range asked for, by default all that is cached; raises `NotFound` when nothing is."""
    if start is not None and end is not None:
        return start, end
    found = await cache.coverage(connection, *key)
    if not found:
        raise NotFound("There are no candles of {1} {2} at venue {0}.".format(*key))
    return found[0].first_ms if start is None else start, found[0].last_ms + 1 if end is None else end


def _row(candle: Candle) -> str:
    numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    return f"{candle.open_time_ms},{','.join(map(plain, numbers))}\n"


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """Open the file to write, or stdout."""
    if output is None:
        yield sys.stdout
        return
    with output.open("w", newline="") as file:
        yield file
