"""Server-sent events: one client follows one session."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from starlette.types import Message, Receive, Scope, Send

from app.clock import Clock, TimedEvent
from app.db.log.events import Frames
from app.domain.session import ENDED, Session
from app.engine.streaming.hub import Hub, Tail
from app.errors import LogShorterError, TooManyRequestsError, UnavailableError
from app.settings import Settings
from app.web.http.dialect import Dialect
from app.web.http.validity import IsStillValid, may_continue

PREAMBLE = b"retry: 1000\n: zeon sim\n"
"""The start of the first block; with a blank line after it many client libraries would see an empty message."""
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]
_RETRY_S = 0.5
_END_S = 0.5


class SlowClientError(Exception):
    """The client did not read for too long."""


class StreamCounts(Protocol):
    """How many streams each user has in the other workers of this server, and what these are told."""

    def others(self, user: str) -> int:
        """Return how many streams a user has open in other workers."""

    def put(self, user: str, count: int) -> None:
        """Record how many streams a user has open in this process."""


class NoOtherWorkers:
    """There is only this process."""

    def others(self, user: str) -> int:
        """Return 0."""
        return 0

    def put(self, user: str, count: int) -> None:
        """Tell nobody."""


class Streams:
    """All open streams of this process: it limits their number and ends them together."""

    def __init__(self, limit: int, user_limit: int, counts: StreamCounts | None = None) -> None:
        self._limit = limit
        self._counts = counts or NoOtherWorkers()
        self._user_limit = user_limit
        self._open: set[asyncio.Task[None]] = set()
        self._users: Counter[str] = Counter()
        self._closing = False
        self.opened = 0
        self.sent_bytes = 0

    def __len__(self) -> int:
        return len(self._open)

    def require_capacity(self, user_id: str) -> None:
        """Raise `TooManyRequestsError` if no more streams may be opened, by anybody or by a user."""
        if self._closing:
            raise UnavailableError("The server is shutting down.")
        if len(self._open) >= self._limit:
            raise _too_many(f"At most {self._limit} streams may be open at once.")
        if self._users[user_id] + self._counts.others(user_id) >= self._user_limit:
            raise _too_many(f"At most {self._user_limit} streams may be open at once for one user; close one.")

    def add(self, task: asyncio.Task[None], user_id: str) -> None:
        """Count a user's stream until its task is done."""
        self._open.add(task)
        self._users[user_id] += 1
        self._counts.put(user_id, self._users[user_id])
        self.opened += 1
        task.add_done_callback(partial(self._done, user_id))

    def _done(self, user_id: str, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        self._users[user_id] -= 1
        self._counts.put(user_id, self._users[user_id])
        if not self._users[user_id]:
            del self._users[user_id]

    @property
    def closing(self) -> bool:
        """Whether the server stops."""
        return self._closing

    def close(self) -> None:
        """End every stream, and refuse new ones."""
        self._closing = True
        for task in self._open:
            task.cancel()


def _too_many(message: str) -> TooManyRequestsError:
    return TooManyRequestsError(message, code="too_many_streams")


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a client follows: a session, as it was at the start of the stream, after a seq in a dialect.

    `holder` is whose budget of streams it counts for. `types` are the requested types of events, null for all that the
    dialect shows.
    """

    holder: str
    session: Session
    after_seq: int
    dialect: Dialect
    types: Sequence[str] | None = None


class EventStream:
    """The response: backlog, live events and heartbeats, until the log ends, the client leaves or the server stops."""

    def __init__(
        self,
        subscription: Subscription,
        is_still_valid: IsStillValid,
        *,
        hub: Hub,
        streams: Streams,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._subscription = subscription
        self._is_still_valid = is_still_valid
        self._hub = hub
        self._streams = streams
        self._clock = clock
        self._heartbeat_s = settings.heartbeat_ms / 1000
        self._write_timeout_s = settings.write_timeout_ms / 1000
        self._heartbeat_due = TimedEvent()
        self._caught_up = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; HEAD gets the headers only."""
        start: Message = {"type": "http.response.start", "status": 200, "headers": HEADERS}
        if scope["method"] == "HEAD":
            await send(start)
            await send({"type": "http.response.body"})
            return
        self._paused: Callable[[], bool] = scope["state"]["paused"]
        sender = asyncio.create_task(self._send_all(send, start))
        self._streams.add(sender, self._subscription.holder)
        watcher = asyncio.create_task(_until_disconnected(receive))
        try:
            await asyncio.wait((sender, watcher), return_when=asyncio.FIRST_COMPLETED)
        finally:
            disconnected = watcher.done()
            for task in (sender, watcher):
                task.cancel()
            result = (await asyncio.gather(sender, watcher, return_exceptions=True))[0]
        if isinstance(result, Exception) and not isinstance(result, SlowClientError):
            raise result
        if isinstance(result, SlowClientError) or not (disconnected or await _send_end(send)):
            scope["state"]["abort"]()

    async def _send_all(self, send: Send, start: Message) -> None:
        session, dialect = self._subscription.session, self._subscription.dialect
        after_seq, types = self._subscription.after_seq, self._subscription.types
        with self._hub.tail(session.id, after_seq, types, dialect=dialect.name) as tail:
            await send(start)
            await self._write(send, PREAMBLE + dialect.opening(session) + self._caught_up_message(tail))
            self._schedule_heartbeat(tail)
            try:
                await self._send_pages(tail, send)
            except LogShorterError as error:
                await self._write(send, self._line("log_shorter", "lastSeq", error.last_seq))
            finally:
                self._timer.cancel()

    async def _send_pages(self, tail: Tail, send: Send) -> None:
        """Send pages and heartbeats until the session has ended or the caller is no longer valid."""
        while True:
            page = await self._next_page(tail)
            heartbeat = self._heartbeat()
            body = (page.body if page else b"") + self._caught_up_message(tail) + heartbeat
            if body:
                await self._write(send, body)
            if (page and _is_over(page, tail)) or (heartbeat and not await self._allowed()):
                return

    async def _next_page(self, tail: Tail) -> Frames | None:
        """Return the next page, or null if a heartbeat is due; without the database there are only heartbeats."""
        try:
            while (page := tail.take(ahead=True)) is None and not self._heartbeat_due.is_set():
                await tail.wake.wait()
        except UnavailableError:
            await self._heartbeat_due.wait(_RETRY_S)
            return None
        return page

    async def _write(self, send: Send, body: bytes) -> None:
        """Send bytes; raises `SlowClientError` if the client does not read them in time."""
        message: Message = {"type": "http.response.body", "body": body, "more_body": True}
        if self._paused():
            try:
                async with asyncio.timeout(self._write_timeout_s):
                    await send(message)
            except TimeoutError:
                raise SlowClientError from None
        else:
            await send(message)  # No timer here: it would take longer than sending.
        self._streams.sent_bytes += len(body)

    def _schedule_heartbeat(self, tail: Tail) -> None:
        """Wake the stream when the next heartbeat is due, with one timer for all pages until then."""
        self._timer = asyncio.get_running_loop().call_later(self._heartbeat_s, self._wake_for_heartbeat, tail)

    def _wake_for_heartbeat(self, tail: Tail) -> None:
        self._heartbeat_due.set()
        tail.wake.set()
        self._schedule_heartbeat(tail)

    def _caught_up_message(self, tail: Tail) -> bytes:
        """Return, once, the message that all events up to the last seq at the start have been sent."""
        last_seq = self._subscription.session.last_seq
        if not self._subscription.dialect.says_caught_up or self._caught_up or tail.after_seq < last_seq:
            return b""
        self._caught_up = True
        return self._line("caught_up", "lastSeq", last_seq)

    def _heartbeat(self) -> bytes:
        """Return a heartbeat when one is due."""
        if not self._heartbeat_due.is_set():
            return b""
        self._heartbeat_due.clear()
        return self._line("heartbeat", "ts", self._clock.now_ms())

    def _line(self, kind: str, name: str, value: int) -> bytes:
        """Return a control frame, with a name if the dialect has them; the one of a shorter log always has one."""
        message = {"type": kind, "sessionId": str(self._subscription.session.id), name: value}
        named = self._subscription.dialect.names_control_frames or kind == "log_shorter"
        event = f"event: {kind}\n" if named else ""
        return f"{event}data: {json.dumps(message, separators=(',', ':'))}\n\n".encode()

    async def _allowed(self) -> bool:
        """Whether the caller may continue; yes while the database does not answer."""
        return await may_continue(self._is_still_valid, self._heartbeat_s / 2)


def _is_over(page: Frames, tail: Tail) -> bool:
    """Whether a session was deleted, or has ended and its whole log was read."""
    if page.status is None or page.head is None:
        return True
    return page.status in ENDED and tail.after_seq >= page.head and not tail.may_have_more


async def _send_end(send: Send) -> bool:
    """End the response; false if the client does not read even that."""
    try:
        async with asyncio.timeout(_END_S):
            await send({"type": "http.response.body"})
    except TimeoutError:
        return False
    return True


async def _until_disconnected(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
