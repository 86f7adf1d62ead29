"""What commands need: the settings, a database, and the session service without a server."""

from __future__ import annotations

import asyncio
import getpass
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from app.cli import output
from app.clock import Clock
from app.db import audit, sessions
from app.db.audit import AuditOrigin
from app.db.pool import Database
from app.db.setup import embedded
from app.db.setup.location import DatabaseLocation, existing_location, installed_location
from app.engine.session_service import SessionService
from app.errors import BadInputError, NotFoundError
from app.settings import Settings, load

T = TypeVar("T")

_CONNECTIONS = 2
ID_DIGITS = 32


@dataclass(frozen=True)
class Context:
    """The settings, database and services that a command works with."""

    settings: Settings
    location: DatabaseLocation
    database: Database
    sim: SessionService

    @property
    def user(self) -> str:
        """The user the command acts for."""
        return self.settings.user

    async def session_id(self, digits: str) -> UUID:
        """Return the id of a session of the user from its first or last digits; raises `NotFoundError`.

        Raises `BadInputError` when several sessions have them.
        """
        if len(digits) == ID_DIGITS:
            return UUID(digits)
        ids = await self.database.run(sessions.ids_with_digits, self.user, digits)
        if not ids:
            raise NotFoundError(f"There is no session whose id starts or ends with {digits}.")
        if len(ids) > 1:
            raise BadInputError(f"{digits} matches several ids: {', '.join(map(str, ids))}. Give more digits.")
        return ids[0]

    async def record(self, action: audit.Action, subject: object, details: Mapping[str, Any] | None = None) -> None:
        """Record in the audit trail what the command did."""
        await self.database.run(audit.record, audit_origin(), self.user, action, subject, details)

    def recording(self, action: audit.Action) -> audit.Recording:
        """Return what adds the entry of an action in the transaction of the action."""
        return audit.recording(audit_origin(), self.user, action)


def audit_origin() -> AuditOrigin:
    """Return where a command is run, for the audit trail: the system's user and the name of the machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # A container's user may have no name.
        user = "unknown"
    return AuditOrigin("command", f"{user}@{socket.gethostname()}")


@contextmanager
def locate(settings: Settings, *, set_up: bool = False) -> Iterator[DatabaseLocation]:
    """Yield the database's location; with `set_up` install a missing database, else raise `NoDatabaseError`.

    It prints a note before it sets up a Postgres, because the user may have meant another one.
    """
    if not set_up:
        with existing_location(settings) as location:
            yield location
        return
    if settings.database_url is None and not embedded.exists(settings.data_dir):
        output.note(
            f"There is no Postgres under {settings.data_dir.expanduser().resolve()} yet; setting one up."
            " To use another one, set DATABASE_URL or ZEON_DATA_DIR."
        )
    with installed_location(settings) as location:
        yield location


def run(work: Callable[[Context], Awaitable[T]], settings: Settings | None = None, *, set_up: bool = False) -> T:
    """Run the work of a command on the database that the settings name; for `set_up` see `locate`."""
    settings = settings or load()
    with locate(settings, set_up=set_up) as location:
        return asyncio.run(run_on(settings, location, work))


async def run_on(settings: Settings, location: DatabaseLocation, work: Callable[[Context], Awaitable[T]]) -> T:
    """Run the work of a command on a database."""
    database = Database(location.url, size=_CONNECTIONS, application_name="zeon cli")
    await database.open()
    sim = SessionService(database, settings, Clock())
    try:
        return await work(Context(settings, location, database, sim))
    finally:
        await sim.strategies.close()
        await database.close()
