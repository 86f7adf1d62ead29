"""Compare two sessions: the first simulated event that differs, and their results."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from app.db import commands, sessions
from app.db.commands import CommandDifference
from app.db.log import events, stats
from app.db.log.events import Difference
from app.db.log.stats import FigureDiff
from app.db.pool import Connection
from app.domain.session import Session


class SessionDiff(NamedTuple):
    """Two sessions, the first difference of their simulated events (null: none), and their figures side by side.

    `command` is the command from outside that made the logs part; null if none did.
    """

    a: Session
    b: Session
    first_difference: Difference | None
    command: CommandDifference | None
    results: list[FigureDiff]


async def diff_sessions(connection: Connection, user_id: str, a: UUID, b: UUID) -> SessionDiff:
    """Compare two sessions of a user; raises `NotFoundError`."""
    session_a, session_b = await sessions.get(connection, a, user_id), await sessions.get(connection, b, user_id)
    first = await events.difference(connection, a, b)
    command = None
    if first is not None and (session_a.commands or session_b.commands):
        command = _cause(await commands.difference(connection, a, b), first)
    return SessionDiff(session_a, session_b, first, command, await stats.compare(connection, a, b))


def _cause(command: CommandDifference | None, first: Difference) -> CommandDifference | None:
    """Return the first different command if it stands before the first different event in one of the logs."""
    if command is None:
        return None
    pairs = (command.seq_a, first.seq_a), (command.seq_b, first.seq_b)
    before = any(seq is not None and (event_seq is None or seq < event_seq) for seq, event_seq in pairs)
    return command if before else None
