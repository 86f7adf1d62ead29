"""Runs a session again up to its cursor and says whether that leads to its log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

from app.candles.calendar import Calendar, add_trading_hours
from app.db import candles, events, sessions
from app.db.events import Revised
from app.db.pool import Database
from app.domain.market.fingerprint import ordered_hash
from app.domain.session import RUNNING, Session
from app.domain.tick import ReplayState
from app.engine.clock import Clock
from app.engine.input_checks import warmup
from app.engine.replay.rebuild import replay
from app.engine.strategy_catalog import StrategyCatalog
from app.errors import BadInputError, DivergedError, InputsChangedError, MissingCandlesError

_NAMED = 10


class Verdict(NamedTuple):
    """What came out: `difference` holds seq, logged and computed of the first event that differs, null when none does.

    `digest` is that of the log, null while the session runs on. `warnings` say what has changed since.
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
) -> Verdict:
    """Compute a session again, unpaced, from the candles of its log (`record: trades`: of the cache)."""
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
    return Verdict(session, digest, difference, warnings)


async def _difference(
    database: Database, clock: Clock, strategies: StrategyCatalog, session: Session
) -> dict[str, Any] | None:
    """Return the first difference; code that has changed since is run all the same, and warned of elsewhere."""
    if session.cursor_ms is None:
        return None
    try:
        async with strategies.desk(database, _of_any_code(session)) as desk:
            await replay(database, clock, session, ReplayState.initial(session.spec), desk)
    except DivergedError as diverged:
        return dict(diverged.details)
    except MissingCandlesError as gaps:
        return await _hole(database, session, gaps.details)
    return None


def _of_any_code(session: Session) -> Session:
    """Return a session that does not remember what code it began with."""
    lineage = tuple(each._replace(strategy_hash=None) for each in session.lineage)
    return replace(session, strategy_hash=None, lineage=lineage)


async def _hole(database: Database, session: Session, details: dict[str, Any]) -> dict[str, Any]:
    """Name the first event behind a candle that is not there and may not be missing."""
    seq = await database.run(events.seq_from, session.id, details["gaps"][0]["toMs"])
    logged = None if seq is None else await database.run(events.get_event, session.id, seq)
    return {"seq": seq, "logged": logged, "computed": details}


async def _strategy_warnings(database: Database, strategies: StrategyCatalog, session: Session) -> list[str]:
    codes = await database.run(strategies.source_hashes, session)
    began = {each.profile_slug: each.strategy_hash for each in session.past}
    began[session.spec.profile_slug] = session.strategy_hash
    found = [
        f"The code of strategy {slug} has changed since the session was started."
        for slug, code in began.items()
        if code not in (None, codes[slug])
    ]
    if session.warmup_hash not in (None, ordered_hash(await database.run(warmup, session.spec))):
        found.append("Warm-up candles before startMs have changed since the session was started.")
    return found


async def _candle_warnings(database: Database, session: Session, cursor_ms: int) -> list[str]:
    spec = session.spec
    if spec.trading.record == "full":
        found = await database.run(events.revised, session, _NAMED)
        more = [f"Altogether {found[0].total} candles differ."] if found and found[0].total > len(found) else []
        return [_told(each) for each in found] + more
    cached = await database.run(candles.fingerprint, spec.venue, spec.symbols, spec.timeframe, spec.start_ms, cursor_ms)
    return [] if cached == session.candles_hash else ["Cached candles that the session has used have changed since."]


def _told(each: Revised) -> str:
    name = f"The candle of {each.symbol} at {each.open_time_ms}"
    if each.cached is None:
        return f"{name} is not in the cache any more."
    if each.logged is None:
        return f"{name} came into the cache after the session had passed it."
    return f"{name} is {each.logged} in the log and {each.cached} in the cache."
