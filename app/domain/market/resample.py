"""Longer candles built from a session's own: they appear when they close, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from app.domain import event
from app.domain.event import Event
from app.domain.market.candle import Candle, Gap
from app.domain.market.timeframe import TIMEFRAMES, Timeframe
from app.domain.market.trading_hours import open_gaps
from app.domain.session import SessionSpec


class Resampler:
    """The candle of one symbol and extra timeframe under way, and where its next gap would begin."""

    def __init__(self, symbol: str, grid: Timeframe, spec: SessionSpec) -> None:
        self.symbol = symbol
        self.grid = grid
        self.next_open_ms = grid.ceil(spec.start_ms)
        self._first_ms = self.next_open_ms
        self._base = spec.grid
        self._hours = spec.hours
        self._members: list[Candle] = []

    def add(self, candle: Candle) -> Candle | None:
        """Take in a base candle; returns the longer one if this was the last of all its members.

        A bucket that began before the session's range is never whole, so nothing comes of it.
        """
        open_ms = self.grid.floor(candle.open_time_ms)
        if self._members and self.grid.floor(self._members[0].open_time_ms) != open_ms:
            self._members.clear()
        self._members.append(candle)
        if self._base.floor(candle.open_time_ms) + self._base.ms != open_ms + self.grid.ms:
            return None
        members, self._members = self._members, []
        whole = len(members) == self.grid.ms // self._base.ms and open_ms >= self._first_ms
        return _merged(members, self.grid, open_ms) if whole else None

    def gaps_before(self, open_ms: int, ts: int) -> list[Event]:
        """Move on to `open_ms`; returns the gap events if buckets with trading were missing before it."""
        from_ms, self.next_open_ms = self.next_open_ms, max(self.next_open_ms, open_ms)
        missing = (open_ms - from_ms) // self.grid.ms
        gap = Gap(self.symbol, self.grid.name, from_ms, open_ms, missing)
        found = open_gaps(self._hours, [gap]) if missing > 0 else []
        return [event.gap(ts, self.symbol, self.grid.name, each.from_ms, each.to_ms, each.missing) for each in found]

    def snapshot(self) -> tuple[int, list[Candle]]:
        """Return what `restore` needs."""
        return self.next_open_ms, list(self._members)

    def restore(self, kept: tuple[int, list[Candle]]) -> None:
        """Go on with what `snapshot` returned."""
        self.next_open_ms, self._members = kept[0], list(kept[1])

    def emitted(self, open_ms: int) -> None:
        """Count the bucket that opens at `open_ms` as written."""
        self.next_open_ms = open_ms + self.grid.ms


class Resamplers:
    """All buckets of a session: finer timeframes first, symbols in the session's order."""

    def __init__(self, spec: SessionSpec) -> None:
        self._end_ms = spec.end_ms
        self._buckets = [
            Resampler(symbol, TIMEFRAMES[name], spec) for name in spec.extra_timeframes for symbol in spec.symbols
        ]

    def __iter__(self) -> Iterator[Resampler]:
        return iter(self._buckets)

    def add(self, candles: Sequence[Candle]) -> list[tuple[Resampler, Candle]]:
        """Take in the base candles of a slot; returns what closed with it, finer first, then in symbol order."""
        by_symbol = {candle.symbol: candle for candle in candles}
        closed = (
            (bucket, bucket.add(by_symbol[bucket.symbol])) for bucket in self._buckets if bucket.symbol in by_symbol
        )
        return [(bucket, candle) for bucket, candle in closed if candle is not None]

    def events(self, candles: Sequence[Candle], ts: int, *, trailing: bool) -> tuple[list[Event], list[Candle]]:
        """Return the gap events a slot's base candles (real and synthetic) lead to, and the longer candles."""
        closed = self.add(candles)
        gaps: list[Event] = []
        for bucket, candle in closed:
            gaps += bucket.gaps_before(candle.open_time_ms, ts)
            bucket.emitted(candle.open_time_ms)
        if trailing and self._end_ms is not None:
            for bucket in self._buckets:
                gaps += bucket.gaps_before(bucket.grid.floor(self._end_ms), ts)
        return gaps, [candle for _, candle in closed]


def _merged(members: Sequence[Candle], grid: Timeframe, open_ms: int) -> Candle:
    first, last = members[0], members[-1]
    return Candle(
        first.symbol,
        grid.name,
        open_ms,
        open_ms + grid.ms,
        first.open,
        max(member.high for member in members),
        min(member.low for member in members),
        last.close,
        sum((member.volume for member in members), Decimal(0)),
        any(member.synthetic for member in members),
    )
