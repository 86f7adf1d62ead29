"""Longer candles built from a session's base candles. They appear when they close, and only if complete."""

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
    """Builds the candles of one symbol and one longer timeframe; `next_open_ms` is the next expected open time."""

    def __init__(self, symbol: str, grid: Timeframe, spec: SessionSpec) -> None:
        self.symbol = symbol
        self.grid = grid
        self.next_open_ms = grid.ceil(spec.start_ms)
        self._first_ms = self.next_open_ms
        self._base = spec.grid
        self._hours = spec.hours
        self._members: list[Candle] = []

    def add(self, candle: Candle) -> Candle | None:
        """Add a base candle; return the longer candle if this completes it.

        A longer candle that starts before the session's range is never complete, so it never appears.
        """
        open_ms = self.grid.floor(candle.open_time_ms)
        if self._members and self.grid.floor(self._members[0].open_time_ms) != open_ms:
            self._members.clear()
        self._members.append(candle)
        if self._base.floor(candle.open_time_ms) + self._base.ms != open_ms + self.grid.ms:
            return None
        members, self._members = self._members, []
        whole = len(members) == self.grid.ms // self._base.ms and open_ms >= self._first_ms
        return _merge(members, self.grid, open_ms) if whole else None

    def gaps_before(self, open_ms: int, ts: int) -> list[Event]:
        """Advance to `open_ms`; return gap events for missing longer candles before it, without closed hours."""
        from_ms, self.next_open_ms = self.next_open_ms, max(self.next_open_ms, open_ms)
        missing = (open_ms - from_ms) // self.grid.ms
        gap = Gap(self.symbol, self.grid.name, from_ms, open_ms, missing)
        gaps = open_gaps(self._hours, [gap]) if missing > 0 else []
        return [event.gap(ts, self.symbol, self.grid.name, gap.from_ms, gap.to_ms, gap.missing) for gap in gaps]

    def snapshot(self) -> tuple[int, list[Candle]]:
        """Return the state for `restore`."""
        return self.next_open_ms, list(self._members)

    def restore(self, stored: tuple[int, list[Candle]]) -> None:
        """Set the state that `snapshot` returned."""
        self.next_open_ms, self._members = stored[0], list(stored[1])

    def mark_written(self, open_ms: int) -> None:
        """Record that the longer candle that opens at `open_ms` is in the log."""
        self.next_open_ms = open_ms + self.grid.ms


class Resamplers:
    """All resamplers of a session: finer timeframes first, symbols in the session's order."""

    def __init__(self, spec: SessionSpec) -> None:
        self._end_ms = spec.end_ms
        self._resamplers = [
            Resampler(symbol, TIMEFRAMES[name], spec) for name in spec.extra_timeframes for symbol in spec.symbols
        ]

    def __iter__(self) -> Iterator[Resampler]:
        return iter(self._resamplers)

    def add(self, candles: Sequence[Candle]) -> list[tuple[Resampler, Candle]]:
        """Add the base candles of a slot; return the longer candles they complete, finer first."""
        by_symbol = {candle.symbol: candle for candle in candles}
        closed = (
            (resampler, resampler.add(by_symbol[resampler.symbol]))
            for resampler in self._resamplers
            if resampler.symbol in by_symbol
        )
        return [(resampler, candle) for resampler, candle in closed if candle is not None]

    def events(self, candles: Sequence[Candle], ts: int, *, trailing: bool) -> tuple[list[Event], list[Candle]]:
        """Return the gap events and longer candles after a slot's base candles (real and synthetic)."""
        closed = self.add(candles)
        gaps: list[Event] = []
        for resampler, candle in closed:
            gaps += resampler.gaps_before(candle.open_time_ms, ts)
            resampler.mark_written(candle.open_time_ms)
        if trailing and self._end_ms is not None:
            for resampler in self._resamplers:
                gaps += resampler.gaps_before(resampler.grid.floor(self._end_ms), ts)
        return gaps, [candle for _, candle in closed]


def _merge(members: Sequence[Candle], grid: Timeframe, open_ms: int) -> Candle:
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
