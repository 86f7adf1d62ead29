"""What a command works with: the settings, the database, and sessions without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from app.cli import output
from app.db import embedded
from app.db.location import DatabaseLocation, installed_location
from app.db.pool import Database
from app.engine.clock import Clock
from app.engine.session_service import SessionService
from app.settings import Settings, load

T = TypeVar("T")

_CONNECTIONS = 2


@dataclass(frozen=True)
class Context:
    """One command at work."""

    settings: Settings
    place: DatabaseLocation
    database: Database
    sim: SessionService

    @property
    def user(self) -> str:
        """The user the command acts for."""
        return self.settings.user


@contextmanager
def locate(settings: Settings) -> Iterator[DatabaseLocation]:
    """Like `installed_location`, but print a note before a Postgres is set up: the wanted one may be elsewhere."""
    if settings.database_url is None and not embedded.made(settings.data_dir):
        output.note(
            f"There is no Postgres under {settings.data_dir.expanduser().resolve()} yet; one is set up."
            " DATABASE_URL or ZEON_DATA_DIR names another."
        )
    with installed_location(settings) as place:
        yield place


def run(work: Callable[[Context], Awaitable[T]], settings: Settings | None = None) -> T:
    """Do the work of a command on the database the settings name, installed when it is empty or older."""
    settings = settings or load()
    with locate(settings) as place:
        return asyncio.run(on_place(settings, place, work))


async def on_place(settings: Settings, place: DatabaseLocation, work: Callable[[Context], Awaitable[T]]) -> T:
    """Do the work of a command on a database."""
    database = Database(place.url, size=_CONNECTIONS, application_name="zeon cli")
    await database.open()
    sim = SessionService(database, settings, Clock())
    try:
        return await work(Context(settings, place, database, sim))
    finally:
        await sim.strategies.close()
        await database.close()
