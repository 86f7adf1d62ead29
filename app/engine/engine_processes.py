"""Engine processes of one command: together they run a list of sessions, each as fast as it goes."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.context import SpawnProcess
from typing import NamedTuple, Protocol
from uuid import UUID

import uvloop

from app.db.pool import Database
from app.domain.session import CREATED, PAUSED, RUNNING
from app.engine import garbage_collection
from app.engine.clock import Clock
from app.engine.session_service import Action, SessionService
from app.engine.supervisor import Supervisor
from app.errors import SimError
from app.settings import Settings

_AT_ONCE = 4
"""Sessions of a process at a time: while one waits for Postgres another computes."""
_LOOK_S = 0.05
_log = logging.getLogger(__name__)


class SharedNumber(Protocol):
    """An integer that processes share, with its lock."""

    value: int

    def get_lock(self) -> multiprocessing.synchronize.RLock:
        """Return the lock that guards it."""


class Work(NamedTuple):
    """What the processes are told: where the database is, whose sessions they run, and which."""

    url: str
    listen_url: str
    settings: Settings
    user: str
    ids: Sequence[UUID]


@contextmanager
def start_engines(work: Work, count: int) -> Iterator[list[SpawnProcess]]:
    """Run engine processes that share a list of sessions; at the end of the block they pause what still runs."""
    spawn = multiprocessing.get_context("spawn")
    taken = spawn.Value("q", 0)
    processes = [spawn.Process(target=_process, args=(work, taken)) for _ in range(count)]
    try:
        for process in processes:
            process.start()
        yield processes
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
        for process in processes:
            process.join()


def _process(work: Work, taken: SharedNumber) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends its processes.
    garbage_collection.tune_gc()
    with suppress(asyncio.CancelledError), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_engine(work, taken))


async def _engine(work: Work, taken: SharedNumber) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    name = f"sweep:{os.getpid()}"
    settings = work.settings.model_copy(update={"runner": name, "on_orphan": "pause"})
    clock = Clock()
    database = Database(work.url, size=4, application_name="zeon sweep")
    await database.open()
    supervisor = Supervisor(database, settings, listen_url=work.listen_url, clock=clock, alone=True)
    try:
        await supervisor.open()
        sim = SessionService(database, settings, clock, supervisor)
        async with asyncio.TaskGroup() as lanes:
            for _ in range(_AT_ONCE):
                lanes.create_task(_lane(sim, work, taken))
    finally:
        await supervisor.close()
        await database.close()


async def _lane(sim: SessionService, work: Work, taken: SharedNumber) -> None:
    """Run one session after the other until none is left, or the command is gone."""
    parent = multiprocessing.parent_process()
    while (session_id := _next(work.ids, taken)) is not None:
        try:
            before = await sim.get(work.user, session_id)
            session = await sim.act(work.user, session_id, Action("resume" if before.status == PAUSED else "start"))
            while session.status == RUNNING and parent is not None and parent.is_alive():
                await asyncio.sleep(_LOOK_S)
                session = await sim.get(work.user, session_id)
        except SimError as error:
            await _complain(sim, work, session_id, error)


async def _complain(sim: SessionService, work: Work, session_id: UUID, error: SimError) -> None:
    """Say why a session did not go on, unless that stands in its row."""
    with suppress(SimError):
        if (await sim.get(work.user, session_id)).status in (CREATED, PAUSED):
            _log.warning("%s did not go on: %s", session_id, error.message)


def _next(ids: Sequence[UUID], taken: SharedNumber) -> UUID | None:
    with taken.get_lock():
        place, taken.value = taken.value, taken.value + 1
    return ids[place] if place < len(ids) else None
