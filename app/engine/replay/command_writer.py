"""Apply commands to a session of this process: the broker takes each, the log gets it, its sender the answer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from app.db import commands
from app.db.commands import StoredCommand
from app.db.log.chunks import Chunk, events_to_json
from app.db.pool import Database
from app.domain import event
from app.domain.event import Event
from app.domain.session import Session
from app.domain.tick import ReplayState
from app.domain.trading.command import changed_orders, resolve
from app.domain.trading.handover import NO_ACCOUNT
from app.engine.replay.writer import CommandLostError, SessionLostError, Writer
from app.errors import NotFoundError, NotOpenError, SimError, UnavailableError, WrongStatusError
from app.strategy_hosts.strategy_host import StrategyHost, run_command

_RETRY_S = 0.5
_MAX_DONE = 10_000
_log = logging.getLogger(__name__)

Answer = tuple[int, dict[str, Any]]
"""The seq of a command's control event, and its answer."""


class WrittenCommand(NamedTuple):
    """A command in the log: the log's last seq then, and whether the session paused with it."""

    last_seq: int
    paused: bool


class CommandQueue:
    """Commands of one session that wait in the process that holds it, oldest first.

    A command may come twice: from the call that sent it, and from the table. It is applied once.
    """

    def __init__(self) -> None:
        self._waiting: deque[StoredCommand] = deque()
        self._known: dict[int, None] = {}
        self.unread = False
        """Whether the table may have commands that are not here."""

    def __bool__(self) -> bool:
        return self.unread or bool(self._waiting)

    def put(self, new: Iterable[StoredCommand]) -> None:
        """Add commands that are not known yet."""
        for command in new:
            if command.id not in self._known:
                self._known[command.id] = None
                self._waiting.append(command)
        while len(self._known) > _MAX_DONE + len(self._waiting):
            del self._known[next(iter(self._known))]

    async def next(self, database: Database, session_id: UUID) -> StoredCommand | None:
        """Return the next command, read from the table if there may be more; null if there is none."""
        if self.unread:
            self.unread = False
            self.put(await database.run(commands.waiting, session_id))
        return self._waiting.popleft() if self._waiting else None

    def forget(self, command: StoredCommand) -> None:
        """Let a command that was not applied come again from the table."""
        self._known.pop(command.id, None)
        self.unread = True


class Answers:
    """The calls of this process that wait for the answers of their commands."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[Answer]] = {}

    def expect(self, command_id: int) -> asyncio.Future[Answer]:
        """Return the future of a command's answer; it raises the error of a refusal."""
        if command_id not in self._waiting:
            self._waiting[command_id] = asyncio.get_running_loop().create_future()
            self._waiting[command_id].add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._waiting[command_id]

    def forget(self, command_id: int) -> None:
        """Remove a command whose caller has its answer."""
        self._waiting.pop(command_id, None)

    def give(self, command_id: int, result: Answer | SimError) -> None:
        """Answer a command if a call of this process waits for it."""
        future = self._waiting.get(command_id)
        if future is None or future.done():
            return
        if isinstance(result, SimError):
            future.set_exception(result)
        else:
            future.set_result(result)


class CommandWriter:
    """Applies commands; each is one append with its control event, what follows from it, and the answer."""

    def __init__(self, database: Database, writer: Writer, answers: Answers) -> None:
        self._database = database
        self._writer = writer
        self._answers = answers

    async def write(
        self,
        session: Session,
        state: ReplayState,
        host: StrategyHost | None,
        stored: StoredCommand,
        until_type: str | None = None,
    ) -> WrittenCommand | None:
        """Apply one command at the end of the log; return null if it was refused.

        With `until_type` the session pauses if the command gives an event of that type. A refused command changes
        nothing. Raises `CommandLostError` if another process has the session, and what the strategy host raises.
        """
        try:
            events = await self._run(session, state, host, stored)
        except UnavailableError:
            raise
        except SimError as error:
            await self.refuse(stored, error)
            return None
        answer = {"orders": changed_orders(events[1:])}
        pause = until_type is not None and any(event.type == until_type for event in events)
        chunk = _chunk(session, state, stored, events, event.render(answer), "runUntil" if pause else None)
        try:
            outcome = await self._writer.append(chunk)
        except SessionLostError:
            raise CommandLostError from None
        if outcome.answer == "written":
            self._answers.give(stored.id, (outcome.last_seq - len(events) + 1, answer))
        return WrittenCommand(outcome.last_seq, pause)

    async def _run(
        self, session: Session, state: ReplayState, host: StrategyHost | None, stored: StoredCommand
    ) -> list[Event]:
        """Return the control event of a command and what follows from it; an error leaves the state as it was."""
        if host is None:
            raise WrongStatusError(NO_ACCOUNT)
        last_ms = session.spec.last_slot_ms
        if last_ms is not None and (state.cursor_ms or session.spec.first_slot_ms - 1) >= last_ms:
            raise WrongStatusError("The range of the session is over: no candle follows that could fill an order.")
        command = resolve(stored.action, stored.args, session.spec.broker_config)
        control = event.command(
            state.command_ts, command.action, command.args, stored.user_id, state.commands + 1, state.cursor_ms
        )
        try:
            return [control, *await run_command(state, host, command)]
        except NotOpenError:
            raise await self._not_open(stored) from None

    async def _not_open(self, stored: StoredCommand) -> SimError:
        """Return why an order cannot be cancelled, from the log."""
        order_id = int(stored.args["orderId"])
        rows = await self._database.run(commands.orders, stored.session_id, after_id=order_id - 1, limit=1)
        if not rows or rows[0].order_id != order_id:
            return NotFoundError(f"There is no order {order_id} in this session.")
        return NotOpenError(f"Order {order_id} is {rows[0].status}; it cannot be cancelled.")

    async def refuse(self, stored: StoredCommand, error: SimError) -> None:
        """Answer a command with an error; retries while the database is unavailable."""
        while True:
            try:
                if await self._database.run(commands.refuse, stored.id, error):
                    self._answers.give(stored.id, error)
                return
            except UnavailableError:
                await asyncio.sleep(_RETRY_S)


def _chunk(
    session: Session, state: ReplayState, stored: StoredCommand, events: Sequence[Event], answer: str, pause: str | None
) -> Chunk:
    return Chunk(
        str(session.id),
        session.epoch,
        state.cursor_ms,
        state.cursor_ms,
        events_to_json(events),
        len(events),
        pause,
        ticks=0,
        commands=state.commands,
        command=stored.id,
        answer=answer,
    )
