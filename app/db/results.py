"""What sessions have come to, read from their logs."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from app.db.pool import Connection


class Result(NamedTuple):
    """One session's outcome: money in the quote currency, drawdown in percent, of the equity events in its log."""

    id: UUID
    config: dict[str, Any]
    status: str
    error: str | None
    initial_cash: Decimal
    equity: Decimal | None
    trades: int
    drawdown_pct: Decimal | None

    @property
    def return_pct(self) -> Decimal | None:
        """Gain in percent of the initial cash."""
        return None if self.equity is None else (self.equity / self.initial_cash - 1) * 100


async def results(connection: Connection, session_ids: Sequence[UUID]) -> list[Result]:
    """Return the results of sessions, the highest equity first."""
    cursor = await connection.execute(
        """
        SELECT s.id, s.config, s.status, s.error, s.initial_cash, last.equity, sums.trades, sums.drawdown_pct
        FROM sim_sessions s
        LEFT JOIN LATERAL (
          SELECT (e.payload ->> 'equity')::numeric AS equity FROM sim_events e
          WHERE e.session_id = s.id AND e.type = 'equity' ORDER BY e.seq DESC LIMIT 1) last ON true
        CROSS JOIN LATERAL (
          SELECT count(*) FILTER (WHERE e.type = 'trade') AS trades,
                 max((e.payload ->> 'drawdownPct')::numeric) AS drawdown_pct
          FROM sim_events e WHERE e.session_id = s.id AND e.type IN ('trade', 'equity')) sums
        WHERE s.id = ANY (%s)
        ORDER BY last.equity DESC NULLS LAST, s.created_at
        """,
        (list(session_ids),),
    )
    return [Result(**row) for row in await cursor.fetchall()]


async def count_moving(connection: Connection, session_ids: Sequence[UUID]) -> int:
    """Count the sessions that have not ended yet."""
    cursor = await connection.execute(
        "SELECT count(*) AS count FROM sim_sessions WHERE id = ANY (%s) AND status IN ('created', 'running')",
        (list(session_ids),),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["count"])
