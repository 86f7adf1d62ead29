"""What an action does about strategies whose code has changed, or that this process does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.db import runners
from app.db.pool import Connection, Database
from app.domain.session import Session
from app.engine.replay.code_check import CodeCheck, CodeChecks
from app.engine.replay.input_checks import check_inputs
from app.errors import ProfileUnknownError
from app.strategy_hosts.strategy_catalog import StrategyCatalog, code_changed

CHECK_S = 10.0
"""Seconds that a start waits for a session with changed code to be recomputed."""


class CodeChanges:
    """Finds changed code before a session goes on.

    `runner` is the name of this process if it runs sessions: then a long recomputation goes on in it.
    """

    def __init__(self, database: Database, strategies: StrategyCatalog, checks: CodeChecks, runner: str | None) -> None:
        self._database = database
        self._strategies = strategies
        self._checks = checks
        self._runner = runner

    async def examine(self, session: Session, *, accept_revised: bool) -> CodeCheck | None:
        """Recompute a session if the code of its strategies has changed; return the finished recomputation.

        Null if it has not changed, if another process knows the strategy, or after `CHECK_S`. Raises what
        `check_inputs` raises, because the log is recomputed from these inputs, and `ProfileUnknownError`.
        """
        codes = await self._database.run(self.codes, session)
        if codes is None or not code_changed(session, codes):
            return None
        await self._database.run(check_inputs, session, codes, accept_revised=accept_revised)
        check = self._checks.job_for(session)
        done = await check.done.wait(CHECK_S)
        if done or self._runner is None:
            self._checks.release(session.id)
        return check if done else None

    async def codes(self, connection: Connection, session: Session) -> Mapping[str, str] | None:
        """Return the hashes of the code of a session's strategies; null if only another process knows them."""
        try:
            return await self._strategies.source_hashes(connection, session)
        except ProfileUnknownError as error:
            await self.require_known_elsewhere(connection, sorted(session.slugs), error)
            return None

    async def require_known_elsewhere(
        self, connection: Connection, profiles: Sequence[str], error: ProfileUnknownError
    ) -> None:
        """Raise the error of a profile that this process does not know, unless another living one knows it."""
        if await runners.any_knows(connection, profiles, self._runner):
            return
        names = await runners.living(connection)
        servers = f"the living servers are {', '.join(names)}" if names else "no server is alive"
        details = {"profiles": list(profiles), "servers": names}
        raise ProfileUnknownError(f"{error.message}. No living server knows it; {servers}.", details=details)
