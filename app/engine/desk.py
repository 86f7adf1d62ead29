"""What a session trades with: its strategy, found by the slug of its profile, and the trader around it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from hashlib import sha256
from itertools import groupby

from app.db import candles, profiles
from app.db.pool import Connection, Database
from app.domain.candle import Candle
from app.domain.parameters import meant
from app.domain.session import SessionSpec
from app.domain.strategy import Strategy
from app.domain.trader import Trader
from app.errors import BadInput, TooFewWarmupCandles
from app.strategies.registry import BUILT_IN

CANDLES_ONLY = "none"


async def strategy_class(connection: Connection, slug: str) -> type[Strategy]:
    """Return the strategy of a profile; raises `BadInput` for a slug that is none."""
    if slug in BUILT_IN:
        return BUILT_IN[slug]
    profile = await profiles.get(connection, slug)
    if profile is None or profile.strategy not in BUILT_IN:
        known = [*BUILT_IN, *(each.slug for each in await profiles.every(connection))]
        raise BadInput(f"profileSlug: there is no profile {slug!r}{meant(slug, dict.fromkeys(known))}")
    return BUILT_IN[profile.strategy]


async def full_config(connection: Connection, spec: SessionSpec) -> dict[str, object]:
    """Return the session's parameters on top of its profile's; raises `BadInput` naming a wrong one."""
    cls = await strategy_class(connection, spec.profile_slug)
    profile = None if spec.profile_slug in BUILT_IN else await profiles.get(connection, spec.profile_slug)
    config = {**(profile.config if profile else {}), **spec.config}
    cls(**config)
    return config


async def new_trader(database: Database, spec: SessionSpec) -> Trader | None:
    """Return the trader of a session before its first slot, warmed up; null for candles only."""
    if spec.profile_slug == CANDLES_ONLY:
        return None
    cls = await database.run(strategy_class, spec.profile_slug)
    trader = Trader(cls(**spec.config), spec.desk_terms)
    for _, slot in groupby(await database.run(warmup, spec), key=lambda candle: candle.open_time_ms):
        trader.warm(list(slot))
    return trader


async def warmup(connection: Connection, spec: SessionSpec) -> list[Candle]:
    """Return the candles before the range that the strategy is shown first; raises `TooFewWarmupCandles`."""
    found: list[Candle] = []
    for symbol in spec.symbols if spec.warmup_candles else ():
        before = await candles.last_before(
            connection, spec.venue, symbol, spec.timeframe, spec.start_ms, spec.warmup_candles
        )
        if len(before) < spec.warmup_candles:
            raise TooFewWarmupCandles(
                f"warmupCandles: there are {len(before)} candles of {symbol} before startMs, not {spec.warmup_candles}"
            )
        found += before
    places = {symbol: place for place, symbol in enumerate(spec.symbols)}
    return sorted(found, key=lambda candle: (candle.open_time_ms, places[candle.symbol]))


def fingerprint(found: Sequence[Candle]) -> str:
    """Return the hex SHA-256 of candles in their order."""
    return sha256("\n".join(map(repr, found)).encode()).hexdigest()


def source_hash(cls: type[Strategy]) -> str:
    """Return the hex SHA-256 of a strategy's source: the modules of the class and its parents below `Strategy`."""
    modules = dict.fromkeys(
        owner.__module__ for owner in cls.__mro__ if issubclass(owner, Strategy) and owner is not Strategy
    )
    text = "\0".join(inspect.getsource(sys.modules[name]) for name in modules)
    return sha256(text.encode()).hexdigest()
