"""Sources of candles: one small interface, and the sources that an operator can choose by name for each venue."""

from __future__ import annotations

import importlib
import time
from collections.abc import AsyncGenerator, Callable
from importlib.metadata import entry_points
from typing import NamedTuple, Protocol

from app.candles.rows.row import Row, RowIssue
from app.domain.market.symbol import normalize_venue
from app.domain.market.timeframe import Timeframe
from app.errors import BadInputError, SimError

GROUP = "zeon.sources"
"""Entry points of this group are sources too: name = kind, object = a function from an argument to a `CandleSource`."""

_BUILT_IN = {
    "exchange": "app.candles.sources.exchange:Exchange",
    "synthetic": "app.candles.sources.synthetic:Synthetic",
    **dict.fromkeys(("csv", "dump", "json", "lean", "parquet", "feather"), "app.candles.sources.folder:Folder"),
}

GENERATED = ("demo", "selftest")
"""The only venues that may have generated candles."""

_SHOWN = ("exchange", "synthetic")
"""Kinds whose argument is part of the name; the argument of others is a folder."""


class SourceUnavailableError(SimError):
    """The source of candles cannot be reached."""

    status = 503
    code = "source_unavailable"


class RetryLaterError(Exception):
    """A temporary failure of a source; `after_s` is how many seconds it asked to wait."""

    def __init__(self, reason: str, after_s: float = 0) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.since_s = time.monotonic()


class Part(NamedTuple):
    """All rows of a source from the end of the part before up to `to_ms`, exclusive.

    A source without candles that old returns in `from_ms` where its candles begin.
    """

    rows: list[Row | RowIssue]
    to_ms: int
    from_ms: int | None = None


class CandleSource(Protocol):
    """Gives the rows of one symbol and timeframe.

    `fetch` yields consecutive parts from `from_ms` until one reaches `to_ms`; if a source ends earlier, it has not
    published the rest yet. Raises `RetryLaterError` for a temporary failure, otherwise
    `BadInputError`.
    """

    def fetch(self, symbol: str, timeframe: Timeframe, from_ms: int, to_ms: int) -> AsyncGenerator[Part]:
        """Yield the parts of `[from_ms, to_ms)`; both are on the grid and in the past."""


class VenueSource(NamedTuple):
    """A source and the name under which it is stored: never its address or folder."""

    name: str
    source: CandleSource


def sources(text: str) -> dict[str, VenueSource]:
    """Read an operator's setting such as `binance=exchange:binance demo=synthetic` into a source per venue.

    Raises `BadInputError` for another form, an unknown kind, a venue named twice, or generated candles of others.
    """
    chosen: dict[str, VenueSource] = {}
    for item in text.split():
        name, equals, spec = item.partition("=")
        if not equals or not spec:
            raise BadInputError(f"sources: {item!r} is not venue=kind or venue=kind:argument")
        if normalize_venue(name) in chosen:
            raise BadInputError(f"sources: {name} has two sources")
        chosen[normalize_venue(name)] = venue_source(normalize_venue(name), spec)
    return chosen


def venue_source(venue: str, spec: str) -> VenueSource:
    """Make the source of a venue; raises `BadInputError` for an unknown kind, or generated candles of others."""
    if spec.partition(":")[0] == "synthetic" and venue not in GENERATED:
        raise BadInputError(
            f"sources: only the venues {' and '.join(GENERATED)} may have generated candles, not {venue}"
        )
    return source(spec)


def source(spec: str) -> VenueSource:
    """Make the source called `kind` or `kind:argument`; raises `BadInputError` for an unknown kind."""
    kind, _, argument = spec.partition(":")
    shown = argument.partition("@")[0] if kind in _SHOWN else ""
    return VenueSource(f"{kind}:{shown}" if shown else kind, _maker(kind)(argument))


def _maker(kind: str) -> Callable[[str], CandleSource]:
    if kind in _BUILT_IN:
        module, _, name = _BUILT_IN[kind].partition(":")
        factory: Callable[[str], CandleSource] = getattr(importlib.import_module(module), name)
        return factory
    installed = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in installed:
        raise BadInputError(f"sources: {kind!r} is not one of {', '.join(sorted({*_BUILT_IN, *installed}))}")
    loaded: Callable[[str], CandleSource] = installed[kind].load()
    return loaded
