"""Requests and answers of the calls about cached candles."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from app.candles.cache.reasons import Reason
from app.db.candles import Coverage
from app.domain.session import Symbol, TimeframeName, Venue
from app.domain.setting import MAX_TIME_MS
from app.web.http.models import Answer, Count, Query

Time = Annotated[int, Count(0, MAX_TIME_MS)]


class CandlesQuery(Query):
    """Which candles: `startMs <= openTime < endMs`, at most `limit`."""

    symbol: Symbol
    timeframe: TimeframeName
    start_ms: Time = 0
    end_ms: Time | None = None
    venue: Venue | None = None
    limit: Annotated[int, Count(1, 5000)] = 1000

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.end_ms is not None and self.end_ms <= self.start_ms:
            raise ValueError("endMs: must be later than startMs")
        return self


class CoverageQuery(Query):
    """Which series to list; without a parameter all."""

    venue: Venue | None = None
    symbol: Symbol | None = None
    timeframe: TimeframeName | None = None


class CandleAnswer(Answer):
    """A closed candle; times in ms UTC, the close exclusive."""

    open_time_ms: int
    close_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class GapAnswer(Answer):
    """Slots `[fromMs, toMs)` without a candle, and the known reason."""

    from_ms: int
    to_ms: int
    missing: int
    reason: Reason


class CandlesAnswer(Answer):
    """Candles, oldest first; `nextStartMs` asks for the next page and is null on the last; at most 100 gaps."""

    candles: list[CandleAnswer]
    next_start_ms: int | None
    gaps: list[GapAnswer]


class SeriesAnswer(Answer):
    """The cached candles of one series: first and last open time, the gaps between, the sources.

    `spelling` is how the symbol was first written; it is left out if that is its stored form.
    """

    venue: str
    symbol: str
    timeframe: str
    rows: int
    first_ms: int
    last_ms: int
    gaps: int
    missing: int
    source: str | None
    spelling: Annotated[str | None, Field(exclude_if=lambda text: text is None)] = None

    @classmethod
    def of(cls, series: Coverage) -> Self:
        """Return the answer for one series."""
        spelling = None if series.spelling == series.symbol else series.spelling
        return cls(**series._asdict() | {"spelling": spelling})


class CoverageAnswer(Answer):
    """All series in the cache."""

    coverage: list[SeriesAnswer]
