"""Wake and tail: turns hints into reads, and one read into the bytes of every client that is at the same place."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

from app.db import events, sessions
from app.db.events import Frames
from app.db.pool import Database
from app.engine.clock import Clock
from app.errors import Unavailable

_SHARED_PAGES = 4
_SHARED_BYTES = 1 << 16

Key = tuple[int, tuple[str, ...] | None, bool]


class Hub:
    """Every session that somebody in this process follows."""

    def __init__(self, database: Database, clock: Clock, *, poll_s: float = 5) -> None:
        self._database = database
        self._clock = clock
        self._poll_s = poll_s
        self._feeds: dict[UUID, Feed] = {}

    def heard(self, payload: str) -> None:
        """Take in a notification of `sim_events`: lines `session:last_seq`; `*` and whatever else mean everybody."""
        try:
            hints = [_hint(line) for line in payload.splitlines()]
        except ValueError:
            self.wake_all()
            return
        for session_id, last_seq in hints:
            feed = self._feeds.get(session_id)
            if feed is not None:
                feed.wake(last_seq)

    def wake_all(self) -> None:
        """Let everybody look again; hints may have been lost."""
        for feed in self._feeds.values():
            feed.wake()

    async def poll(self) -> None:
        """Look for missed hints until cancelled: the floor under every tail when notifications fail."""
        while True:
            await asyncio.sleep(self._poll_s)
            followed = {session_id: feed.seen_seq for session_id, feed in self._feeds.items()}
            if followed:
                await self._wake_behind(followed)

    async def _wake_behind(self, followed: dict[UUID, int]) -> None:
        try:
            heads = await self._database.run(sessions.heads, list(followed))
        except Unavailable:
            return
        for session_id, seen_seq in followed.items():
            head = heads.get(session_id)
            feed = self._feeds.get(session_id)
            if feed is not None and (head is None or head[0] > seen_seq or head[1]):
                feed.wake()

    def tail(
        self, session_id: UUID, after_seq: int, types: Sequence[str] | None = None, *, market: bool = False
    ) -> Tail:
        """Follow a session behind a seq, some types only or in the market dialect; use it as a context manager."""
        return Tail(self, session_id, after_seq, None if types is None else tuple(types), market=market)

    def _join(self, tail: Tail) -> Feed:
        feed = self._feeds.get(tail.session_id)
        if feed is None:
            feed = self._feeds[tail.session_id] = Feed(self._database, tail.session_id)
        feed.flags.add(tail.flag)
        return feed

    def _leave(self, tail: Tail, feed: Feed) -> None:
        feed.flags.discard(tail.flag)
        if not feed.flags and self._feeds.get(tail.session_id) is feed:
            del self._feeds[tail.session_id]


class Feed:
    """One session in this process: who waits for it, and the pages read lately."""

    def __init__(self, database: Database, session_id: UUID) -> None:
        self._database = database
        self._session_id = session_id
        self._version = 0
        self._pages: OrderedDict[Key, tuple[int, asyncio.Task[Frames]]] = OrderedDict()
        self.flags: set[asyncio.Event] = set()
        self.seen_seq = 0

    def wake(self, last_seq: int | None = None) -> None:
        """Let every tail look again; `last_seq` is a hint of how far the log goes."""
        self._version += 1
        if last_seq is not None:
            self.seen_seq = max(self.seen_seq, last_seq)
        for flag in self.flags:
            flag.set()

    async def read(self, key: Key) -> tuple[Frames, bool]:
        """Read the page behind a seq, once for everybody who asks for the same one; tells also if it is fresh.

        A page under way is joined only if it was asked for after the last hint: an older one may have looked
        before the commit the hint spoke of. A page that found events stays true, but is not fresh after a hint.
        """
        version, task = self._pages.get(key, (-1, None))
        if task is None or (version != self._version and not _found_events(task)):
            version = self._version
            task = asyncio.ensure_future(self._database.run(events.frames, self._session_id, *key))
            self._pages[key] = (version, task)
            task.add_done_callback(lambda done: self._keep(key, done))
        frames = await asyncio.shield(task)
        self.seen_seq = max(self.seen_seq, frames.last_seq or 0)
        return frames, version == self._version

    def _keep(self, key: Key, task: asyncio.Task[Frames]) -> None:
        """Keep a page that found events, when it is small and among the latest."""
        if self._pages.get(key, (0, None))[1] is task and not (
            _found_events(task) and len(task.result().body) <= _SHARED_BYTES
        ):
            del self._pages[key]
        while len(self._pages) > _SHARED_PAGES:
            self._pages.popitem(last=False)


def _hint(line: str) -> tuple[UUID, int]:
    session_id, _, last_seq = line.partition(":")
    return UUID(session_id), int(last_seq)


def _found_events(task: asyncio.Task[Frames]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None and task.result().last_seq is not None


class Tail:
    """One follower of one session: backlog and live are the same loop, so there is no seam between them.

    The flag is cleared before each read and the read begins after that, so a commit is either in the page or has
    set the flag again.
    """

    def __init__(
        self, hub: Hub, session_id: UUID, after_seq: int, types: tuple[str, ...] | None, *, market: bool
    ) -> None:
        self.session_id = session_id
        self.after_seq = after_seq
        self.flag = asyncio.Event()
        self._hub = hub
        self._types = types
        self._market = market
        self._feed: Feed | None = None

    def __enter__(self) -> Self:
        self._feed = self._hub._join(self)
        self.flag.set()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._feed is not None
        self._hub._leave(self, self._feed)

    async def next(self, timeout_s: float) -> Frames | None:
        """Return the next page that moves on or tells of an ended session; null when `timeout_s` passed first.

        Raises `Unavailable` while the database is away; asking again goes on where this left off.
        """
        assert self._feed is not None
        if not await self._hub._clock.wait(self.flag, timeout_s):
            return None
        self.flag.clear()
        try:
            frames, fresh = await self._feed.read((self.after_seq, self._types, self._market))
        except (Unavailable, asyncio.CancelledError):
            self.flag.set()  # What the hint spoke of has not been read yet.
            raise
        if frames.last_seq is not None:
            self.after_seq = frames.last_seq
            if not fresh or frames.last_seq != frames.head:
                self.flag.set()  # There is, or may be, more behind the page.
        return frames
