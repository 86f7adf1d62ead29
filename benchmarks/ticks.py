"""Ticks made by hand from made-up candles, for the modules that measure the log without an engine."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from app.candles.sources import synthetic
from app.db.log.chunks import Chunk, events_to_json
from app.domain import candle_event
from app.domain.event import Event
from app.domain.session import Session
from benchmarks.environment import MINUTE, START_MS


def events(count: int) -> list[Event]:
    """Return candle events as a session logs them."""
    candles = synthetic.candles("BTCUSDT", "1m", START_MS, START_MS + count * MINUTE)
    return [candle_event.encode(candle.open_time_ms, candle) for candle in candles]


def chain(session: Session, log: list[Event], per_tick: int, first: int = 0) -> Iterator[Chunk]:
    """Yield ticks of one session that follow each other, from tick number `first` on."""
    rest = iter(log)
    prev = None if first == 0 else START_MS + (first - 1) * MINUTE
    number = first
    while chunk := list(islice(rest, per_tick)):
        cursor = START_MS + number * MINUTE
        yield Chunk(str(session.id), session.epoch, prev, cursor, events_to_json(chunk), len(chunk))
        prev, number = cursor, number + 1
