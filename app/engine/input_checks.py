"""What a session was started with and must go on with: its strategy's code, warm-up candles, candles used."""

from __future__ import annotations

from collections.abc import Mapping

from app.candles.advice import describe_cached
from app.db import candles, events, sessions
from app.db.pool import Connection
from app.domain.market.candle import Candle
from app.domain.market.fingerprint import ordered_hash
from app.domain.session import Session, SessionSpec
from app.errors import InputsChangedError, WarmupMissingError

CANDLES_ONLY = "none"


async def warmup(connection: Connection, spec: SessionSpec) -> list[Candle]:
    """Return the candles before the range that the strategy is shown first; raises `WarmupMissingError`."""
    found: list[Candle] = []
    for symbol in spec.symbols if spec.warmup_candles else ():
        before = await candles.last_before(
            connection, spec.venue, symbol, spec.timeframe, spec.start_ms, spec.warmup_candles
        )
        if len(before) < spec.warmup_candles:
            cached = await describe_cached(connection, spec.venue, [symbol], spec.timeframe)
            raise WarmupMissingError(
                f"warmupCandles: there are {len(before)} candles of {symbol} before startMs, not"
                f" {spec.warmup_candles}. {cached}"
            )
        found += before
    places = {symbol: place for place, symbol in enumerate(spec.symbols)}
    return sorted(found, key=lambda candle: (candle.open_time_ms, places[candle.symbol]))


async def check_inputs(
    connection: Connection, session: Session, codes: Mapping[str, str], *, accept_revised: bool
) -> None:
    """Make sure that a session goes on with what it was started with, and remember it at the first start.

    `codes` holds the hash of each of its strategies' source now, by the profile's slug.
    Raises `InputsChangedError` with code `strategy_changed`, `warmup_changed` or, unless they are accepted,
    `candles_changed`; `WarmupMissingError`.
    """
    spec = session.spec
    require_same_code(session, codes)
    if spec.profile_slug != CANDLES_ONLY:
        shown = ordered_hash(await warmup(connection, spec))
        _require_same(session.warmup_hash, shown, "warmup_changed", "The warm-up candles before startMs")
        if session.strategy_hash is None:
            await sessions.remember_hashes(
                connection, session.id, strategy_hash=codes[spec.profile_slug], warmup_hash=shown
            )
    if session.cursor_ms is None:
        return
    if session.candles_hash is None:  # It began before fingerprints were kept.
        used = await events.fingerprint(connection, session.id, session.last_seq)
        await sessions.remember_hashes(connection, session.id, candles_hash=used)
    else:
        await _check_candles(connection, session, session.cursor_ms, accept_revised=accept_revised)


async def _check_candles(connection: Connection, session: Session, last_ms: int, *, accept_revised: bool) -> None:
    spec = session.spec
    cached = await candles.fingerprint(connection, spec.venue, spec.symbols, spec.timeframe, spec.start_ms, last_ms)
    full = spec.trading.record == "full"
    if full and cached != session.candles_hash and not await events.revised(connection, session, 1, late=False):
        return  # Only late ones came, which the session never used.
    if not accept_revised:
        _require_same(session.candles_hash, cached, "candles_changed", "Candles the session has used")
    elif cached != session.candles_hash:
        args = {"was": session.candles_hash, "now": cached}
        body = {"action": "acceptRevised", "args": args, "by": session.user_id}
        await events.append_event(connection, session.id, "control", body)
        await sessions.remember_hashes(connection, session.id, candles_hash=cached)


def require_same_code(session: Session, codes: Mapping[str, str]) -> None:
    """Raise `InputsChangedError` when a strategy's source changed since the session or an ancestor started."""
    slug = session.spec.profile_slug
    _require_same(session.strategy_hash, codes.get(slug, ""), "strategy_changed", "The strategy's code")
    for each in session.past:
        what = f"The code of strategy {each.profile_slug}, which wrote the log up to seq {each.to_seq},"
        _require_same(each.strategy_hash, codes.get(each.profile_slug, ""), "strategy_changed", what)


def _require_same(was: str | None, now: str, code: str, what: str) -> None:
    if was is not None and was != now:
        verb = "has" if code == "strategy_changed" else "have"
        raise InputsChangedError(f"{what} {verb} changed since the session was started.", code=code)
