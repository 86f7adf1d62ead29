"""Deletion of a cached series: what goes with it, and which sessions still need its candles."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from app.candles.cache.advice import describe_cached
from app.db import candles as cache
from app.db import sessions
from app.db.audit import Recording
from app.db.pool import Connection
from app.domain.market.timeframe import TIMEFRAMES
from app.domain.session import CREATED, PAUSED, RUNNING
from app.errors import NotFoundError, WrongStatusError

_NAMED = 3
"""How many sessions a sentence names."""


class Deletion(NamedTuple):
    """What deleting a series deletes, or deleted; `built` counts the longer candles built from it, by timeframe.

    `running` sessions read these candles now; `waiting` ones, created or paused, would miss them when they go on.
    """

    venue: str
    symbol: str
    timeframe: str
    rows: int
    built: dict[str, int]
    running: list[UUID]
    waiting: list[UUID]


async def plan_deletion(conn: Connection, venue: str, symbol: str, timeframe: str) -> Deletion:
    """Return what `delete_series` would delete; raises `NotFoundError` where nothing is cached."""
    counts = await cache.count_by_origin(conn, venue, symbol)
    names = _with_built(counts, timeframe)
    rows = sum(count for (name, _), count in counts.items() if name == timeframe)
    if not rows and not await cache.fetched_ranges(conn, venue, symbol, timeframe):
        raise NotFoundError(await describe_cached(conn, venue, [symbol], timeframe))
    built = {name: sum(counts.get((name, finer), 0) for finer in names) for name in names if name != timeframe}
    using = await sessions.using_candles(conn, venue, symbol, names, (CREATED, PAUSED, RUNNING))
    running = [session_id for session_id, status in using if status == RUNNING]
    waiting = [session_id for session_id, status in using if status != RUNNING]
    return Deletion(venue, symbol, timeframe, rows, built, running, waiting)


async def delete_series(
    conn: Connection, venue: str, symbol: str, timeframe: str, recording: Recording | None = None
) -> Deletion:
    """Delete a series and what was built from it, in one transaction; return what was deleted.

    `recording` adds its entry in the same transaction.

    Raises `WrongStatusError` while running sessions read these candles, `NotFoundError` where nothing is cached.
    """
    async with conn.transaction():
        plan = await plan_deletion(conn, venue, symbol, timeframe)
        require_idle(plan)
        before = await cache.count_by_origin(conn, venue, symbol)
        rows = await cache.delete(conn, venue, symbol, timeframe)
        after = await cache.count_by_origin(conn, venue, symbol)
        if recording is not None:
            await recording(conn, f"{venue} {symbol} {timeframe}", {"rows": rows})
    gone = {name: _total(before, name) - _total(after, name) for name in plan.built}
    return plan._replace(rows=rows, built=gone)


def require_idle(plan: Deletion) -> None:
    """Raise `WrongStatusError` while running sessions read the candles of a series."""
    if not plan.running:
        return
    count = len(plan.running)
    noun = "1 running session reads" if count == 1 else f"{count} running sessions read"
    named = ", ".join(map(str, plan.running[:_NAMED])) + (" …" if count > _NAMED else "")
    raise WrongStatusError(
        f"{noun} {plan.symbol} {plan.timeframe} at venue {plan.venue}, or candles built from it: pause or stop"
        f" {'it' if count == 1 else 'them'} first ({named})."
    )


def _with_built(counts: dict[tuple[str, str | None], int], timeframe: str) -> list[str]:
    """Return a timeframe and all that have candles built from it, directly or over others, finer first."""
    names = {timeframe}
    for name in TIMEFRAMES:  # Finer first: what a candle is built from comes before it.
        if any((name, finer) in counts for finer in names):
            names.add(name)
    return sorted(names, key=list(TIMEFRAMES).index)


def _total(counts: dict[tuple[str, str | None], int], timeframe: str) -> int:
    return sum(count for (name, _), count in counts.items() if name == timeframe)
