"""The engine processes of one command: together they run a list of sessions as fast as possible."""

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

from app.clock import Clock
from app.db.pool import Database
from app.domain.session import CREATED, PAUSED, RUNNING
from app.engine import garbage_collection
from app.engine.session_service import Action, SessionService
from app.engine.supervisor import Supervisor
from app.errors import SimError
from app.settings import Settings

_PARALLEL_SESSIONS = 4
"""Sessions of a process at a time: while one waits for Postgres, another computes."""
_POLL_S = 0.05
_log = logging.getLogger(__name__)


class SharedNumber(Protocol):
    """An integer that processes share, with its lock."""

    value: int

    def get_lock(self) -> multiprocessing.synchronize.RLock:
        """Return its lock."""


class EngineWork(NamedTuple):
    """The input of the processes: the database, the settings, the user, and which of the user's sessions to run."""

    url: str
    listen_url: str
    settings: Settings
    user: str
    ids: Sequence[UUID]


@contextmanager
def start_engines(work: EngineWork, count: int) -> Iterator[list[SpawnProcess]]:
    """Start engine processes that share a list of sessions; at the end of the block they pause running sessions."""
    spawn = multiprocessing.get_context("spawn")
    next_index = spawn.Value("q", 0)
    processes = [spawn.Process(target=_process, args=(work, next_index)) for _ in range(count)]
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


def _process(work: EngineWork, next_index: SharedNumber) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The command handles Ctrl-C and ends its processes.
    garbage_collection.tune_gc()
    with suppress(asyncio.CancelledError), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_engine(work, next_index))


async def _engine(work: EngineWork, next_index: SharedNumber) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    name = f"sweep:{os.getpid()}"
    settings = work.settings.model_copy(update={"runner": name, "on_orphan": "pause"})
    clock = Clock()
    database = Database(work.url, size=4, application_name="zeon sweep")
    await database.open()
    supervisor = Supervisor(database, settings, listen_url=work.listen_url, clock=clock, own_sessions_only=True)
    try:
        await supervisor.open()
        sim = SessionService(database, settings, clock, supervisor)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_PARALLEL_SESSIONS):
                tasks.create_task(_run_sessions(sim, work, next_index))
    finally:
        await supervisor.close()
        await database.close()


async def _run_sessions(sim: SessionService, work: EngineWork, next_index: SharedNumber) -> None:
    """Run one session after the other until none is left or the command has ended."""
    parent = multiprocessing.parent_process()
    while (session_id := _next_id(work.ids, next_index)) is not None:
        try:
            before = await sim.get(work.user, session_id)
            session = await sim.act(work.user, session_id, Action("resume" if before.status == PAUSED else "start"))
            while session.status == RUNNING and parent is not None and parent.is_alive():
                await asyncio.sleep(_POLL_S)
                session = await sim.get(work.user, session_id)
        except SimError as error:
            await _log_failure(sim, work, session_id, error)


async def _log_failure(sim: SessionService, work: EngineWork, session_id: UUID, error: SimError) -> None:
    """Log why a session did not run, unless it has failed: then its row has the error."""
    with suppress(SimError):
        if (await sim.get(work.user, session_id)).status in (CREATED, PAUSED):
            _log.warning("session %s did not run: %s", session_id, error.message)


def _next_id(ids: Sequence[UUID], next_index: SharedNumber) -> UUID | None:
    with next_index.get_lock():
        index, next_index.value = next_index.value, next_index.value + 1
    return ids[index] if index < len(ids) else None
