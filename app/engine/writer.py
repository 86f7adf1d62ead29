"""Group commit: whatever ticks of all sessions are due go to Postgres in one call and one transaction."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import get_args

from app.db.pool import Database, DataError
from app.db.ticks import Tick, append_ticks
from app.errors import SimError, UnavailableError

MAX_TICKS = 250
MAX_EVENTS = 1000

_REFUSED = get_args(DataError)
_BUSY_PAUSE_S = 0.02
_PORTION = 20
"""Ticks computed in one round of the event loop; more would keep everything else waiting."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _BatchItem:
    """Ticks of one session on their way, and who waits for what becomes of them."""

    ticks: list[Tick]
    unpaced: bool
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def events(self) -> int:
        return sum(tick.events for tick in self.ticks)


_Outcome = tuple[_BatchItem, list[str] | SimError]
"""A parcel and what became of each of its ticks, or why Postgres refused it."""


class SessionLostError(Exception):
    """The session is no longer this runner's: paused, stopped, taken over or gone."""


class Writer:
    """The one way of this process into the log; each session has at most one parcel under way."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._paced: deque[_BatchItem] = deque()
        self._unpaced: deque[_BatchItem] = deque()
        self._turns: deque[asyncio.Future[None]] = deque()
        self._admitting = False
        self._crowded = False
        self._wake = asyncio.Event()

    @property
    def crowded(self) -> bool:
        """Whether the batch under way holds paced ticks: those who are not should keep the next one short."""
        return self._crowded

    def append(self, ticks: Iterable[Tick], *, unpaced: bool = False) -> asyncio.Future[None]:
        """Hand over the next ticks of a session; the future ends when all are in the log.

        It raises `SessionLostError` when the log refused one because the session is not this runner's any more, or a
        `SimError` when Postgres refused the data. A lost connection or a held row is waited out.
        """
        parcel = _BatchItem(list(ticks), unpaced)
        (self._unpaced if unpaced else self._paced).append(parcel)
        self._wake.set()
        return parcel.done

    async def turn(self) -> None:
        """Wait until a paced tick may be computed: of many due at once a few at a time, one batch ahead of Postgres."""
        if self._turns or len(self._paced) >= _PORTION:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._turns.append(turn)
            self._go_on_admitting()
            await turn

    async def run(self) -> None:
        """Write until cancelled: each batch is on its way before the last one's runners go on."""
        written: list[_Outcome] = []
        while True:
            batch = self._collect()
            work = asyncio.ensure_future(self._write(batch) if batch else self._idle())
            for parcel, outcome in written:
                self._judge(parcel, outcome)
            self._go_on_admitting()
            written = await work

    async def _idle(self) -> list[_Outcome]:
        await self._wake.wait()
        self._wake.clear()
        return []

    def _go_on_admitting(self) -> None:
        if self._turns and not self._admitting:
            self._admitting = True
            asyncio.get_running_loop().call_soon(self._admit)

    def _admit(self) -> None:
        """Let a few compute, and in the loop's next round a few more, while the next batch has room."""
        room = MAX_TICKS - len(self._paced)
        for _ in range(min(_PORTION, room, len(self._turns))):
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
        self._admitting = False
        if room > 0:
            self._go_on_admitting()

    def _collect(self) -> list[_BatchItem]:
        """Take the next batch: at most `MAX_TICKS` and `MAX_EVENTS`, of which unpaced ones get half at most."""
        batch: list[_BatchItem] = []
        ticks, events_ = _fill(batch, self._paced, MAX_TICKS, MAX_EVENTS)
        self._crowded = ticks > 0
        share = 2 if batch else 1
        _fill(
            batch,
            self._unpaced,
            min(MAX_TICKS // share, MAX_TICKS - ticks),
            min(MAX_EVENTS // share, MAX_EVENTS - events_),
        )
        return batch

    async def _write(self, batch: Sequence[_BatchItem]) -> list[_Outcome]:
        """Write a batch; one that fails for its data is halved until the offender stands alone."""
        try:
            outcomes = iter(await self._insist([tick for parcel in batch for tick in parcel.ticks]))
        except _REFUSED as error:
            if len(batch) == 1:
                reason = str(error).partition("\n")[0]
                return [(batch[0], SimError(f"Postgres refused the tick: {reason}"))]
            middle = len(batch) // 2
            return await self._write(batch[:middle]) + await self._write(batch[middle:])
        return [(parcel, [next(outcomes) for _ in parcel.ticks]) for parcel in batch]

    async def _insist(self, ticks: Sequence[Tick]) -> list[str]:
        """Send ticks until an answer comes; what an unknown commit had written already answers `done`."""
        pause_s = 0.05
        while True:
            try:
                return await self._database.run(append_ticks, ticks)
            except UnavailableError:
                _log.warning("the database is away, %d ticks wait", len(ticks))
                await asyncio.sleep(pause_s)
                pause_s = min(1, 2 * pause_s)

    def _judge(self, parcel: _BatchItem, outcome: list[str] | SimError) -> None:
        if isinstance(outcome, SimError):
            _settle(parcel, outcome)
        elif "refused" in outcome:
            _settle(parcel, SessionLostError())
        elif "busy" in outcome:
            parcel.ticks = [tick for tick, each in zip(parcel.ticks, outcome, strict=True) if each == "busy"]
            asyncio.get_running_loop().call_later(_BUSY_PAUSE_S, self._again, parcel)
        else:
            _settle(parcel, None)

    def _again(self, parcel: _BatchItem) -> None:
        (self._unpaced if parcel.unpaced else self._paced).append(parcel)
        self._wake.set()


def _fill(batch: list[_BatchItem], queue: deque[_BatchItem], ticks: int, events_: int) -> tuple[int, int]:
    """Move parcels from a queue to a batch up to both limits, but at least one; returns the sums."""
    taken_ticks = taken_events = 0
    while queue:
        parcel_ticks, parcel_events = len(queue[0].ticks), queue[0].events
        over = taken_ticks + parcel_ticks > ticks or taken_events + parcel_events > events_
        if over and taken_ticks:
            break
        batch.append(queue.popleft())
        taken_ticks += parcel_ticks
        taken_events += parcel_events
    return taken_ticks, taken_events


def _settle(parcel: _BatchItem, error: Exception | None) -> None:
    if parcel.done.done():
        return
    if error is None:
        parcel.done.set_result(None)
    else:
        parcel.done.set_exception(error)
