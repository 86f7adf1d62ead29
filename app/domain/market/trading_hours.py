"""Trading hours: the slots in which a market is open, and gaps without closed hours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from app.domain.market.candle import Gap
from app.domain.market.timeframe import TIMEFRAMES, Timeframe


class TradingHours(NamedTuple):
    """One trading period from open to close in ms UTC, the close exclusive."""

    open_ms: int
    close_ms: int


class OpeningHours(Protocol):
    """The hours in which a market is open; the same call always returns the same."""

    def following(self, time_ms: int) -> TradingHours | None:
        """Return the first trading period that ends after `time_ms`; null if none is known."""

    def following_day(self, time_ms: int) -> TradingHours | None:
        """Return the same for whole trading days: from midnight to midnight UTC of the market's local date."""


def _following(hours: OpeningHours, grid: Timeframe, time_ms: int) -> TradingHours | None:
    """Return the next trading period; for candles of a day or longer the next trading day."""
    return hours.following_day(time_ms) if grid.ms >= TIMEFRAMES["1d"].ms else hours.following(time_ms)


def is_open(hours: OpeningHours | None, grid: Timeframe, slot_ms: int) -> bool:
    """Whether the market is open in a slot; without hours it always is."""
    if hours is None:
        return True
    trading = _following(hours, grid, slot_ms)
    return trading is not None and trading.open_ms < slot_ms + grid.ms


def next_open(hours: OpeningHours | None, grid: Timeframe, slot_ms: int) -> int:
    """Return the first slot from `slot_ms` on in which the market is open; `slot_ms` itself if no hours are known."""
    trading = None if hours is None else _following(hours, grid, slot_ms)
    return slot_ms if trading is None else max(slot_ms, grid.floor(trading.open_ms))


def open_gaps(hours: OpeningHours | None, gaps: Sequence[Gap]) -> list[Gap]:
    """Remove closed slots from gaps; a gap over a night becomes two."""
    if hours is None:
        return list(gaps)
    return [part for gap in gaps for part in _open_parts(hours, gap)]


def _open_parts(hours: OpeningHours, gap: Gap) -> Iterator[Gap]:
    grid = TIMEFRAMES[gap.timeframe]
    run: tuple[int, int] | None = None
    for trading in _within(hours, gap, grid):
        start, end = max(gap.from_ms, grid.floor(trading.open_ms)), min(gap.to_ms, grid.ceil(trading.close_ms))
        if run is not None and start <= run[1]:
            run = run[0], end
            continue
        yield from _sized_gap(gap, run, grid)
        run = start, end
    yield from _sized_gap(gap, run, grid)


def _within(hours: OpeningHours, gap: Gap, grid: Timeframe) -> Iterator[TradingHours]:
    trading = _following(hours, grid, gap.from_ms)
    while trading is not None and trading.open_ms < gap.to_ms:
        yield trading
        if trading.close_ms >= gap.to_ms:
            return
        trading = _following(hours, grid, trading.close_ms)


def _sized_gap(gap: Gap, run: tuple[int, int] | None, grid: Timeframe) -> Iterator[Gap]:
    if run is not None:
        yield gap._replace(from_ms=run[0], to_ms=run[1], missing=(run[1] - run[0]) // grid.ms)
