"""Wake and tail: turns hints into reads, and one read into the bytes of every client that is at the same place."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self
from uuid import UUID

from app.db import sessions
from app.db.events import Frames, StreamPosition
from app.db.pool import Database
from app.engine.clock import wait
from app.engine.streaming.page_reader import PageReader, PageResult
from app.errors import UnavailableError

_SHARED_PAGES = 4
_SHARED_BYTES = 1 << 16


class Hub:
    """Every session that somebody in this process follows."""

    def __init__(self, database: Database, *, poll_s: float = 5) -> None:
        self._database = database
        self._reader = PageReader(database)
        self._poll_s = poll_s
        self._feeds: dict[UUID, Feed] = {}

    def heard(self, payload: str) -> None:
        """Take in a notification of `sim_events`: lines `session:last_seq`; `*` and whatever else mean everybody.

        A last seq of 0 says that the session is gone.
        """
        try:
            hints = [_hint(line) for line in payload.splitlines()]
        except ValueError:
            self.wake_all()
            return
        for session_id, last_seq in hints:
            feed = self._feeds.get(session_id)
            if feed is not None:
                feed.wake(last_seq or math.inf)

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
        except UnavailableError:
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
        return Tail(self, StreamPosition(session_id, after_seq, None if types is None else tuple(types), market))

    def _join(self, tail: Tail) -> Feed:
        feed = self._feeds.get(tail.session_id)
        if feed is None:
            feed = self._feeds[tail.session_id] = Feed(self._reader)
        feed.tails.add(tail)
        return feed

    def _leave(self, tail: Tail, feed: Feed) -> None:
        feed.tails.discard(tail)
        if not feed.tails and self._feeds.get(tail.session_id) is feed:
            del self._feeds[tail.session_id]


@dataclass(slots=True)
class _Coming:
    """A page on its way: who waits for it, and how far the log goes by the hints since."""

    tails: list[Tail] = field(default_factory=list)
    hinted: float = 0


class Feed:
    """One session in this process: who follows it, and the pages read lately."""

    def __init__(self, reader: PageReader) -> None:
        self._reader = reader
        self._kept: OrderedDict[StreamPosition, Frames] = OrderedDict()
        self._coming: dict[StreamPosition, _Coming] = {}
        self.tails: set[Tail] = set()
        self.seen_seq = 0

    def wake(self, last_seq: float = math.inf) -> None:
        """Let the tails look again that are not yet as far as the hint says the log goes."""
        for coming in self._coming.values():
            coming.hinted = max(coming.hinted, last_seq)
        for tail in self.tails:
            tail.hint(last_seq)

    def kept(self, place: StreamPosition) -> Frames | None:
        """Return a page read lately: what it found stays true."""
        return self._kept.get(place)

    def ask(self, place: StreamPosition, tail: Tail) -> None:
        """Have a page given to `tail`, read once for everybody who waits for it."""
        coming = self._coming.get(place)
        if coming is None:
            coming = self._coming[place] = _Coming()
            self._reader.read(place, partial(self._give, place))
        coming.tails.append(tail)

    def _give(self, place: StreamPosition, found: PageResult) -> None:
        """Hand a page to those who wait for it, and keep it when it found events and is small."""
        if isinstance(found, Frames) and found.last_seq is not None:
            self.seen_seq = max(self.seen_seq, found.last_seq)
            if len(found.body) <= _SHARED_BYTES:
                self._keep(place, found)
        coming = self._coming.pop(place)
        for tail in coming.tails:
            tail.give(found, coming.hinted)

    def _keep(self, place: StreamPosition, page: Frames) -> None:
        self._kept[place] = page
        if len(self._kept) > _SHARED_PAGES:
            self._kept.popitem(last=False)


def _hint(line: str) -> tuple[UUID, int]:
    session_id, _, last_seq = line.partition(":")
    return UUID(session_id), int(last_seq)


class Tail:
    """One follower of one session: backlog and live are the same loop, so there is no seam between them.

    `flag` is set when there is something to take or to look for. A hint is forgotten only for a read that begins
    after it: one that comes while a page is on its way makes for another look, so no commit is overlooked.
    """

    def __init__(self, hub: Hub, place: StreamPosition) -> None:
        self.session_id = place.session_id
        self.flag = asyncio.Event()
        self._place = place
        self._hub = hub
        self._feed: Feed | None = None
        self._asked = False
        self._given: PageResult | None = None
        self._hinted = math.inf

    @property
    def after_seq(self) -> int:
        """How far it has read."""
        return self._place.after_seq

    @property
    def behind(self) -> bool:
        """Whether there is, or may be, more to read, whatever else the flag was set for."""
        return self._asked or self._given is not None or self._hinted > self.after_seq

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

        Raises `UnavailableError` while the database is away; asking again goes on where this left off.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        while (page := self.take()) is None:
            if not await wait(self.flag, until - loop.time()):
                return None
        return page

    def take(self, *, ahead: bool = False) -> Frames | None:
        """Do what `next` does without waiting: null when the flag is to be waited for.

        With `ahead` the next page of a backlog is read while the caller deals with this one.
        """
        assert self._feed is not None
        self.flag.clear()
        found, self._given = self._given or self._feed.kept(self._place), None
        if found is not None:
            return self._taken(found, ahead=ahead)
        if not self._asked and self._hinted > self.after_seq:
            self._ask(self._feed)
        return None

    def hint(self, last_seq: float) -> None:
        """Hear how far the log goes, as somebody says."""
        if last_seq > self.after_seq:
            self._hinted = max(self._hinted, last_seq)
            if not self._asked:
                self.flag.set()

    def give(self, found: PageResult, hinted: float) -> None:
        """Take in the page that was asked for, and how far the log goes by the hints since it began to be read."""
        self._asked = False
        self._hinted = max(self._hinted, hinted)
        self._given = found
        self.flag.set()

    def _taken(self, found: PageResult, *, ahead: bool) -> Frames:
        assert self._feed is not None
        if isinstance(found, Exception):
            self._hinted = math.inf
            self.flag.set()
            raise found
        if found.last_seq is not None:
            self._place = self._place._replace(after_seq=found.last_seq)
            if found.last_seq != found.head:
                self._hinted = math.inf
                if ahead and self._feed.kept(self._place) is None:
                    self._ask(self._feed)
        if self._hinted > self.after_seq:
            self.flag.set()
        return found

    def _ask(self, feed: Feed) -> None:
        self._asked = True
        self._hinted = 0
        feed.ask(self._place, self)
