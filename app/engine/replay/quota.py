"""Quotas: how many sessions, events and bytes a user may keep; 0 means no limit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from app.db.pool import Connection, Database
from app.db.usage import Usage, usage
from app.errors import QuotaError, UnavailableError
from app.settings import Settings

_CHECK_S = 5.0
"""Other processes write for the same user: what is left is read again after so many seconds."""
_WITH_AUTHENTICATION = Usage(10_000, 100_000_000, 50_000_000_000)
_WAYS_ON = {
    "sessions": "delete some to create new ones",
    "events": "delete sessions to go on",
    "bytes": "delete sessions to go on",
}


def quota(settings: Settings) -> Usage:
    """Return what each user may keep."""
    default = Usage(0, 0, 0) if "none" in settings.auth else _WITH_AUTHENTICATION
    given = (settings.user_sessions, settings.user_events, settings.user_bytes)
    return Usage(*(other if value is None else value for value, other in zip(given, default, strict=True)))


async def require_quota(connection: Connection, limits: Usage, user_id: str, new: Usage) -> None:
    """Raise `QuotaError` if a user would keep more than allowed with something new."""
    checked = [name for name in Usage._fields if getattr(limits, name) and getattr(new, name)]
    if not checked:
        return
    kept = await usage(connection, user_id)
    for name in checked:
        limit, before, more = (getattr(numbers, name) for numbers in (limits, kept, new))
        if before + more > limit:
            raise QuotaError(
                f"A user may keep {limit:,} {name} (ZEON_USER_{name.upper()}). There are {before:,}, and this needs "
                f"{more:,} more: {_WAYS_ON[name]}."
            )


@dataclass(slots=True)
class _Left:
    """What a user may still write, as of a time of the event loop."""

    events: float
    bytes: float
    checked_s: float


class QuotaWatch:
    """Knows which users of this process's sessions have met a quota, and asks the database rarely."""

    def __init__(self, database: Database, limits: Usage) -> None:
        self._database = database
        self._limits = limits
        self._left: dict[str, _Left] = {}

    @property
    def is_limited(self) -> bool:
        """Whether there is a quota that a running session can meet."""
        return bool(self._limits.events or self._limits.bytes)

    def spend(self, user_id: str, events: int, size: int) -> None:
        """Count what a session of a user writes."""
        if left := self._left.get(user_id):
            left.events -= events
            left.bytes -= size

    async def is_met(self, user_id: str) -> bool:
        """Whether a user keeps as much as is allowed; no while the database does not answer."""
        now_s, left = asyncio.get_running_loop().time(), self._left.get(user_id)
        if left is not None and now_s - left.checked_s < _CHECK_S and left.events > 0 and left.bytes > 0:
            return False
        if left is not None:
            left.checked_s = now_s  # The user's other sessions need not ask at the same time.
        try:
            kept = await self._database.run(usage, user_id)
        except UnavailableError:
            return False
        left = self._left[user_id] = _Left(
            self._limits.events - kept.events if self._limits.events else float("inf"),
            self._limits.bytes - kept.bytes if self._limits.bytes else float("inf"),
            now_s,
        )
        return left.events <= 0 or left.bytes <= 0
