"""`zeon tail`: follow a session's log directly in the database, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated
from uuid import UUID

import typer

from app.cli import output
from app.cli.options import Json, SessionId, as_usage, without_none
from app.cli.report.failure import location_lines
from app.cli.run import Context, run
from app.cli.sessions import event_view
from app.clock import Clock
from app.db.listen import Listener
from app.db.log.events import Frames
from app.domain.session import ENDED
from app.engine.streaming.hub import Hub, Tail
from app.errors import NotFoundError, UnavailableError
from app.web.http.parsing import parse
from app.web.sim.requests import FromQuery

FromSeq = Annotated[int, typer.Option("--from-seq", metavar="SEQ", min=0, help="First event to print.")]
Types = Annotated[
    str | None, typer.Option(metavar="TYPE,TYPE", help="Print only these types: candle, status, gap, control, note ...")
]
Follow = Annotated[bool, typer.Option("--follow/--no-follow", help="Wait for new events, or end after the last event.")]

_RETRY_S = 0.5
_QUIET_S, _SILENT_S = 2, 30
"""Seconds without an event before the session is asked what it waits for: the first time, and again."""


def tail(
    session_id: SessionId, from_seq: FromSeq = 0, types: Types = None, follow: Follow = True, json: Json = False
) -> None:
    """Print a session's log and follow it until the session ends; with --json one JSON event per line."""
    with as_usage():
        query = parse(FromQuery, without_none(fromSeq=str(from_seq), types=types))
    format_event = event_view.as_json if json else event_view.line

    async def work(context: Context) -> None:
        session = await context.sim.get(context.user, await context.session_id(session_id))
        after_seq = await context.sim.tail_from(session, query.from_seq, None, query.types)
        async with _hub(context) as hub:
            with hub.tail(session.id, after_seq, query.types) as reading:
                async for frames in _pages(reading, _WaitingNotice(context, session.id), follow=follow):
                    for event in event_view.events(frames):
                        output.line(format_event(event))
        with suppress(NotFoundError):  # Its session was deleted.
            ended = await context.sim.get(context.user, session.id)
            for line in location_lines(ended.error_details) if ended.error is not None else ():
                output.note(line)

    try:
        run(work)
    except KeyboardInterrupt:
        raise typer.Exit from None


class _WaitingNotice:
    """Prints to stderr, once, which candle the session waits for."""

    def __init__(self, context: Context, session_id: UUID) -> None:
        self._context = context
        self._session_id = session_id
        self._printed: str | None = None

    async def print_once(self) -> None:
        """Print which overdue candle the session waits for, unless that was printed before."""
        session = await self._context.sim.show(self._context.user, self._session_id)
        waiting = session.waiting
        if waiting is not None and waiting.due_ms <= Clock().now_ms() and waiting.text != self._printed:
            self._printed = waiting.text
            output.note(waiting.text)


async def _pages(reading: Tail, notice: _WaitingNotice, *, follow: bool) -> AsyncIterator[Frames]:
    """Yield pages of the log until the session has ended, or without `follow` until the last event."""
    timeout_s = _QUIET_S
    while True:
        try:
            frames = await reading.next(timeout_s)
            if frames is None:
                await notice.print_once()
        except UnavailableError:
            await asyncio.sleep(_RETRY_S)
            continue
        timeout_s = _SILENT_S if frames is None else _QUIET_S
        if frames is not None:
            yield frames
            if _has_ended(frames, reading, follow=follow):
                return


def _has_ended(frames: Frames, reading: Tail, *, follow: bool) -> bool:
    if frames.status is None or frames.head is None:
        return True
    return reading.after_seq >= frames.head and (not follow or frames.status in ENDED)


@asynccontextmanager
async def _hub(context: Context) -> AsyncIterator[Hub]:
    """Listen for notifications as a server does."""
    poll_s = context.settings.poll_ms / 1000
    hub = Hub(context.database, poll_s=poll_s)

    async def on_connect() -> None:
        hub.wake_all()

    def on_notify(channel: str, payload: str) -> None:
        if channel == "sim_events":
            hub.on_notify(payload)

    listener = Listener(context.location.listen_url, on_notify=on_notify, on_connect=on_connect, idle_s=poll_s)
    tasks = [asyncio.create_task(work) for work in (listener.run(), hub.poll())]
    try:
        yield hub
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
