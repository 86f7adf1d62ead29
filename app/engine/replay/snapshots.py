"""Long sessions resume from a snapshot: a cache of their state, held against the log and dropped at the least doubt."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from app import domain, strategies
from app.db import snapshots
from app.db.pool import Database
from app.db.snapshots import StoredSnapshot
from app.domain.lineage import settings_to_json
from app.domain.market.fingerprint import Fingerprint
from app.domain.session import Session
from app.domain.snapshot import InvalidSnapshotError, from_text, to_text
from app.domain.tick import ReplayState
from app.engine.clock import Clock
from app.engine.replay.rebuild import Start, rebuild, replay
from app.engine.strategy_catalog import StrategyCatalog
from app.errors import SimError, UnavailableError
from app.strategy_hosts.strategy_host import StrategyHost

TICKS = 5_000
"""Ticks between two snapshots; so many are computed again in some 0.07 s."""
PROOF = 500
"""So many slots at least lie behind a snapshot that is used: they show that it leads to the log."""

_log = logging.getLogger(__name__)


class TakenSnapshot(NamedTuple):
    """A snapshot on its way to the database, once the ticks up to its cursor (ms UTC) are in the log."""

    cursor_ms: int
    body: str


class ResumedState(NamedTuple):
    """A session behind the last tick of its log, and how many slots ago its newest snapshot was taken."""

    desk: StrategyHost | None
    state: ReplayState
    since: int


class Snapshots:
    """Takes the snapshots of sessions, and opens desks from them."""

    def __init__(self, database: Database, clock: Clock, strategies: StrategyCatalog) -> None:
        self._database = database
        self._clock = clock
        self._strategies = strategies

    @asynccontextmanager
    async def resumed(self, session: Session, *, alone: bool = False) -> AsyncIterator[ResumedState]:
        """Open a session's desk and bring it, and the state, behind the last tick of the log.

        Computes again what lies behind a snapshot, or the whole log; raises `DivergedError` when that leads elsewhere.
        """
        async with AsyncExitStack() as opened:
            found = await self._from_snapshot(opened, session, alone=alone)
            if found is None:
                desk = await opened.enter_async_context(self._strategies.desk(self._database, session, alone=alone))
                state = await rebuild(self._database, self._clock, session, desk)
                found = ResumedState(desk, state, await self._kept_again(session, desk, state))
            yield found

    async def take(self, state: ReplayState, desk: StrategyHost | None, candles_hash: str) -> TakenSnapshot | None:
        """Return a snapshot of a session as it is computed; null when its strategy offers none."""
        kept = None if desk is None or desk.fault is not None else await desk.snapshot()
        if kept is None or state.cursor_ms is None:
            return None
        body = json.dumps({"state": to_text(state.snapshot()), "desk": kept, "candles": candles_hash})
        return TakenSnapshot(state.cursor_ms, body)

    async def put(self, session: Session, taken: TakenSnapshot) -> None:
        """Keep a snapshot whose ticks are in the log; a cache that cannot be written is done without."""
        marked = _mark(session, taken.body)
        try:
            await self._database.run(snapshots.put, session.id, session.epoch, taken.cursor_ms, taken.body, marked)
        except SimError as error:
            _log.warning("session %s: no snapshot was kept: %s", session.id, error.message, exc_info=True)

    async def _kept_again(self, session: Session, desk: StrategyHost | None, state: ReplayState) -> int:
        """Keep a snapshot of a long log that had to be computed as a whole; returns how many slots ago one was taken.

        One that is only too young to be used stays, or a session that goes on in small steps would never have any.
        """
        if session.cursor_ms is None or session.candles_hash is None or _ticks(session) < TICKS:
            return _ticks(session)
        young = await self._database.run(snapshots.newest, session.id, session.cursor_ms)
        if young is not None:
            return _ticks(session) - _slots(session, young.cursor_ms)
        taken = await self.take(state, desk, session.candles_hash)
        if taken is not None:
            await self.put(session, taken)
        return 0

    async def _from_snapshot(self, opened: AsyncExitStack, session: Session, *, alone: bool) -> ResumedState | None:
        kept = await self._newest(session)
        if kept is None:
            return None
        try:
            async with AsyncExitStack() as own:
                found = await self._proved(own, session, kept, alone=alone)
                opened.push_async_exit(own.pop_all())
                return found
        except UnavailableError:
            raise
        except (SimError, InvalidSnapshotError) as error:
            _log.warning("session %s: its snapshot at %d is dropped: %s", session.id, kept.cursor_ms, error)
        await self._database.run(snapshots.forget, session.id)
        return None

    async def _newest(self, session: Session) -> StoredSnapshot | None:
        """Return the newest snapshot that enough of the log lies behind; null for none."""
        if session.cursor_ms is None or _ticks(session) < min(TICKS, PROOF):
            return None
        to_ms = session.cursor_ms - PROOF * session.spec.grid.ms
        return await self._database.run(snapshots.newest, session.id, to_ms)

    async def _proved(
        self, own: AsyncExitStack, session: Session, kept: StoredSnapshot, *, alone: bool
    ) -> ResumedState:
        """Open a host from a snapshot and compute what follows it; raises `InvalidSnapshotError` or `SimError`."""
        if kept.body_hash != _mark(session, kept.body):
            raise InvalidSnapshotError("it is damaged, or of other code or another session")
        body = json.loads(kept.body)
        state = _restored(session, body["state"])
        desk = await own.enter_async_context(
            self._strategies.desk(self._database, session, alone=alone, kept=body["desk"])
        )
        used = Fingerprint(body["candles"])
        await replay(self._database, self._clock, session, state, desk, Start(kept.seq, used))
        if str(used) != session.candles_hash:
            raise InvalidSnapshotError("the session has used other candles since")
        return ResumedState(desk, state, _ticks(session) - _slots(session, kept.cursor_ms))


def _restored(session: Session, text: str) -> ReplayState:
    try:
        return ReplayState.restored(session.spec, from_text(text))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidSnapshotError(f"its state is of another kind: {error}") from None


def _ticks(session: Session) -> int:
    """Return how many slots of its range a session has done."""
    return 0 if session.cursor_ms is None else _slots(session, session.cursor_ms)


def _slots(session: Session, cursor_ms: int) -> int:
    return session.spec.grid.slots(session.spec.start_ms, cursor_ms + 1)


def _mark(session: Session, body: str) -> str:
    """Return the hash of a body, all that led to it by the session's row, and the code that computes it."""
    spec = session.spec
    inputs = (
        str(session.id),
        *(spec.profile_slug, spec.config, settings_to_json(spec.trading)),
        *(spec.venue, spec.symbols, spec.timeframe, spec.start_ms, spec.end_ms),
        *(spec.gap_policy, spec.extra_timeframes, spec.warmup_candles),
        [ancestor.as_json() for ancestor in session.lineage],
        *(session.strategy_hash, session.warmup_hash, _code()),
    )
    return sha256(f"{json.dumps(inputs)}\0{body}".encode()).hexdigest()


@cache
def _code() -> str:
    """Return the hash of what computes a tick: the domain and the built-in strategies."""
    folders = (Path(str(package.__file__)).parent for package in (domain, strategies))
    texts = (path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.py")))
    return sha256(b"\0".join(texts)).hexdigest()
