"""Where candles come from: one small interface, and the sources an operator may choose per venue by name."""

from __future__ import annotations

import importlib
import time
from collections.abc import AsyncGenerator, Callable
from importlib.metadata import entry_points
from typing import NamedTuple, Protocol

from app.candles.rows.row import Row, RowIssue
from app.domain.market.symbol import normalize_venue as spelled_venue
from app.domain.market.timeframe import Timeframe
from app.errors import BadInputError, SimError

GROUP = "zeon.sources"
"""Entry points of this group are sources too: name = kind, object = a function from an argument to a `Source`."""

_BUILT_IN = {
    "exchange": "app.candles.sources.exchange:Exchange",
    "synthetic": "app.candles.sources.synthetic:Synthetic",
    **dict.fromkeys(("csv", "dump", "json", "lean", "parquet", "feather"), "app.candles.sources.folder:Folder"),
}

MADE_UP = ("demo", "selftest")
"""The only venues under which made-up candles live."""

_TOLD = ("exchange", "synthetic")
"""Kinds whose argument belongs to the name; others have a folder there."""


class SourceUnavailableError(SimError):
    """The source of candles cannot be reached."""

    status = 503
    code = "source_unavailable"


class RetryLaterError(Exception):
    """A source failed in a way that may pass; `after_s` is how long it asked to be left alone, in seconds."""

    def __init__(self, reason: str, after_s: float = 0) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.since_s = time.monotonic()


class Part(NamedTuple):
    """All rows a source has between where the part before it ended and `to_ms`, exclusive.

    A source that cannot reach back that far says with `from_ms` where its knowledge begins.
    """

    rows: list[Row | RowIssue]
    to_ms: int
    from_ms: int | None = None


class Source(Protocol):
    """Gives the rows of one symbol and timeframe.

    `fetch` yields parts that follow on each other from `from_ms` on until one reaches `to_ms`; where a source ends
    earlier, it has not published the rest yet. Raises `RetryLaterError` for a temporary failure, otherwise
    `BadInputError`.
    """

    def fetch(self, symbol: str, timeframe: Timeframe, from_ms: int, to_ms: int) -> AsyncGenerator[Part]:
        """Yield the parts of `[from_ms, to_ms)`; both are on the grid and in the past."""


class VenueSource(NamedTuple):
    """A source and the name it is remembered by: never the address or folder it has."""

    name: str
    source: Source


def sources(text: str) -> dict[str, VenueSource]:
    """Read an operator's setting such as `binance=exchange:binance demo=synthetic` into a source per venue.

    Raises `BadInputError` for another form, an unknown kind, a venue named twice, or made-up candles at a real one.
    """
    chosen: dict[str, VenueSource] = {}
    for item in text.split():
        name, equals, spec = item.partition("=")
        if not equals or not spec:
            raise BadInputError(f"sources: {item!r} is not venue=kind or venue=kind:argument")
        if spelled_venue(name) in chosen:
            raise BadInputError(f"sources: {name} has two sources")
        chosen[spelled_venue(name)] = source_of(spelled_venue(name), spec)
    return chosen


def source_of(venue: str, spec: str) -> VenueSource:
    """Make the source of a venue; raises `BadInputError` for an unknown kind, or made-up candles elsewhere."""
    if spec.partition(":")[0] == "synthetic" and venue not in MADE_UP:
        raise BadInputError(f"sources: made-up candles live under the venues {' and '.join(MADE_UP)} only, not {venue}")
    return source(spec)


def source(spec: str) -> VenueSource:
    """Make the source called `kind` or `kind:argument`; raises `BadInputError` for an unknown kind."""
    kind, _, argument = spec.partition(":")
    shown = argument.partition("@")[0] if kind in _TOLD else ""
    return VenueSource(f"{kind}:{shown}" if shown else kind, _maker(kind)(argument))


def _maker(kind: str) -> Callable[[str], Source]:
    if kind in _BUILT_IN:
        module, _, name = _BUILT_IN[kind].partition(":")
        factory: Callable[[str], Source] = getattr(importlib.import_module(module), name)
        return factory
    installed = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in installed:
        raise BadInputError(f"sources: {kind!r} is not one of {', '.join(sorted({*_BUILT_IN, *installed}))}")
    loaded: Callable[[str], Source] = installed[kind].load()
    return loaded
