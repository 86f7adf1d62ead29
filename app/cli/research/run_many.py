"""Run many sessions in one command, on several cores."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import Progress

from app.cli.run import Context, run_on
from app.db.log import results
from app.db.setup.location import DatabaseLocation
from app.engine.engine_processes import EngineWork, start_engines
from app.settings import Settings

Processes = Annotated[int | None, typer.Option(metavar="N", min=1, help="Number of processes; default: one per core.")]


def run_all(settings: Settings, location: DatabaseLocation, ids: Sequence[UUID], processes: int | None) -> bool:
    """Run sessions to the end in separate processes; returns whether Ctrl-C interrupted them."""
    work = EngineWork(location.url, location.listen_url, settings, settings.user, ids)
    with start_engines(work, min(processes or len(os.sched_getaffinity(0)), len(ids))) as started:
        try:
            asyncio.run(run_on(settings, location, lambda context: _watch(context, ids, started)))
        except KeyboardInterrupt:
            return True
    return False


async def _watch(context: Context, ids: Sequence[UUID], processes: Sequence[Any]) -> None:
    """Show how many sessions have ended, until all processes have."""
    with Progress(console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as progress:
        task = progress.add_task("sessions", total=len(ids))
        while any(process.is_alive() for process in processes):
            await asyncio.sleep(0.2)
            moving = await context.database.run(results.count_unended, ids)
            progress.update(task, completed=len(ids) - moving)
