"""Measure everything, or what is named, and print one table."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable

import uvloop
from rich.console import Console
from rich.table import Table

from app.db.setup.embedded import Embedded
from app.engine import garbage_collection
from benchmarks import (
    append,
    backtest,
    candles,
    commands,
    durable,
    engine,
    long_log,
    memory,
    page,
    streams,
    trading,
    workers,
)
from benchmarks.environment import BenchDatabase, new_database, postgres
from benchmarks.row import Row

MODULES: dict[str, Callable[[BenchDatabase], Awaitable[list[Row]]]] = {
    "append": append.append,
    "commit": append.group_commit,
    "pace": engine.pace,
    "unpaced": engine.unpaced,
    "loop": trading.loop,
    "against": durable.against,
    "resume": durable.resume,
    "backtest": backtest.backtest,
    "fanout": streams.fan_out,
    "catchup": streams.catch_up,
    "latency": streams.latency,
    "workers": workers.workers,
    "commands": commands.commands,
    "import": candles.importing,
    "candles": candles.reading,
    "gaps": candles.listing_gaps,
    "long": long_log.long_log,
    "length": memory.length,
    "streams": memory.streams,
    "page": page.page,
}
HEADINGS = ("what", "figure", "reference", "ratio", "goal", "met", "note")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(MODULES)}; all when none is given")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    asked = parser.parse_args()
    unknown = sorted(set(asked.names).difference(MODULES))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(MODULES)}")
    garbage_collection.tune_gc()
    with postgres() as server:
        rows = [row for name in asked.names or MODULES for row in _measure(server, name)]
    if asked.json:
        print(json.dumps([row.as_json() for row in rows], indent=2))
    else:
        _show(rows)


def _measure(server: Embedded, name: str) -> list[Row]:
    print(f"{name} ...", file=sys.stderr)
    with new_database(server) as fresh, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(MODULES[name](fresh))


def _show(rows: list[Row]) -> None:
    table = Table(*HEADINGS, title="Speed and memory", caption=_circumstances())
    for row in rows:
        table.add_row(*row.cells())
    Console(width=160).print(table)


def _circumstances() -> str:
    """Say how busy the machine was: figures without a reference suffer from neighbours."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return f"{os.cpu_count()} cores; load of the machine over 1, 5 and 15 minutes, this run included: {load}"


if __name__ == "__main__":
    main()
