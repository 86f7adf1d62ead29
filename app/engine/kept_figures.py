"""What is kept of long logs, so that their figures are not computed again from the first event."""

from __future__ import annotations

from uuid import UUID

from app.db.log import stats
from app.db.pool import Database

FEW_EVENTS = 50_000
"""As many events are read within a moment; nothing is kept of shorter logs."""


async def is_kept(database: Database, session_id: UUID, last_seq: int) -> bool:
    """Whether few events of a log came after those of which something is kept."""
    return last_seq <= FEW_EVENTS or last_seq - await database.run(stats.kept_seq, session_id) <= FEW_EVENTS


async def keep_figures(database: Database, session_id: UUID, last_seq: int) -> None:
    """Keep figures of a log up to shortly before a seq, some 100,000 events in each statement."""
    if await is_kept(database, session_id, last_seq):
        return
    before, seq = -1, 0
    while before < seq < last_seq - FEW_EVENTS:
        before, seq = seq, await database.run(stats.keep, session_id)
