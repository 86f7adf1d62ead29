"""What sessions lack, fetched from the source of their venue: the range up to now first, then candle by candle."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from uuid import UUID

from app.candles import fetch
from app.candles.aggregate import build_missing
from app.candles.fetch import fetch_candles
from app.candles.follow import Follower
from app.candles.sources import VenueSource
from app.db.pool import ConnectionPool, Database
from app.domain.session import Session, SessionSpec
from app.engine.clock import Clock
from app.engine.tasks import cancel_and_wait
from app.errors import SimError, UnavailableError

FETCHES = 4
"""How many series a process fetches at the same time; each takes a connection."""

Key = tuple[str, str, str]
"""Venue, symbol and timeframe."""

_log = logging.getLogger(__name__)


class FetchJob:
    """What one session needs of its source, and how far that has come."""

    def __init__(self, spec: SessionSpec, from_ms: int, to_ms: int) -> None:
        self.from_ms = from_ms
        self.to_ms = to_ms
        self.error: SimError | None = None
        self.ended = asyncio.Event()
        self.woken: Callable[[], None] = lambda: None
        self._length_ms = spec.grid.ms
        self._reach = dict.fromkeys(spec.symbols, from_ms)
        self._left = dict.fromkeys(spec.symbols, 0)
        self._total = dict.fromkeys(spec.symbols, 0)

    @property
    def reach_ms(self) -> int:
        """Up to where, exclusive, the source was asked for all symbols: before that, what is not there is missing."""
        return min(self._reach.values())

    @property
    def fetching(self) -> tuple[int, int] | None:
        """Slots fetched and slots to fetch in all; null when the range is there."""
        if self.ended.is_set():
            return None
        total = sum(self._total.values())
        return (total - sum(self._left.values())) // self._length_ms, total // self._length_ms

    def came(self, symbol: str, done: int, total: int) -> None:
        """Note how many ms of a symbol's missing ranges have been fetched."""
        self._total[symbol], self._left[symbol] = total, total - done

    def reached(self, symbol: str, up_to_ms: int) -> None:
        """Note up to where the source was asked for a symbol, and wake who waits for it."""
        self._left[symbol] = 0
        if up_to_ms > self._reach[symbol]:
            self._reach[symbol] = up_to_ms
            self.woken()

    def fail(self, error: SimError) -> None:
        """Note that nothing more will come."""
        self.error = error
        self.ended.set()
        self.woken()


class CandleFeed:
    """All that one process fetches for its sessions; a series is followed once, however many sessions it has."""

    def __init__(self, database: Database, chosen: Mapping[str, VenueSource], clock: Clock) -> None:
        self._database = database
        self._chosen = chosen
        self._clock = clock
        self._asking = _Asking(clock)
        self._lines = ConnectionPool(database.url, size=FETCHES)
        self._orders: dict[UUID, tuple[FetchJob, asyncio.Task[None]]] = {}
        self._followed: dict[Key, tuple[set[FetchJob], asyncio.Task[None]]] = {}

    def order(self, session: Session) -> FetchJob | None:
        """Return what is fetched for a session, begun unless it is under way; null for a venue without a source."""
        if session.spec.venue not in self._chosen:
            return None
        known = self._orders.get(session.id)
        if known is not None and known[0].error is None:
            return known[0]
        spec = session.spec
        from_ms = spec.warmup_ms if session.cursor_ms is None else session.cursor_ms + 1
        now_ms = spec.grid.floor(self._clock.now_ms())
        to_ms = now_ms if spec.end_ms is None else min(now_ms, spec.end_ms)
        order = FetchJob(spec, spec.grid.ceil(from_ms), to_ms)
        self._orders[session.id] = order, asyncio.create_task(self._fill(order, spec))
        return order

    def fetching(self, session_id: UUID) -> tuple[int, int] | None:
        """Return slots fetched and slots to fetch for a session; null when nothing is under way."""
        order, _ = self._orders.get(session_id, (None, None))
        return order.fetching if order is not None else None

    def release(self, session_id: UUID) -> None:
        """Stop fetching for a session."""
        order, task = self._orders.pop(session_id, (None, None))
        if order is None or task is None:
            return
        task.cancel()
        for key, (orders, following) in list(self._followed.items()):
            orders.discard(order)
            if not orders:
                following.cancel()
                del self._followed[key]

    async def close(self) -> None:
        """Stop fetching."""
        tasks = [task for _, task in (*self._orders.values(), *self._followed.values())]
        for session_id in list(self._orders):
            self.release(session_id)
        await cancel_and_wait(tasks)
        await self._lines.close()

    async def _fill(self, order: FetchJob, spec: SessionSpec) -> None:
        """Fetch the range of a session up to now, all symbols at once, then follow what is still to come."""
        try:
            await asyncio.gather(*(self._fetch(order, spec, symbol) for symbol in spec.symbols))
        except SimError as error:
            order.fail(error)
            return
        except Exception as error:
            _log.exception("fetching failed")
            order.fail(SimError(f"The source of candles failed: {type(error).__name__}."))
            return
        order.ended.set()
        if spec.end_ms is None or spec.end_ms > order.to_ms:
            for symbol in spec.symbols:
                self._follow(order, (spec.venue, symbol, spec.timeframe))

    async def _fetch(self, order: FetchJob, spec: SessionSpec, symbol: str) -> None:
        """Build what can be built of one symbol's range and fetch the rest, however long the database is away."""
        key = (spec.venue, symbol, spec.timeframe)
        while order.from_ms < order.to_ms:
            try:
                await self._database.run(build_missing, *key, order.from_ms, order.to_ms)
                async with self._lines.lend() as conn:
                    await fetch_candles(
                        conn,
                        self._chosen[spec.venue],
                        *key,
                        order.from_ms,
                        order.to_ms,
                        lambda done, total: order.came(symbol, done, total),
                        clock=self._asking,
                        reached=lambda up_to_ms: order.reached(symbol, up_to_ms),
                    )
                break
            except UnavailableError:
                await asyncio.sleep(1)
        order.reached(symbol, order.to_ms)

    def _follow(self, order: FetchJob, key: Key) -> None:
        if key not in self._followed:
            orders: set[FetchJob] = set()
            self._followed[key] = orders, asyncio.create_task(self._followed_by(orders, key))
        self._followed[key][0].add(order)

    async def _followed_by(self, orders: set[FetchJob], key: Key) -> None:
        """Keep one series current for some sessions until cancelled."""

        def asked(symbol: str, up_to_ms: int) -> None:
            for order in orders:
                order.reached(symbol, up_to_ms)

        venue, symbol, timeframe = key
        follower = Follower(
            self._lines.lend, self._chosen[venue], venue, timeframe, told=_tell, asked=asked, clock=self._asking
        )
        with suppress(asyncio.CancelledError):
            try:
                await follower.follow([symbol])
            except SimError as error:
                for order in orders:
                    order.fail(error)


class _Asking(fetch.FetchClock):
    """The engine's clock, as fetching wants it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now_ms(self) -> int:
        """Return the engine's wall clock."""
        return self._clock.now_ms()


def _tell(symbol: str, sentence: str) -> None:
    _log.warning("%s: %s", symbol, sentence)
