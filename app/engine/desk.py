"""What a session trades with: its strategy, found by the slug of its profile, and the trader around it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from hashlib import sha256
from itertools import groupby

from app.db import candles, events, profiles, sessions
from app.db.pool import Connection, Database
from app.domain.candle import Candle
from app.domain.parameters import meant
from app.domain.session import Session, SessionSpec
from app.domain.strategy import Strategy
from app.domain.trader import Trader
from app.errors import BadInput, Changed, TooFewWarmupCandles
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


async def check_inputs(connection: Connection, session: Session, *, accept_revised: bool) -> None:
    """Make sure that a session goes on with what it was started with, and remember it at the first start.

    Raises `Changed` with code `strategy_changed`, `warmup_changed` or, unless they are accepted,
    `candles_changed`; `TooFewWarmupCandles`.
    """
    spec = session.spec
    if spec.profile_slug != CANDLES_ONLY:
        code = source_hash(await strategy_class(connection, spec.profile_slug))
        shown = fingerprint(await warmup(connection, spec))
        _require_same(session.strategy_hash, code, "strategy_changed", "The strategy's code")
        _require_same(session.warmup_hash, shown, "warmup_changed", "The warm-up candles before startMs")
        if session.strategy_hash is None:
            await sessions.fix(connection, session.id, strategy_hash=code, warmup_hash=shown)
    if session.candles_hash is not None and session.cursor_ms is not None:
        await _check_candles(connection, session, session.cursor_ms, accept_revised=accept_revised)


async def _check_candles(connection: Connection, session: Session, last_ms: int, *, accept_revised: bool) -> None:
    spec = session.spec
    cached = await candles.fingerprint(connection, spec.venue, spec.symbols, spec.timeframe, spec.start_ms, last_ms)
    if not accept_revised:
        _require_same(session.candles_hash, cached, "candles_changed", "Candles the session has used")
    elif cached != session.candles_hash:
        args = {"was": session.candles_hash, "now": cached}
        body = {"action": "acceptRevised", "args": args, "by": session.user_id}
        await events.append_event(connection, session.id, "control", body)
        await sessions.fix(connection, session.id, candles_hash=cached)


def _require_same(was: str | None, now: str, code: str, what: str) -> None:
    if was is not None and was != now:
        verb = "has" if code == "strategy_changed" else "have"
        raise Changed(f"{what} {verb} changed since the session was started.", code=code)


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
