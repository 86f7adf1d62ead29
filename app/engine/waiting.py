"""What running sessions wait for once they have done all candles that are there."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from dataclasses import replace
from uuid import UUID

from app.candles.advice import import_command
from app.db import candles as cache
from app.db.pool import Connection
from app.domain.market.trading_hours import next_open
from app.domain.session import RUNNING, Session, SessionSpec, Waiting
from app.domain.utc import utc
from app.errors import BadInputError


async def add_waiting(
    conn: Connection, sessions: Sequence[Session], now_ms: int, with_source: Container[str]
) -> list[Session]:
    """Return sessions with the candle they wait for, where they wait for one and nothing is being fetched for them.

    Only sessions that run on into the future can be at the end of the cache; all of them are looked up at once. The
    server asks the sources of the venues in `with_source` itself.
    """
    followers = [each for each in sessions if _follows(each, now_ms)]
    keys = [
        (each.spec.venue, symbol, each.spec.timeframe, _behind_ms(each))
        for each in followers
        for symbol in each.spec.symbols
    ]
    times = iter(await cache.next_open_times(conn, keys) if keys else ())
    waiting: dict[UUID, Waiting | None] = {}
    for each in followers:
        found = [next(times) for _ in each.spec.symbols]
        waiting[each.id] = await _waiting(each, found, now_ms, has_source=each.spec.venue in with_source)
    return [replace(each, waiting=waiting.get(each.id)) for each in sessions]


def _follows(session: Session, now_ms: int) -> bool:
    spec = session.spec
    ends_later = spec.last_slot_ms is None or spec.due_ms(spec.last_slot_ms) > now_ms
    return session.status == RUNNING and session.fetching is None and ends_later


def _behind_ms(session: Session) -> int:
    """Return the time behind which the next candle opens."""
    return session.spec.start_ms - 1 if session.cursor_ms is None else session.cursor_ms


async def _waiting(session: Session, times: Sequence[int | None], now_ms: int, *, has_source: bool) -> Waiting | None:
    """Return what a session waits for, given the next open time of each symbol.

    A symbol whose candle is not there holds up a session that may have no gaps; others go on with the rest.
    """
    spec = session.spec
    absent = tuple(symbol for symbol, time in zip(spec.symbols, times, strict=True) if time is None)
    found = [time for time in times if time is not None]
    held_up = absent and (not found or spec.gap_policy == "fail")
    open_ms = await asyncio.to_thread(_next_slot_ms, session) if held_up else min(found)
    due_ms = spec.due_ms(open_ms)
    if due_ms > now_ms:
        text = f"It waits for the {spec.timeframe} candle of {utc(open_ms)}, due at {utc(due_ms)}."
        return Waiting(absent if held_up else (), open_ms, due_ms, text)
    text = _absent_text(spec, absent, open_ms, has_source=has_source)
    return Waiting(absent, open_ms, due_ms, text) if held_up else None


def _absent_text(spec: SessionSpec, symbols: Sequence[str], open_ms: int, *, has_source: bool) -> str:
    """Say which candles are not cached, and what to type where the server does not ask a source for them."""
    waits = f"It waits for {' '.join(symbols)} {spec.timeframe} from {utc(open_ms)} on, which"
    if has_source:
        return f"{waits} the source of venue {spec.venue} does not have yet; the server goes on asking."
    command = import_command(spec.venue, (*symbols, *spec.symbols)[0], spec.timeframe)
    return (
        f"{waits} venue {spec.venue} does not have in the cache yet."
        f" Add candles with: {command} (or zeon candles follow)."
    )


def _next_slot_ms(session: Session) -> int:
    """Return the next slot in which a candle should open; a calendar may take a while to read."""
    spec = session.spec
    slot_ms = spec.first_slot_ms if session.cursor_ms is None else spec.grid.floor(session.cursor_ms) + spec.grid.ms
    try:
        return next_open(spec.hours, spec.grid, slot_ms)
    except BadInputError:  # The calendar ends before.
        return slot_ms
