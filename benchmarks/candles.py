"""Candles: importing a large file against COPY of the same rows, finding gaps, and reading windows."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from functools import partial
from pathlib import Path

import psutil

from app.candles.imports.importer import import_file
from app.candles.sources import synthetic
from app.db import candles
from app.db.pool import Connection, Database
from benchmarks.environment import MINUTE, START_MS, BenchDatabase, pool
from benchmarks.row import Goal, Row, alternate

FILE = Path(__file__).parents[2] / "shared" / "data" / "BTCUSDT-1m.csv.gz"
"""A million minutes; where it is missing, 200,000 made-up ones stand in."""

KEY = ("bench", "BTCUSDT", "1m")
COPIED = "market_candles_copied"
ROUNDS = 3
WINDOW = 1_000
GAPS = 100_000
MB = 1e6


async def importing(target: BenchDatabase) -> list[Row]:
    """Measure an import into an empty range and over itself, against COPY of the rows, rendered beforehand."""
    target.owner(f"CREATE TABLE {COPIED} (LIKE market_candles INCLUDING ALL)")
    target.owner(f"GRANT INSERT, SELECT, TRUNCATE ON {COPIED} TO PUBLIC")
    path = _file(target)
    idle = psutil.Process().memory_info().rss
    async with pool(target) as database:
        bench = _Import(target, database, path)
        empty, copied = await alternate(bench.empty, bench.copy, ROUNDS)
        over, again = await alternate(bench.again, bench.copy, ROUNDS)
    return [
        Row(f"import of {bench.rows:,} candles, empty range", empty, "rows/s", copied, Goal(0.5), "against COPY"),
        Row(f"import of {bench.rows:,} candles, all there", over, "rows/s", again, Goal(0.35), "against COPY"),
        Row("memory of an import over the idle process", (bench.peak - idle) / MB, "MB", None, Goal(150, at_most=True)),
    ]


class _Import:
    """One file, imported again and again."""

    def __init__(self, target: BenchDatabase, database: Database, path: Path) -> None:
        self._target = target
        self.rows = 0
        self.peak = 0
        self._database = database
        self._path = path

    async def empty(self) -> float:
        self._target.owner("TRUNCATE market_candles, market_coverage")  # As is the table for COPY: without dead rows.
        return await self.again()

    async def again(self) -> float:
        begun = time.perf_counter()
        report = await self._database.run(import_file, self._path, *KEY, self._watch)
        took = time.perf_counter() - begun
        self.rows = report.rows
        return report.rows / took

    async def copy(self) -> float:
        return await self._database.run(self._copy)

    def _watch(self, _: int, __: int) -> None:
        self.peak = max(self.peak, psutil.Process().memory_info().rss)

    async def _copy(self, connection: Connection) -> float:
        """COPY the rows out, then measure COPY in, in pieces that are rendered already."""
        await connection.execute(f"TRUNCATE {COPIED}")
        async with connection.cursor().copy("COPY market_candles TO STDOUT") as out:
            pieces = [bytes(piece) async for piece in out]
        blocks = [b"".join(pieces[at : at + 10_000]) for at in range(0, len(pieces), 10_000)]
        begun = time.perf_counter()
        async with connection.cursor().copy(f"COPY {COPIED} FROM STDIN") as copy:
            for block in blocks:
                await copy.write(block)
        return len(pieces) / (time.perf_counter() - begun)


def _file(target: BenchDatabase) -> Path:
    if FILE.is_file():
        return FILE
    path = Path("/tmp") / f"zeon-bench-{id(target)}.csv"
    minutes = synthetic.candles("BTCUSDT", "1m", START_MS, START_MS + 200_000 * MINUTE)
    with path.open("w") as file:
        file.writelines(f"{c.open_time_ms},{','.join(map(str, c[4:9]))}\n" for c in minutes)
    return path


async def reading(target: BenchDatabase) -> list[Row]:
    """Measure the gap check next to a plain count, and windows at both ends of a million rows."""
    async with pool(target) as database:
        count = (await database.run(import_file, _file(target), *KEY)).rows
        await database.run(_analyze)
        first, last = (await database.run(candles.coverage, *KEY))[0][4:6]
        checked, counted = await alternate(
            partial(database.run, _gap_check, first, last), partial(database.run, _count), 5
        )
        late = last - 20 * WINDOW * MINUTE
        at_end, at_start = await alternate(
            partial(database.run, _windows, late), partial(database.run, _windows, first), 9
        )
    return [
        Row(f"gap check over {count:,} candles", checked * 1000, "ms", counted * 1000, None, "against count(*)"),
        Row(
            "window of 1,000 candles at the end",
            at_end * 1000,
            "ms",
            at_start * 1000,
            Goal(1.25, at_most=True),
            "start",
        ),
    ]


async def listing_gaps(target: BenchDatabase) -> list[Row]:
    """Measure `zeon candles gaps` of 100,000 gaps as a user waits for it, the start of Python included."""
    first_ms, last_ms = START_MS, START_MS + 2 * GAPS * MINUTE
    target.owner(
        f"INSERT INTO market_candles SELECT '{KEY[0]}', '{KEY[1]}', '{KEY[2]}', open_ms, 1, 1, 1, 1, 1"
        f" FROM generate_series({first_ms}, {last_ms}, {2 * MINUTE}) open_ms"
    )
    async with pool(target) as database:
        await database.run(_analyze)
    env = os.environ | {"DATABASE_URL": target.url, "ZEON_MIGRATE_URL": target.owner_url}
    took = []
    for shape in ((), ("--json",)):
        begun = time.perf_counter()
        done = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli.main", "candles", "gaps", KEY[1], "--timeframe", KEY[2]),
            *("--venue", KEY[0], *shape),
            env=env,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await done.communicate()
        took.append(time.perf_counter() - begun)
        assert len(output) > 50 * GAPS
    goal = Goal(2, at_most=True)
    return [
        Row(f"zeon candles gaps, {GAPS:,} gaps", took[0], "s", None, goal),
        Row(f"zeon candles gaps --json, {GAPS:,} gaps", took[1], "s", None, goal),
    ]


async def _analyze(connection: Connection) -> None:
    await connection.execute("VACUUM (ANALYZE) market_candles")


async def _gap_check(connection: Connection, first: int, last: int) -> float:
    begun = time.perf_counter()
    found, _ = await candles.gaps(connection, *KEY, first, last + MINUTE)
    assert isinstance(found, list)
    return time.perf_counter() - begun


async def _count(connection: Connection) -> float:
    begun = time.perf_counter()
    await connection.execute("SELECT count(*) FROM market_candles")
    return time.perf_counter() - begun


async def _windows(connection: Connection, after: int) -> float:
    """Read 20 windows, each behind the one before; returns seconds per window."""
    begun = time.perf_counter()
    for _ in range(20):
        found = await candles.window(connection, KEY[0], [KEY[1]], KEY[2], after, None, WINDOW)
        after = found[-1].open_time_ms if found else after
    return (time.perf_counter() - begun) / 20
