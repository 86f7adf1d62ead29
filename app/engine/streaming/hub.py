"""Fan-out: a NOTIFY hint becomes one page read, shared by all clients at that position."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Self
from uuid import UUID

from app.clock import TimedEvent
from app.db import sessions
from app.db.log import events
from app.db.log.events import Frames, SentEvent, StreamPosition
from app.db.pool import Database
from app.engine.streaming.page_reader import PageReader, PageResult
from app.errors import LogShorterError, UnavailableError

_SHARED_PAGES = 4
_SHARED_BYTES = 1 << 16
_RETRY_S = 0.2
"""Seconds until the next try to check the logs while the database is unavailable."""


class Hub:
    """All sessions with a tail in this process."""

    def __init__(self, database: Database, *, poll_s: float = 5) -> None:
        self._database = database
        self._reader = PageReader(database)
        self._poll_s = poll_s
        self._sessions: dict[UUID, FollowedSession] = {}
        self._suspected = TimedEvent()
        database.on_other_server(self.suspect)

    @property
    def pages_waiting(self) -> int:
        """How many pages streams wait for."""
        return len(self._reader)

    def on_notify(self, payload: str) -> None:
        """Handle a notification of `sim_events`: lines `session:last_seq`; `*` or anything else means all sessions.

        A last seq of 0 means that the session was deleted.
        """
        try:
            hints = [_hint(line) for line in payload.splitlines()]
        except ValueError:
            self.wake_all()
            return
        for session_id, last_seq in hints:
            followed = self._sessions.get(session_id)
            if followed is not None:
                followed.wake(last_seq or math.inf)

    def wake_all(self) -> None:
        """Let every tail read again; hints may have been lost."""
        for followed in self._sessions.values():
            followed.wake()

    def suspect(self) -> None:
        """Send nothing until it is checked that the logs still have what was sent: the database may be another one."""
        for followed in self._sessions.values():
            followed.suspect()
        self._suspected.set()

    async def poll(self) -> None:
        """Check for events whose hint was lost, every `poll_s` until cancelled; and for logs that are shorter."""
        while True:
            if await self._suspected.wait(self._poll_s):
                await self._check_suspected()
                continue
            seen = {session_id: followed.seen_seq for session_id, followed in self._sessions.items()}
            if seen:
                await self._wake_outdated(seen)

    async def _check_suspected(self) -> None:
        tails = [tail for followed in self._sessions.values() for tail in followed.tails if tail.sent is not None]
        self._suspected.clear()
        try:
            heads = await self._database.run(events.rewritten, [tail.sent for tail in tails if tail.sent])
        except UnavailableError:
            self._suspected.set()
            await asyncio.sleep(_RETRY_S)
            return
        if not self._suspected.is_set():
            for tail, head in zip(tails, heads, strict=True):
                tail.release(head)

    async def _wake_outdated(self, seen: dict[UUID, int]) -> None:
        try:
            heads = await self._database.run(sessions.heads, list(seen))
        except UnavailableError:
            return
        for session_id, seen_seq in seen.items():
            head = heads.get(session_id)
            followed = self._sessions.get(session_id)
            if followed is not None and (head is None or head[0] != seen_seq or head[1]):
                followed.wake()

    def tail(
        self, session_id: UUID, after_seq: int, types: Sequence[str] | None = None, *, dialect: str = "sim"
    ) -> Tail:
        """Follow a session after a seq in a dialect, optionally only some types; use it as a context manager."""
        return Tail(self, StreamPosition(session_id, after_seq, None if types is None else tuple(types), dialect))

    def _join(self, tail: Tail) -> FollowedSession:
        followed = self._sessions.get(tail.session_id)
        if followed is None:
            followed = self._sessions[tail.session_id] = FollowedSession(self._reader)
        followed.tails.add(tail)
        return followed

    def _leave(self, tail: Tail, followed: FollowedSession) -> None:
        followed.tails.discard(tail)
        if not followed.tails and self._sessions.get(tail.session_id) is followed:
            del self._sessions[tail.session_id]


@dataclass(slots=True)
class _PendingPage:
    """A page that is being read: the tails that wait for it, and the last hinted seq since the request.

    If it is `outdated`, it may be from a server that is no longer the database's.
    """

    tails: list[Tail] = field(default_factory=list)
    hinted_seq: float = 0
    outdated: bool = False


class FollowedSession:
    """One session in this process: its tails, the pages being read, and the recent pages."""

    def __init__(self, reader: PageReader) -> None:
        self._reader = reader
        self._recent: OrderedDict[StreamPosition, Frames] = OrderedDict()
        self._pending: dict[StreamPosition, _PendingPage] = {}
        self.tails: set[Tail] = set()
        self.seen_seq = 0

    def wake(self, last_seq: float = math.inf) -> None:
        """Wake the tails that have not reached the last seq of a hint."""
        for pending in self._pending.values():
            pending.hinted_seq = max(pending.hinted_seq, last_seq)
        for tail in self.tails:
            tail.hint(last_seq)

    def suspect(self) -> None:
        """Forget the pages, and hold the tails that have sent something."""
        self._recent.clear()
        for pending in self._pending.values():
            pending.outdated = True
        for tail in self.tails:
            tail.hold()

    def recent_page(self, position: StreamPosition) -> Frames | None:
        """Return a recent page; it is valid as long as the server of the database is the same."""
        return self._recent.get(position)

    def request(self, position: StreamPosition, tail: Tail) -> None:
        """Request a page for `tail`; it is read once for all tails that wait for it."""
        pending = self._pending.get(position)
        if pending is None:
            pending = self._pending[position] = _PendingPage()
            self._reader.read(position, partial(self._deliver, position))
        pending.tails.append(tail)

    def _deliver(self, position: StreamPosition, result: PageResult) -> None:
        """Deliver a page to the tails that wait for it; remember it if it has events and is small."""
        pending = self._pending.pop(position)
        if pending.outdated:
            for tail in pending.tails:
                tail.read_again()
            return
        if isinstance(result, Frames) and result.last_seq is not None:
            self.seen_seq = max(self.seen_seq, result.last_seq)
            if len(result.body) <= _SHARED_BYTES:
                self._remember(position, result)
        for tail in pending.tails:
            tail.deliver(result, pending.hinted_seq)

    def _remember(self, position: StreamPosition, page: Frames) -> None:
        self._recent[position] = page
        if len(self._recent) > _SHARED_PAGES:
            self._recent.popitem(last=False)


def _hint(line: str) -> tuple[UUID, int]:
    session_id, _, last_seq = line.partition(":")
    return UUID(session_id), int(last_seq)


class Tail:
    """One reader of one session: backlog and new events come from the same loop, so none is lost in between.

    `wake` is set when there is a page to take or a reason to read one. Only a read that starts after a hint clears
    the hint: a hint that arrives during a read causes another read, so no commit is missed.
    """

    def __init__(self, hub: Hub, position: StreamPosition) -> None:
        self.session_id = position.session_id
        self.wake = TimedEvent()
        self._position = position
        self._hub = hub
        self._followed: FollowedSession | None = None
        self._requested = False
        self._delivered: PageResult | None = None
        self._hinted_seq = math.inf
        self._written_at: datetime | None = None
        self._held = False
        self._shorter: LogShorterError | None = None

    @property
    def sent(self) -> SentEvent | None:
        """The last event that was read, if this tail is held until it is checked."""
        if not self._held or self._written_at is None:
            return None
        return SentEvent(self.session_id, self.after_seq, self._written_at)

    @property
    def after_seq(self) -> int:
        """The last seq that was read."""
        return self._position.after_seq

    @property
    def may_have_more(self) -> bool:
        """Whether there is, or may be, more to read."""
        return self._requested or self._delivered is not None or self._hinted_seq > self.after_seq

    def __enter__(self) -> Self:
        self._followed = self._hub._join(self)
        self.wake.set()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._followed is not None
        self._hub._leave(self, self._followed)

    async def next(self, timeout_s: float) -> Frames | None:
        """Return the next page that has events or the end of the session; null after `timeout_s`.

        Raises `UnavailableError` while the database is unavailable; a later call continues where this one stopped.
        Raises `LogShorterError` if the log lacks events that were read before.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_s
        while (page := self.take()) is None:
            if not await self.wake.wait(until_s - loop.time()):
                return None
        return page

    def take(self, *, ahead: bool = False) -> Frames | None:
        """Like `next`, without waiting: null means that there is nothing until `wake` is set.

        With `ahead` the next page of a backlog is read while the caller works on this one.
        """
        assert self._followed is not None
        self.wake.clear()
        if self._shorter is not None:
            raise self._shorter
        if self._held:
            return None
        result, self._delivered = self._delivered or self._followed.recent_page(self._position), None
        if result is not None:
            return self._advance(result, ahead=ahead)
        if not self._requested and self._hinted_seq > self.after_seq:
            self._request(self._followed)
        return None

    def hold(self) -> None:
        """Give no page until `release`, and read again what was read last."""
        self._delivered = None
        self._hinted_seq = math.inf
        self._held = self._written_at is not None
        self.wake.set()

    def release(self, shorter_head: int | None) -> None:
        """Give pages again; or, if the log was shorter than what was sent, raise an error with its last seq."""
        self._held = False
        self._shorter = None if shorter_head is None else LogShorterError(shorter_head)
        self.wake.set()

    def read_again(self) -> None:
        """Request the page again: the one that was requested may be outdated."""
        self._requested = False
        self._hinted_seq = math.inf
        self.wake.set()

    def hint(self, last_seq: float) -> None:
        """Store the last seq of the log according to a notification."""
        if last_seq > self.after_seq:
            self._hinted_seq = max(self._hinted_seq, last_seq)
            if not self._requested:
                self.wake.set()

    def deliver(self, result: PageResult, hinted_seq: float) -> None:
        """Store the requested page, and the last hinted seq since the request."""
        self._requested = False
        self._hinted_seq = max(self._hinted_seq, hinted_seq)
        self._delivered = result
        self.wake.set()

    def _advance(self, result: PageResult, *, ahead: bool) -> Frames:
        assert self._followed is not None
        if isinstance(result, Exception):
            self._hinted_seq = math.inf
            self.wake.set()
            raise result
        if result.head is not None and result.head < self.after_seq:
            raise LogShorterError(result.head)
        if result.last_seq is not None:
            self._written_at = result.written_at
            self._position = self._position._replace(after_seq=result.last_seq)
            if result.last_seq != result.head:
                self._hinted_seq = math.inf
                if ahead and self._followed.recent_page(self._position) is None:
                    self._request(self._followed)
        if self._hinted_seq > self.after_seq:
            self.wake.set()
        return result

    def _request(self, followed: FollowedSession) -> None:
        self._requested = True
        self._hinted_seq = 0
        followed.request(self._position, self)
