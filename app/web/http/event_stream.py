"""Server-sent events: one client following one session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from starlette.types import Message, Receive, Scope, Send

from app.clock import Clock, TimedEvent
from app.db.events import Frames
from app.domain.session import ENDED
from app.engine.streaming.hub import Hub, Tail
from app.errors import TooManyRequestsError, UnavailableError
from app.settings import Settings

PREAMBLE = b"retry: 1000\n: zeon sim\n\n"
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]
_RETRY_S = 0.5
_END_S = 0.5


class SlowClientError(Exception):
    """The client did not read for too long."""


class Streams:
    """All open streams of this process: how many there may be, and their common end."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[asyncio.Task[None]] = set()
        self._closing = False
        self.opened = 0
        self.sent_bytes = 0

    def __len__(self) -> int:
        return len(self._open)

    def require_room(self) -> None:
        """Raise `TooManyRequestsError` when no more streams may be opened."""
        if self._closing:
            raise UnavailableError("The server is shutting down.")
        if len(self._open) >= self._most:
            raise TooManyRequestsError(f"At most {self._most} streams may be open at once.")

    def add(self, task: asyncio.Task[None]) -> None:
        """Count a stream in until it is done."""
        self._open.add(task)
        self.opened += 1
        task.add_done_callback(self._open.discard)

    def close(self) -> None:
        """End every stream; none begins any more."""
        self._closing = True
        for task in self._open:
            task.cancel()


@dataclass(frozen=True, slots=True)
class Follow:
    """What a client follows: a session behind a seq, of some types, and the session's last seq at the beginning.

    In the market dialect the stream begins with `opening` and does not tell when it has caught up.
    """

    session_id: UUID
    after_seq: int
    types: Sequence[str] | None
    last_seq: int
    market: bool = False
    opening: bytes = b""


class EventStream:
    """The response: backlog, live events and heartbeats until the log ends, the client goes or the server stops."""

    def __init__(
        self,
        follow: Follow,
        still_allowed: Callable[[], Awaitable[bool]],
        *,
        hub: Hub,
        streams: Streams,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._follow = follow
        self._still_allowed = still_allowed
        self._hub = hub
        self._streams = streams
        self._clock = clock
        self._heartbeat_s = settings.heartbeat_ms / 1000
        self._write_timeout_s = settings.write_timeout_ms / 1000
        self._beat_due = TimedEvent()
        self._caught_up = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; HEAD gets the headers only."""
        start: Message = {"type": "http.response.start", "status": 200, "headers": HEADERS}
        if scope["method"] == "HEAD":
            await send(start)
            await send({"type": "http.response.body"})
            return
        self._paused: Callable[[], bool] = scope["state"]["paused"]
        pump = asyncio.create_task(self._pump(send, start))
        self._streams.add(pump)
        watch = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait((pump, watch), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone = watch.done()
            for task in (pump, watch):
                task.cancel()
            ended = (await asyncio.gather(pump, watch, return_exceptions=True))[0]
        if isinstance(ended, Exception) and not isinstance(ended, SlowClientError):
            raise ended
        if isinstance(ended, SlowClientError) or not (gone or await _finished(send)):
            scope["state"]["abort"]()

    async def _pump(self, send: Send, start: Message) -> None:
        follow = self._follow
        with self._hub.tail(follow.session_id, follow.after_seq, follow.types, market=follow.market) as tail:
            await send(start)
            await self._write(send, PREAMBLE + follow.opening + self._news(tail))
            self._arm(tail)
            try:
                await self._relay(tail, send)
            finally:
                self._timer.cancel()

    async def _relay(self, tail: Tail, send: Send) -> None:
        """Send pages and heartbeats until nothing more comes."""
        while True:
            page = await self._page(tail)
            beat = self._beat()
            body = (page.body if page else b"") + self._news(tail) + beat
            if body:
                await self._write(send, body)
            if (page and _over(page, tail)) or (beat and not await self._allowed()):
                return

    async def _page(self, tail: Tail) -> Frames | None:
        """Return the next page, or null when a heartbeat is due; without the database there are only heartbeats."""
        try:
            while (page := tail.take(ahead=True)) is None and not self._beat_due.is_set():
                await tail.wake.wait()
        except UnavailableError:
            await self._beat_due.wait(_RETRY_S)
            return None
        return page

    async def _write(self, send: Send, body: bytes) -> None:
        """Send bytes; raises `SlowClientError` when the client does not take them in time."""
        message: Message = {"type": "http.response.body", "body": body, "more_body": True}
        if self._paused():
            try:
                async with asyncio.timeout(self._write_timeout_s):
                    await send(message)
            except TimeoutError:
                raise SlowClientError from None
        else:
            await send(message)  # Takes no time, so a timer would be the larger part of it.
        self._streams.sent_bytes += len(body)

    def _arm(self, tail: Tail) -> None:
        """Wake the stream when the next heartbeat is due: one timer, however many pages come before."""
        self._timer = asyncio.get_running_loop().call_later(self._heartbeat_s, self._ring, tail)

    def _ring(self, tail: Tail) -> None:
        self._beat_due.set()
        tail.wake.set()
        self._arm(tail)

    def _news(self, tail: Tail) -> bytes:
        """Return the line that says, once, that everything there was at the beginning has been sent."""
        if self._follow.market or self._caught_up or tail.after_seq < self._follow.last_seq:
            return b""
        self._caught_up = True
        return self._line("caught_up", "lastSeq", self._follow.last_seq)

    def _beat(self) -> bytes:
        """Return a heartbeat when one is due."""
        if not self._beat_due.is_set():
            return b""
        self._beat_due.clear()
        return self._line("heartbeat", "ts", self._clock.now_ms())

    def _line(self, kind: str, name: str, value: int) -> bytes:
        message = {"type": kind, "sessionId": str(self._follow.session_id), name: value}
        return f"data: {json.dumps(message, separators=(',', ':'))}\n\n".encode()

    async def _allowed(self) -> bool:
        """Whether the caller may go on; while the database cannot tell, yes."""
        try:
            async with asyncio.timeout(self._heartbeat_s / 2):
                return await self._still_allowed()
        except (TimeoutError, UnavailableError):
            return True


def _over(page: Frames, tail: Tail) -> bool:
    """Whether a session is gone, or has ended and everything of it was read."""
    if page.status is None or page.head is None:
        return True
    return page.status in ENDED and tail.after_seq >= page.head and not tail.may_have_more


async def _finished(send: Send) -> bool:
    """End the response properly; false when the client does not even take that."""
    try:
        async with asyncio.timeout(_END_S):
            await send({"type": "http.response.body"})
    except TimeoutError:
        return False
    return True


async def _disconnected(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
