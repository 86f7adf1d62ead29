"""The results of sessions, computed from their logs."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from app.db.pool import Connection
from app.domain.event import STRATEGY_WRITES

_BATCH = 20
"""Sessions in one statement."""


class SessionResult(NamedTuple):
    """One session's results from `sim_stats`: money in the quote currency, percentages in percent."""

    id: UUID
    config: dict[str, Any]
    status: str
    error: str | None
    equity: Decimal | None
    return_pct: Decimal | None
    sharpe: Decimal | None
    sortino: Decimal | None
    drawdown_pct: Decimal | None
    profit_factor: Decimal | None
    win_rate_pct: Decimal | None
    trades: int


async def results(connection: Connection, session_ids: Sequence[UUID]) -> list[SessionResult]:
    """Return the results of sessions, in the order given, without those that were deleted."""
    by_id: dict[UUID, SessionResult] = {}
    for start in range(0, len(session_ids), _BATCH):
        cursor = await connection.execute(
            """
            SELECT s.id, s.config, s.status, s.error, f.equity, f.return_pct, f.sharpe, f.sortino,
                   f.max_drawdown_pct AS drawdown_pct, f.profit_factor, f.win_rate_pct, f.trades
            FROM sim_sessions s CROSS JOIN LATERAL sim_stats(s.id) f
            WHERE s.id = ANY (%s)
            """,
            (list(session_ids[start : start + _BATCH]),),
        )
        by_id |= {row["id"]: SessionResult(**row) for row in await cursor.fetchall()}
    return [by_id[session_id] for session_id in session_ids if session_id in by_id]


async def list_tagged(connection: Connection, user_id: str, tag: str) -> dict[UUID, str]:
    """Return id and status of a user's sessions with a tag, the oldest first."""
    cursor = await connection.execute(
        "SELECT id, status FROM sim_sessions WHERE user_id = %s AND %s = ANY (tags) AND deleted_at IS NULL"
        " ORDER BY created_at, id",
        (user_id, tag),
    )
    return {row["id"]: row["status"] for row in await cursor.fetchall()}


async def count_unended(connection: Connection, session_ids: Sequence[UUID]) -> int:
    """Count the sessions that have not ended."""
    cursor = await connection.execute(
        "SELECT count(*) AS count FROM sim_sessions WHERE id = ANY (%s) AND status IN ('created', 'running', 'paused')",
        (list(session_ids),),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row["count"])


async def wrote_nothing(connection: Connection, session_ids: Sequence[UUID]) -> bool:
    """Whether the strategies of some sessions have given no signal, order, plot or message."""
    cursor = await connection.execute(
        "SELECT NOT EXISTS (SELECT FROM unnest(%s::uuid[]) AS s (id), sim_events e"
        " WHERE e.session_id = s.id AND e.type = ANY (%s)) AS nothing",
        (list(session_ids), sorted(STRATEGY_WRITES)),
    )
    row = await cursor.fetchone()
    assert row is not None
    return bool(row["nothing"])
