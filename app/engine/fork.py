"""Find the point of a fork: the end of a tick or command, the cursor there, and the candles used so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from app.clock import Clock
from app.db import candles, commands, sessions
from app.db.log import events, simulated_events
from app.db.pool import Connection, Database
from app.domain.session import Session, SessionSpec
from app.domain.tick import ReplayState
from app.domain.trading.rules import NEWEST_RULES
from app.engine.replay.code_check import Difference, with_codes
from app.engine.replay.rebuild import cached_blocks
from app.errors import InputsChangedError, SeqAheadError
from app.strategy_hosts.strategy_catalog import StrategyCatalog


class ForkPoint(NamedTuple):
    """The last seq shared, the cursor there (ms UTC, null before the first tick), and the fingerprint up to it."""

    seq: int
    cursor_ms: int | None
    candles_hash: str | None


async def fork_point(
    database: Database, clock: Clock, strategies: StrategyCatalog, parent: Session, at_seq: int
) -> ForkPoint:
    """Return the end of the tick or command with `at_seq`.

    Raises `SeqAheadError`, `InputsChangedError` or `DivergedError`.
    """
    if parent.spec.trading.record == "full":
        return await database.run(_in_full_log, parent, at_seq)
    return await _by_replay(database, clock, strategies, parent, at_seq)


def inherited_hashes(parent: Session, spec: SessionSpec, point: ForkPoint) -> dict[str, str]:
    """Return the hashes a fork inherits: of its candles; of code and warm-up only if the strategy is the same."""
    same = (spec.profile_slug, spec.config) == (parent.spec.profile_slug, parent.spec.config)
    hashes = {
        "candles_hash": point.candles_hash,
        "strategy_hash": parent.strategy_hash if same else None,
        "warmup_hash": parent.warmup_hash if same else None,
    }
    return {name: value for name, value in hashes.items() if value is not None}


async def create_fork(connection: Connection, parent: Session, spec: SessionSpec, point: ForkPoint) -> Session:
    """Create a session that shares its parent's log up to a point."""
    async with connection.transaction():
        child, _ = await sessions.create(connection, parent.user_id, spec)
        forked = await sessions.fork(connection, child, parent, point.seq, point.cursor_ms)
        await sessions.remember_hashes(connection, child.id, **inherited_hashes(parent, spec, point))
        return await sessions.get(connection, forked.id)


async def fork_before(
    connection: Connection, session: Session, codes: Mapping[str, str], difference: Difference
) -> Session:
    """Fork a session at the last slot or command that changed code computes as before; the fork goes on with it."""
    end = difference.equal_to
    seq = await simulated_events.seq_of(connection, session.id, end.events) if end.events else 0
    used = None
    if end.cursor_ms is not None:
        full = session.spec.trading.record == "full"
        in_log = await events.fingerprint(connection, session.id, seq) if full else None
        used = in_log or await _cached_fingerprint(connection, session, end.cursor_ms)
    spec = replace(session.spec, trading=replace(session.spec.trading, rules=NEWEST_RULES))
    return await create_fork(connection, with_codes(session, codes), spec, ForkPoint(seq, end.cursor_ms, used))


async def _in_full_log(connection: Connection, parent: Session, at_seq: int) -> ForkPoint:
    seq = await sessions.tick_end(connection, parent.id, at_seq)
    if seq is None:
        raise SeqAheadError(f"atSeq: {at_seq} is ahead of the log")
    cursor_ms = await events.cursor_at(connection, parent, seq)
    used = None if cursor_ms is None else await events.fingerprint(connection, parent.id, seq)
    return ForkPoint(seq, cursor_ms, used)


async def _by_replay(
    database: Database, clock: Clock, strategies: StrategyCatalog, parent: Session, at_seq: int
) -> ForkPoint:
    """Find the tick by recomputing the log: a log without candles does not show where ticks end."""
    if parent.cursor_ms is not None and await _cached_hash(database, parent, parent.cursor_ms) != parent.candles_hash:
        raise InputsChangedError(
            "Candles the session has used have changed; it cannot be forked.", code="candles_changed"
        )
    state = ReplayState.initial(parent.spec)
    wanted_count, count = await database.run(simulated_events.count, parent.id, at_seq), 0
    wanted_commands = await database.run(commands.count_until, parent.id, at_seq) if parent.commands else 0
    async with strategies.open_host(database, parent, own_process=True) as host:
        blocks = cached_blocks(database, clock, parent, state, host)
        while count < wanted_count or state.commands < wanted_commands:
            count += await anext(blocks)
    seq = await database.run(simulated_events.seq_of, parent.id, count) if count else 0
    used = None if state.cursor_ms is None else await _cached_hash(database, parent, state.cursor_ms)
    return ForkPoint(max(at_seq, seq), state.cursor_ms, used)


async def _cached_hash(database: Database, session: Session, last_ms: int) -> str:
    return await database.run(_cached_fingerprint, session, last_ms)


async def _cached_fingerprint(connection: Connection, session: Session, last_ms: int) -> str:
    spec = session.spec
    return await candles.fingerprint(connection, spec.venue, spec.symbols, spec.timeframe, spec.start_ms, last_ms)
