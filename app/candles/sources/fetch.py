"""Fetch missing candles: every range is requested once, and each part is stored as soon as it is fetched."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple
from uuid import uuid4

from app.candles.rows.quality import LISTED, RowValidator
from app.candles.rows.row import RowIssue
from app.candles.sources.source import CandleSource, Part, RetryLaterError, SourceUnavailableError, VenueSource
from app.clock import Clock
from app.db import candles as cache
from app.db.pool import Connection
from app.domain.market.timeframe import Timeframe
from app.domain.market.timeframe import timeframe as named_timeframe

ATTEMPTS = 8
"""How many requests in a row may fail before a source counts as unavailable."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 30.0
"""Seconds to wait after the first failure; doubled after each further one, up to the second value."""

PUBLISHED_MS = 86_400_000
"""A slot this old (ms) gets no candle any more; a newer one only if a later candle has arrived."""

JOINED_SLOTS = 500
"""Gaps closer together than this are requested as one range."""


_CLAIM_RETRY_S = 0.1
_CLAIM_S = 15
"""Seconds after which the claim of a process that was killed ends."""


Progress = Callable[[int, int], None]
"""Called after each part with the ms of the range fetched so far, and in total."""


class Range(NamedTuple):
    """The slots from `from_ms` to `to_ms`, exclusive."""

    from_ms: int
    to_ms: int


@dataclass
class FetchResult:
    """The result of a fetch: the requested ranges, the counts of stored candles, the refused rows."""

    ranges: list[Range]
    new: int = 0
    changed: int = 0
    same: int = 0
    refused: int = 0
    refusals: list[RowIssue] = field(default_factory=list)


async def missing_ranges(
    conn: Connection, name: str, venue: str, symbol: str, timeframe: str, from_ms: int, to_ms: int
) -> list[Range]:
    """List the ranges that a fetch would request from the source `name`: gaps that were not fetched before."""
    grid = named_timeframe(timeframe)
    gaps, _ = await cache.gaps(conn, venue, symbol, timeframe, from_ms, to_ms, limit=2**31)
    covered = await cache.covered_ranges(conn, venue, symbol, timeframe, name)
    return _join_near(_uncovered([Range(gap.from_ms, gap.to_ms) for gap in gaps], covered), grid.ms * JOINED_SLOTS)


def _uncovered(ranges: list[Range], covered: list[tuple[int, int]]) -> list[Range]:
    """Remove the covered ranges from others; both lists are sorted and without overlaps."""
    left: list[Range] = []
    number = 0
    for from_ms, to_ms in ranges:
        at = from_ms
        while number < len(covered) and covered[number][1] <= at:
            number += 1
        for start, end in covered[number:]:
            if start >= to_ms:
                break
            if start > at:
                left.append(Range(at, start))
            at = max(at, end)
        if at < to_ms:
            left.append(Range(at, to_ms))
    return left


def _join_near(ranges: list[Range], within_ms: int) -> list[Range]:
    joined: list[Range] = []
    for range_ in ranges:
        if joined and range_.from_ms - joined[-1].to_ms < within_ms:
            joined[-1] = Range(joined[-1].from_ms, range_.to_ms)
        else:
            joined.append(range_)
    return joined


async def fetch_candles(
    conn: Connection,
    chosen: VenueSource,
    venue: str,
    symbol: str,
    timeframe: str,
    from_ms: int,
    to_ms: int,
    progress: Progress | None = None,
    clock: Clock | None = None,
    longest_pause_s: float = LONGEST_PAUSE_S,
    reached: Callable[[int], None] = lambda up_to_ms: None,
) -> FetchResult:
    """Fetch the closed candles of `[from_ms, to_ms)` that are missing and were not fetched before.

    `reached` is called with the time up to which nothing is left to fetch. `conn` must be in autocommit and outside of
    a transaction: each part and its coverage are stored in a transaction, and only one process at a time fetches a
    series. Raises `SourceUnavailableError` after `ATTEMPTS` failures in a row, `BadInputError` if the source
    does not have the series.
    """
    grid, clock, name = named_timeframe(timeframe), clock or Clock(), chosen.name
    end_ms = min(grid.ceil(to_ms), grid.floor(clock.now_ms()))
    async with _claim_series(conn, venue, symbol, timeframe, clock) as renew:
        ranges = await missing_ranges(conn, name, venue, symbol, timeframe, from_ms, end_ms)
        fetched = FetchResult(ranges)
        reached(ranges[0].from_ms if ranges else end_ms)
        total, done = sum(range_.to_ms - range_.from_ms for range_ in ranges), 0
        for range_ in ranges:
            at = range_.from_ms
            async with aclosing(_parts(chosen.source, symbol, grid, range_, clock, longest_pause_s)) as parts:
                async for part in parts:
                    check = RowValidator(symbol, grid, clock.now_ms())
                    known = Range(at if part.from_ms is None else part.from_ms, part.to_ms)
                    await renew()
                    await _store_part(conn, name, venue, check, known, part, fetched)
                    done, at = done + part.to_ms - at, part.to_ms
                    reached(at)
                    if progress:
                        progress(done, total)
    return fetched


async def _parts(
    source: CandleSource, symbol: str, grid: Timeframe, range_: Range, clock: Clock, longest_pause_s: float
) -> AsyncGenerator[Part]:
    """Yield a source's parts; after a temporary failure continue at the end of the last part."""
    at, failures = range_.from_ms, 0
    while at < range_.to_ms:
        try:
            async with aclosing(source.fetch(symbol, grid, at, range_.to_ms)) as parts:
                async for part in parts:
                    yield part
                    at, failures = part.to_ms, 0
            return
        except RetryLaterError as error:
            failures += 1
            if failures == ATTEMPTS:
                raise SourceUnavailableError(
                    f"The source of candles cannot be reached: {error}.", details={"code": SourceUnavailableError.code}
                ) from error
            pause_s = max(error.after_s, min(FIRST_PAUSE_S * 2 ** (failures - 1), longest_pause_s))
            await clock.sleep(
                max(0.0, pause_s - (time.monotonic() - error.since_s))
            )  # Closing the connection takes time, too.


async def _store_part(
    conn: Connection, name: str, venue: str, check: RowValidator, range_: Range, part: Part, fetched: FetchResult
) -> None:
    """Store a part and its coverage in one transaction."""
    symbol, timeframe = check.symbol, check.timeframe.name
    async with conn.transaction():
        stored = await cache.store_columns(conn, venue, symbol, timeframe, check.columns(part.rows))
        known_ms = _known_until(check, range_.to_ms)
        if range_.from_ms < known_ms:
            await cache.add_coverage(conn, venue, symbol, timeframe, name, range_.from_ms, known_ms)
    fetched.new += stored.new
    fetched.changed += stored.changed
    fetched.same += stored.same
    fetched.refused += check.refused
    fetched.refusals += check.refusals[: LISTED - len(fetched.refusals)]


def _known_until(check: RowValidator, to_ms: int) -> int:
    """Return the time up to which a slot without a candle is a gap, and not only unpublished yet."""
    old_ms = check.timeframe.floor(check.now_ms - PUBLISHED_MS)
    received_ms = old_ms if check.last_ms is None else check.last_ms + check.timeframe.ms
    return min(to_ms, max(old_ms, received_ms))


@asynccontextmanager
async def _claim_series(
    conn: Connection, venue: str, symbol: str, timeframe: str, clock: Clock
) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Let only one process at a time fetch a series; the others wait. Yields what renews the claim.

    If a source needs longer than `_CLAIM_S` for a part, another process may ask for the same candles: that costs time,
    but stores nothing twice.
    """
    holder = uuid4()
    renew = partial(cache.claim, conn, venue, symbol, timeframe, holder, _CLAIM_S)
    while not await renew():
        await clock.sleep(_CLAIM_RETRY_S)
    try:
        yield renew
    finally:
        if not conn.broken:
            await cache.release(conn, venue, symbol, timeframe, holder)
