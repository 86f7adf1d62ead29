"""Recompute a session up to its cursor and report whether the result equals its log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from app.candles.cache.calendar import Calendar, add_trading_hours
from app.candles.cache.warmup import read_warmup, warmup_hash
from app.clock import Clock
from app.db import candles, sessions
from app.db.log import events
from app.db.log.events import Revised
from app.db.pool import Database
from app.domain.session import RUNNING, Session
from app.domain.tick import ReplayState
from app.engine.replay.code_check import without_code_hashes
from app.engine.replay.rebuild import replay
from app.errors import BadInputError, DivergedError, InputsChangedError, MissingCandlesError
from app.strategy_hosts.strategy_catalog import StrategyCatalog

_MAX_LISTED = 10


class VerifyResult(NamedTuple):
    """The first event that differs as `difference` (seq, logged, computed), null if none does.

    `digest` is the digest of the log, null while the session runs. `warnings` say what has changed since it ran.
    """

    session: Session
    digest: str | None
    difference: dict[str, Any] | None
    warnings: list[str]


async def verify(
    database: Database,
    clock: Clock,
    strategies: StrategyCatalog,
    user_id: str,
    session_id: UUID,
    calendars: Mapping[str, Calendar] | None = None,
) -> VerifyResult:
    """Recompute a session, unpaced, from the candles of its log (`record: trades`: of the cache)."""
    session = await database.run(sessions.get, session_id, user_id)
    session = add_trading_hours(session, (calendars or {}).get(session.spec.venue))
    warnings = await _strategy_warnings(database, strategies, session)
    if session.cursor_ms is not None:
        warnings += await _candle_warnings(database, session, session.cursor_ms)
    try:
        difference = await _difference(database, clock, strategies, session)
    except BadInputError as error:
        raise (
            InputsChangedError(" ".join([*warnings, error.message]), code="strategy_changed") if warnings else error
        ) from None
    digest = None if session.status == RUNNING else await database.run(events.digest, session_id)
    return VerifyResult(session, digest, difference, warnings)


async def _difference(
    database: Database, clock: Clock, strategies: StrategyCatalog, session: Session
) -> dict[str, Any] | None:
    """Return the first difference. A strategy whose code has changed runs, too; a warning says so."""
    if session.cursor_ms is None and not session.commands:
        return None
    try:
        async with strategies.open_host(database, without_code_hashes(session)) as host:
            await replay(database, clock, session, ReplayState.initial(session.spec), host)
    except DivergedError as error:
        return dict(error.details)
    except MissingCandlesError as error:
        return await _first_event_after_gap(database, session, error.details)
    return None


async def _first_event_after_gap(database: Database, session: Session, details: dict[str, Any]) -> dict[str, Any]:
    """Return the first event after the first gap as the difference: a candle that the session used is missing now."""
    seq = await database.run(events.seq_from, session.id, details["gaps"][0]["toMs"])
    logged = None if seq is None else await database.run(events.get_event, session.id, seq)
    return {"seq": seq, "logged": logged, "computed": details}


async def _strategy_warnings(database: Database, strategies: StrategyCatalog, session: Session) -> list[str]:
    hashes = await database.run(strategies.source_hashes, session)
    at_start = {ancestor.profile_slug: ancestor.strategy_hash for ancestor in session.past}
    at_start[session.spec.profile_slug] = session.strategy_hash
    warnings = [
        f"The code of strategy {slug} has changed since the session was started."
        for slug, before in at_start.items()
        if before not in (None, hashes[slug])
    ]
    if session.warmup_hash not in (None, warmup_hash(await database.run(read_warmup, session.spec))):
        warnings.append("Warm-up candles before startMs have changed since the session was started.")
    return warnings


async def _candle_warnings(database: Database, session: Session, cursor_ms: int) -> list[str]:
    spec = session.spec
    if spec.trading.record == "full":
        revised = await database.run(events.revised_candles, session, _MAX_LISTED)
        more = [f"Altogether {revised[0].total} candles differ."] if revised and revised[0].total > len(revised) else []
        return [_warning(candle) for candle in revised] + more
    cached = await database.run(candles.fingerprint, spec.venue, spec.symbols, spec.timeframe, spec.start_ms, cursor_ms)
    return [] if cached == session.candles_hash else ["Cached candles that the session has used have changed since."]


def _warning(candle: Revised) -> str:
    name = f"The candle of {candle.symbol} at {candle.open_time_ms}"
    if candle.cached is None:
        return f"{name} is no longer in the cache."
    if candle.logged is None:
        return f"{name} was stored after the session had passed it."
    return f"{name} is {candle.logged} in the log and {candle.cached} in the cache."
