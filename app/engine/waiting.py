"""What running sessions wait for after the last cached candle."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from dataclasses import replace
from uuid import UUID

from app.candles.cache.advice import import_command
from app.db import candles as cache
from app.db.pool import Connection
from app.domain.market.trading_hours import next_open
from app.domain.session import RUNNING, Session, SessionSpec, Waiting
from app.domain.utc import utc
from app.errors import BadInputError


async def add_waiting(
    conn: Connection, sessions: Sequence[Session], now_ms: int, with_source: Container[str]
) -> list[Session]:
    """Return the sessions; those that wait for a candle, while nothing is fetched for them, get `waiting`.

    Only sessions whose range is not over can be at the end of the cache; one query reads all of them. For venues in
    `with_source` the server itself fetches candles.
    """
    followers = [session for session in sessions if _may_wait(session, now_ms)]
    keys = [
        (session.spec.venue, symbol, session.spec.timeframe, _after_ms(session))
        for session in followers
        for symbol in session.spec.symbols
    ]
    times = iter(await cache.next_open_times(conn, keys) if keys else ())
    waiting: dict[UUID, Waiting | None] = {}
    for session in followers:
        known_times = [next(times) for _ in session.spec.symbols]
        waiting[session.id] = await _waiting(session, known_times, now_ms, has_source=session.spec.venue in with_source)
    return [replace(session, waiting=waiting.get(session.id)) for session in sessions]


def _may_wait(session: Session, now_ms: int) -> bool:
    spec = session.spec
    ends_later = spec.last_slot_ms is None or spec.due_ms(spec.last_slot_ms) > now_ms
    return session.status == RUNNING and session.fetching is None and ends_later


def _after_ms(session: Session) -> int:
    """Return the time after which the next candle opens."""
    return session.spec.start_ms - 1 if session.cursor_ms is None else session.cursor_ms


async def _waiting(session: Session, times: Sequence[int | None], now_ms: int, *, has_source: bool) -> Waiting | None:
    """Return what a session waits for, given the next open time of each symbol.

    With the gap policy `fail` a session waits for every symbol; otherwise it continues without the missing ones.
    """
    spec = session.spec
    absent = tuple(symbol for symbol, time in zip(spec.symbols, times, strict=True) if time is None)
    known_times = [time for time in times if time is not None]
    blocked = absent and (not known_times or spec.gap_policy == "fail")
    open_ms = await asyncio.to_thread(_next_slot_ms, session) if blocked else min(known_times)
    due_ms = spec.due_ms(open_ms)
    if due_ms > now_ms:
        text = f"It waits for the {spec.timeframe} candle of {utc(open_ms)}, due at {utc(due_ms)}."
        return Waiting(absent if blocked else (), open_ms, due_ms, text)
    text = _absent_text(spec, absent, open_ms, has_source=has_source)
    return Waiting(absent, open_ms, due_ms, text) if blocked else None


def _absent_text(spec: SessionSpec, symbols: Sequence[str], open_ms: int, *, has_source: bool) -> str:
    """Return the text: which candles are not cached and, if the server does not fetch them, the command to add them."""
    waits = f"It waits for {' '.join(symbols)} {spec.timeframe} from {utc(open_ms)} on, which"
    if has_source:
        return f"{waits} the source of venue {spec.venue} does not have yet; the server keeps asking it."
    command = import_command(spec.venue, (*symbols, *spec.symbols)[0], spec.timeframe)
    return (
        f"{waits} venue {spec.venue} does not have in the cache yet."
        f" Add candles with: {command} (or zeon candles follow)."
    )


def _next_slot_ms(session: Session) -> int:
    """Return the next slot with a candle; to read a calendar may take a while."""
    spec = session.spec
    slot_ms = spec.first_slot_ms if session.cursor_ms is None else spec.grid.floor(session.cursor_ms) + spec.grid.ms
    try:
        return next_open(spec.hours, spec.grid, slot_ms)
    except BadInputError:  # The slot is after the end of the calendar.
        return slot_ms
