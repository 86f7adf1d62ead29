"""Send commands to sessions from any process, and wait until they are in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from app.db import commands, runners, sessions
from app.db.commands import NewCommand, StoredCommand
from app.db.pool import Database
from app.domain.event import render
from app.domain.session import RUNNING, TRADABLE, Session
from app.domain.trading.command import resolve
from app.domain.trading.handover import NO_ACCOUNT
from app.engine.replay.command_writer import Answers
from app.engine.supervisor import Supervisor
from app.errors import BusyError, NoRunnerError, NotFoundError, SimError, WrongStatusError
from app.strategy_hosts.strategy_catalog import CANDLES_ONLY
from app.tasks import GroupedCalls

WAIT_S = 10.0
"""Seconds that a call waits for its answer; then the command is taken back."""
_FIRST_POLL_S = 0.25
_REMOTE_POLL_S = 0.02
_MAX_POLL_S = 0.5


class CommandResult(NamedTuple):
    """A command in the log: its id, the seq of its control event, and the orders it placed or changed."""

    id: int
    seq: int
    orders: list[dict[str, Any]]
    repeated: bool = False


class CommandService:
    """Puts commands into their table, those of many calls in one transaction, and hands them to the session's process.

    Without a supervisor a living server applies them.
    """

    def __init__(self, database: Database, supervisor: Supervisor | None) -> None:
        self._database = database
        self._supervisor = supervisor
        self._answers = Answers() if supervisor is None else supervisor.answers
        self._add = GroupedCalls[NewCommand, StoredCommand](lambda new: database.run(commands.add, new))

    async def run(
        self, session: Session, user_id: str, action: str, args: Mapping[str, Any], *, key: str | None = None
    ) -> CommandResult:
        """Apply a command at the session's present instant; return when it is in the log.

        A repeated call with the same `key` gets the first one's answer. Raises `BadInputError`, `WrongStatusError`,
        `NotOpenError`, `ClientOrderIdUsedError`, `KeyReusedError`, or `BusyError` with nothing done.
        """
        _require_tradable(session)
        given = {name: value for name, value in args.items() if value is not None}
        render(given)
        resolve(action, given, session.spec.broker_config)
        if self._supervisor is None and not await self._database.run(runners.any_alive):
            raise NoRunnerError()
        here = self._supervisor is not None and self._supervisor.has(session.id)
        new = NewCommand(session.id, user_id, action, given, given.get("clientOrderId"), key, notify=not here)
        stored = await self._add(new)
        known = _answer_of(stored)
        seq, answer = known or await self._wait(session, stored)
        return CommandResult(stored.id, seq, answer["orders"], known is not None)

    async def _wait(self, session: Session, stored: StoredCommand) -> tuple[int, dict[str, Any]]:
        """Wait for the answer of a command: from this process, or else from the table."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + WAIT_S
        future = self._answers.expect(stored.id)
        try:
            here = self._hand_over(session, stored)
            poll_s = _FIRST_POLL_S if here else _REMOTE_POLL_S
            while not (await asyncio.wait([future], timeout=poll_s))[0]:
                if (answer := await self._read_answer(session, stored, late=loop.time() > deadline_s)) is not None:
                    return answer
                poll_s = min(1.5 * poll_s, _MAX_POLL_S)
            return future.result()
        finally:
            self._answers.forget(stored.id)

    def _hand_over(self, session: Session, stored: StoredCommand) -> bool:
        """Hand a command to this process's runner or lease; false if another process has the session."""
        if self._supervisor is None:
            return False
        if session.status == RUNNING and not self._supervisor.has(session.id):
            return False
        self._supervisor.apply(session.id, [stored])
        return True

    async def _read_answer(
        self, session: Session, stored: StoredCommand, *, late: bool
    ) -> tuple[int, dict[str, Any]] | None:
        """Read the answer of a command from the table; refuse it if the session has ended, or if it is `late`."""
        known = (await self._database.run(commands.get, [stored.id])).get(stored.id)
        if known is None:
            raise NotFoundError("There is no such session.")
        if (answer := _answer_of(known)) is not None:
            return answer
        try:
            _require_tradable(await self._database.run(sessions.get, session.id))
            if late:
                raise BusyError("No process applied the command in time; nothing was done. Try again.")
        except SimError as error:
            if await self._database.run(commands.refuse, stored.id, error):
                raise
        return None


def _require_tradable(session: Session) -> None:
    """Raise `WrongStatusError` for a session without an account, or one that has ended."""
    if session.spec.profile_slug == CANDLES_ONLY:
        raise WrongStatusError(NO_ACCOUNT)
    if session.status not in TRADABLE:
        raise WrongStatusError(f"The session is {session.status}; it takes no orders.")


class RefusedCommandError(SimError):
    """The command was refused."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__(answer["error"], code=answer.get("code"))
        self.status = answer.get("status", 409)


def _answer_of(stored: StoredCommand) -> tuple[int, dict[str, Any]] | None:
    """Return seq and answer of an answered command; raises `RefusedCommandError` if it was refused."""
    if stored.answer is None:
        return None
    if stored.answered_seq is None:
        raise RefusedCommandError(stored.answer)
    return stored.answered_seq, stored.answer
