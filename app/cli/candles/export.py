"""`zeon candles export`: cached candles as CSV, or in the layout of another program."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TextIO

import typer

from app.candles.exports.freqtrade import DIGITS, pair_of, write_freqtrade
from app.candles.exports.lean import lean_series, write_lean
from app.cli import output
from app.cli.candles.arguments import Series, SymbolArgument, range_or_all
from app.cli.options import EndOption, StartOption, TimeframeOption, VenueOption, create
from app.cli.run import Context, run
from app.db import candles as cache
from app.db.pool import Connection
from app.db.symbols import spelling_for_files
from app.domain.market.candle import Candle
from app.domain.number import format_decimal
from app.errors import NotFoundError

Destination = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="PATH", help="CSV: file to write, unset: stdout. Others: their data folder."
    ),
]
Layout = Annotated[Literal["csv", "freqtrade", "lean"], typer.Option("--layout", help="Whose layout to write.")]
Pair = Annotated[
    str | None,
    typer.Option(
        "--pair", metavar="BASE/QUOTE", help="freqtrade's name of the symbol; unset: as it was first written."
    ),
]
Market = Annotated[
    str | None,
    typer.Option("--market", metavar="SECURITY/MARKET", help="Lean: as in equity/usa; unset: crypto and the venue."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files of these layouts that are there already.")]


def export(
    symbol: SymbolArgument,
    timeframe: TimeframeOption,
    venue: VenueOption = None,
    start: StartOption = None,
    end: EndOption = None,
    layout: Layout = "csv",
    destination: Destination = None,
    pair: Pair = None,
    market: Market = None,
    overwrite: Overwrite = False,
) -> None:
    """Write cached candles as CSV, oldest first, or as freqtrade (Feather) or Lean (zips) keep them."""
    if layout != "csv" and destination is None:
        raise typer.BadParameter(f"--output: name the data folder of {layout} to write into")

    async def work(context: Context) -> str | None:
        key = (venue or context.settings.venue, symbol, timeframe)

        async def write(connection: Connection) -> str | None:
            range_ms = await range_or_all(connection, key, start, end)
            if layout == "csv" or destination is None:
                return await _write_csv(cache.read(connection, *key, *range_ms), destination)
            rows = _candles(connection, key, range_ms)
            if layout == "freqtrade":
                name = pair_of(pair or await spelling_for_files(connection, *key[:2]))
                return await _write_freqtrade(rows, destination, name, timeframe, overwrite)
            return await _write_lean(rows, destination, market or f"crypto/{key[0]}", key, overwrite)

        return await context.database.run(write)

    message = run(work)
    if message is not None:
        output.note(message)


async def _candles(connection: Connection, key: Series, range_ms: tuple[int, int]) -> AsyncIterator[Candle]:
    """Yield the candles of a range; raises `NotFoundError` where there are none."""
    count = 0
    async for candle in cache.read(connection, *key, *range_ms):
        yield candle
        count += 1
    if not count:
        raise NotFoundError("There are no candles of {1} {2} at venue {0} in this range.".format(*key))


async def _write_csv(candles: AsyncIterator[Candle], destination: Path | None) -> str | None:
    count = 0
    with _opened(destination) as file:
        file.write("open_time_ms,open,high,low,close,volume\n")
        async for candle in candles:
            file.write(_row(candle))
            count += 1
    return None if destination is None else f"{count:,} candles written to {destination}."


async def _write_freqtrade(
    candles: AsyncIterator[Candle], folder: Path, pair: str, timeframe: str, overwrite: bool
) -> str:
    written = await write_freqtrade(candles, folder, pair, timeframe, overwrite=overwrite)
    message = f"{written.candles:,} candles of {pair} written to {written.path}."
    if written.rounded:
        noun = "1 number has" if written.rounded == 1 else f"{written.rounded:,} numbers have"
        message += f" {noun} more than the {DIGITS} digits that freqtrade's files keep."
    return message


async def _write_lean(candles: AsyncIterator[Candle], folder: Path, market: str, key: Series, overwrite: bool) -> str:
    _, symbol, timeframe = key
    written = await write_lean(candles, folder, lean_series(market, symbol, timeframe), overwrite=overwrite)
    noun = "1 file" if written.files == 1 else f"{written.files:,} files"
    return f"{written.candles:,} candles written to {noun} in {written.folder}."


def _row(candle: Candle) -> str:
    return f"{candle.open_time_ms},{','.join(map(format_decimal, candle[4:9]))}\n"


@contextmanager
def _opened(path: Path | None) -> Iterator[TextIO]:
    """Open the file to write, or stdout."""
    if path is None:
        yield sys.stdout
        return
    with create(path) as binary, io.TextIOWrapper(binary, "utf-8", newline="") as file:
        yield file
