"""Create and run the sessions of a sweep, or find those that it made before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID

from app.cli.research.run_many import run_all
from app.cli.run import Context, run_on
from app.db.log import results
from app.db.log.results import SessionResult
from app.db.setup.location import DatabaseLocation
from app.domain.session import FAILED, FINISHED, STOPPED, SessionSpec
from app.errors import KeyReusedError, SimError
from app.settings import Settings

T = TypeVar("T")
_OVER = (FINISHED, FAILED, STOPPED)


class InterruptedSweepError(Exception):
    """Ctrl-C ended a sweep; its sessions are paused."""


class SweepRuns:
    """The sessions of one sweep; all have its tag. A session is known by its place in the sweep, see `results`."""

    def __init__(
        self,
        settings: Settings,
        location: DatabaseLocation,
        tag: str,
        make_spec: Callable[[dict[str, Any]], SessionSpec],
        processes: int | None,
    ) -> None:
        self._settings = settings
        self._location = location
        self._tag = tag
        self._make_spec = make_spec
        self._processes = processes
        self.ids: list[UUID] = []
        """All sessions so far."""

    def results(self, place: str, requests: Sequence[dict[str, Any]]) -> list[SessionResult]:
        """Run a session for each request and return their results; those that ran in an earlier call of the same sweep
        are not run again.

        Sessions are found by `place` and their number in it. Raises `InterruptedSweepError`, or `SimError` if the tag
        belongs to a sweep with other parameters.
        """
        ids = self._run(lambda context: self._create(context, place, requests))
        self.ids += ids
        left = [session_id for session_id, status in ids.items() if status not in _OVER]
        if left and run_all(self._settings, self._location, left, self._processes):
            raise InterruptedSweepError
        return self.read(list(ids))

    def read(self, ids: Sequence[UUID]) -> list[SessionResult]:
        """Return the results of sessions."""
        return self._run(lambda context: context.database.run(results.results, list(ids)))

    def _run(self, work: Callable[[Context], Awaitable[T]]) -> T:
        return asyncio.run(run_on(self._settings, self._location, work))

    async def _create(self, context: Context, place: str, requests: Sequence[dict[str, Any]]) -> dict[UUID, str]:
        created: dict[UUID, str] = {}
        for number, request in enumerate(requests):
            text = json.dumps(request, sort_keys=True, default=str)
            try:
                session, _ = await context.sim.create(
                    context.user,
                    self._make_spec(request),
                    key=f"{self._tag}:{place}:{number}",
                    request_hash=sha256(text.encode()).hexdigest(),
                )
            except KeyReusedError:
                raise SimError(f"--study: {self._tag} is a sweep with other settings or parameters") from None
            created[session.id] = session.status
        return created
