"""Snapshots let long sessions resume quickly: a stored state, which is checked against the log before it is used."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from app import domain, strategies
from app.clock import Clock
from app.db.log import snapshots
from app.db.log.snapshots import StoredSnapshot
from app.db.pool import Database
from app.domain.lineage import settings_to_json
from app.domain.market.fingerprint import Fingerprint
from app.domain.session import Session
from app.domain.snapshot import InvalidSnapshotError, from_text, to_text
from app.domain.tick import ReplayState
from app.engine.replay.rebuild import ReplayStart, rebuild, replay
from app.engine.replay.writer import CommandLostError, SessionLostError
from app.errors import SimError, UnavailableError
from app.strategy_hosts.strategy_catalog import StrategyCatalog
from app.strategy_hosts.strategy_host import StrategyHost

INTERVAL_SLOTS = 5_000
"""Slots between two snapshots; to recompute so many takes about 0.07 s."""
PROOF_SLOTS = 500
"""Slots of the log that must follow a usable snapshot: recomputing them proves that it leads to the log."""

MAX_KEPT = 100
"""States of sessions that are kept in memory while no process runs them."""

_STRATEGY = "desk"
"""The key of the strategy's state in a snapshot. Version 0.1.0 called it so, and its snapshots are still read."""

_log = logging.getLogger(__name__)


class NewSnapshot(NamedTuple):
    """A snapshot to be stored as soon as the ticks up to its cursor (ms UTC) are in the log."""

    cursor_ms: int
    body: str


@dataclass(slots=True)
class ResumedSession:
    """A session after the last tick of its log, and how many slots ago its newest snapshot was taken."""

    host: StrategyHost | None
    state: ReplayState
    slots_since_snapshot: int
    keep: bool = True
    """Whether the state may be of use later."""


class KeptStates:
    """The states of sessions that are traded from outside, kept in memory between two calls; the newest `MAX_KEPT`.

    They are only a cache: a state is used if the log has its cursor and its number of commands.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[UUID, tuple[ResumedSession, AsyncExitStack]] = OrderedDict()

    async def put(self, session_id: UUID, resumed: ResumedSession, stack: AsyncExitStack) -> None:
        """Keep a state and what must be closed with it."""
        await self.drop(session_id)
        self._kept[session_id] = resumed, stack
        while len(self._kept) > MAX_KEPT:
            await self.drop(next(iter(self._kept)))

    async def take(self, session: Session, stack: AsyncExitStack) -> ResumedSession | None:
        """Return the state at the end of a session's log, to be closed with `stack`; null if it is not kept."""
        resumed, kept = self._kept.pop(session.id, (None, None))
        if resumed is None or kept is None:
            return None
        if (resumed.state.cursor_ms, resumed.state.commands) != (session.cursor_ms, session.commands):
            await kept.aclose()
            return None
        stack.push_async_exit(kept.pop_all())
        return resumed

    async def drop(self, session_id: UUID) -> None:
        """Close the state of a session, if one is kept."""
        _, stack = self._kept.pop(session_id, (None, None))
        if stack is not None:
            await stack.aclose()

    async def close(self) -> None:
        """Close all states."""
        for session_id in list(self._kept):
            await self.drop(session_id)


class Snapshots:
    """Takes the snapshots of sessions, and opens strategy hosts from them."""

    def __init__(
        self, database: Database, clock: Clock, strategies: StrategyCatalog, kept: KeptStates | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._strategies = strategies
        self._kept = kept or KeptStates()

    @asynccontextmanager
    async def resume(self, session: Session, *, own_process: bool = False) -> AsyncIterator[ResumedSession]:
        """Open a session's strategy host; bring it and the state to the end of the log.

        Recomputes the log from the newest snapshot, or else from the start; raises `DivergedError` if that gives
        another log. The state of a session with commands is kept afterwards, and is used instead if it is still right.
        """
        async with AsyncExitStack() as stack:
            resumed = await self._kept.take(session, stack)
            if resumed is None:
                resumed = await self._from_snapshot(stack, session, own_process=own_process)
            if resumed is None:
                opening = self._strategies.open_host(self._database, session, own_process=own_process)
                host = await stack.enter_async_context(opening)
                state = await rebuild(self._database, self._clock, session, host)
                resumed = ResumedSession(host, state, await self._ensure_snapshot(session, host, state))
            try:
                yield resumed
            except SessionLostError as error:
                if not isinstance(error, CommandLostError):
                    await self._keep(session, resumed, stack)
                raise
            await self._keep(session, resumed, stack)

    async def _keep(self, session: Session, resumed: ResumedSession, stack: AsyncExitStack) -> None:
        if resumed.keep and resumed.state.commands and resumed.host is not None and resumed.host.error is None:
            await self._kept.put(session.id, resumed, stack.pop_all())

    async def take(self, state: ReplayState, host: StrategyHost | None, candles_hash: str) -> NewSnapshot | None:
        """Return a snapshot of the present state; null if the strategy does not offer one."""
        strategy = None if host is None or host.error is not None else await host.snapshot()
        if strategy is None or state.cursor_ms is None:
            return None
        body = json.dumps({"state": to_text(state.snapshot()), _STRATEGY: strategy, "candles": candles_hash})
        return NewSnapshot(state.cursor_ms, body)

    async def store(self, session: Session, snapshot: NewSnapshot) -> None:
        """Store a snapshot whose ticks are in the log; if that fails, the session continues without it."""
        body_hash = _body_hash(session, snapshot.body)
        try:
            await self._database.run(
                snapshots.put, session.id, session.epoch, snapshot.cursor_ms, snapshot.body, body_hash
            )
        except SimError as error:
            _log.warning("session %s: the snapshot was not stored: %s", session.id, error.message, exc_info=True)

    async def _ensure_snapshot(self, session: Session, host: StrategyHost | None, state: ReplayState) -> int:
        """Store a snapshot of a long log that was recomputed from the start; return how many slots ago one was taken.

        A stored snapshot that is only too new to be used is kept: otherwise a session that runs in small steps would
        never get a usable one.
        """
        if session.cursor_ms is None or session.candles_hash is None or slots_done(session) < INTERVAL_SLOTS:
            return slots_done(session)
        newest = await self._database.run(snapshots.newest, session.id, session.cursor_ms)
        if newest is not None:
            return slots_done(session) - slots_at(session, newest.cursor_ms)
        snapshot = await self.take(state, host, session.candles_hash)
        if snapshot is not None:
            await self.store(session, snapshot)
        return 0

    async def _from_snapshot(
        self, stack: AsyncExitStack, session: Session, *, own_process: bool
    ) -> ResumedSession | None:
        """Resume from the newest usable snapshot; null if there is none. A snapshot that diverges is deleted."""
        stored = await self._newest(session)
        if stored is None:
            return None
        try:
            async with AsyncExitStack() as opened:
                resumed = await self._open_and_prove(opened, session, stored, own_process=own_process)
                stack.push_async_exit(opened.pop_all())
                return resumed
        except UnavailableError:
            raise
        except (SimError, InvalidSnapshotError) as error:
            _log.warning("session %s: deleted its snapshot at %d: %s", session.id, stored.cursor_ms, error)
        await self._database.run(snapshots.forget, session.id)
        return None

    async def _newest(self, session: Session) -> StoredSnapshot | None:
        """Return the newest snapshot with enough of the log after it; null if there is none."""
        if session.cursor_ms is None or slots_done(session) < min(INTERVAL_SLOTS, PROOF_SLOTS):
            return None
        to_ms = session.cursor_ms - PROOF_SLOTS * session.spec.grid.ms
        return await self._database.run(snapshots.newest, session.id, to_ms)

    async def _open_and_prove(
        self, stack: AsyncExitStack, session: Session, stored: StoredSnapshot, *, own_process: bool
    ) -> ResumedSession:
        """Open a host from a snapshot and recompute the log after it; raises `InvalidSnapshotError` or `SimError`."""
        if stored.body_hash != _body_hash(session, stored.body):
            raise InvalidSnapshotError("it is damaged, or belongs to other code or another session")
        body = json.loads(stored.body)
        state = _restored_state(session, body["state"])
        host = await stack.enter_async_context(
            self._strategies.open_host(self._database, session, own_process=own_process, snapshot=body[_STRATEGY])
        )
        used = Fingerprint(body["candles"])
        await replay(self._database, self._clock, session, state, host, ReplayStart(stored.seq, used))
        if str(used) != session.candles_hash:
            raise InvalidSnapshotError("the session has used other candles since")
        return ResumedSession(host, state, slots_done(session) - slots_at(session, stored.cursor_ms))


def _restored_state(session: Session, text: str) -> ReplayState:
    try:
        return ReplayState.restored(session.spec, from_text(text))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidSnapshotError(f"its state does not fit the session: {error}") from None


def slots_done(session: Session) -> int:
    """Return how many slots of its range a session has done."""
    return 0 if session.cursor_ms is None else slots_at(session, session.cursor_ms)


def slots_at(session: Session, cursor_ms: int) -> int:
    """Return how many slots of its range a session has done at a cursor (ms UTC)."""
    return session.spec.grid.slots(session.spec.start_ms, cursor_ms + 1)


def _body_hash(session: Session, body: str) -> str:
    """Return the hash of a snapshot, of all inputs in the session's row, and of the code."""
    spec = session.spec
    inputs = (
        str(session.id),
        *(spec.profile_slug, spec.config, settings_to_json(spec.trading)),
        *(spec.venue, spec.symbols, spec.timeframe, spec.start_ms, spec.end_ms),
        *(spec.gap_policy, spec.extra_timeframes, spec.warmup_candles),
        [ancestor.as_json() for ancestor in session.lineage],
        *(session.strategy_hash, session.warmup_hash, _code_hash()),
    )
    return sha256(f"{json.dumps(inputs)}\0{body}".encode()).hexdigest()


@cache
def _code_hash() -> str:
    """Return the hash of the code that computes a tick: the domain and the built-in strategies."""
    folders = (Path(str(package.__file__)).parent for package in (domain, strategies))
    texts = (path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.py")))
    return sha256(b"\0".join(texts)).hexdigest()
