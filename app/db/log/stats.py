"""A session's statistics and equity curve, computed in Postgres from its log."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from app.db.pool import Connection
from app.domain.trading.account import Trade
from app.errors import NotFoundError

FROM_THE_START = "{}"
"""The state to start with."""


class Stats(NamedTuple):
    """Figures by their name in SQL, null if undefined, and the state to pass in the next call."""

    figures: dict[str, Any]
    state: str


class Point(NamedTuple):
    """The equity (quote money) and its drawdown (percent of the peak) at a simulated time, ms UTC."""

    seq: int
    ts: int
    equity: Decimal
    drawdown_pct: Decimal


class FigureDiff(NamedTuple):
    """A figure of two sessions by its name in SQL, and b - a; null if undefined."""

    figure: str
    value_a: Decimal | None
    value_b: Decimal | None
    difference: Decimal | None


class TradeApart(NamedTuple):
    """The first closed trade of a session that not all compared ones have: its number, from 1, and its event."""

    session: UUID
    trade: int
    seq: int
    ts: int
    payload: dict[str, Any]


async def stats(
    connection: Connection, session_id: UUID, state: str = FROM_THE_START, until_seq: int | None = None
) -> Stats:
    """Return the statistics of a log up to a seq, by default of all of it; raises `NotFoundError`.

    With the `state` of an earlier result, only newer events are read.
    """
    cursor = await connection.execute(
        "SELECT *, next_state::text AS state FROM sim_stats(%s, until_seq => %s, state => %s::jsonb)",
        (session_id, until_seq, state),
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFoundError("There is no such session.")
    next_state = row.pop("state")
    del row["next_state"]
    return Stats(row, next_state)


async def keep(connection: Connection, session_id: UUID) -> int:
    """Keep what is computed from the next events of a log; return up to which seq it is kept."""
    row = await (await connection.execute("SELECT sim_keep(%s) AS seq", (session_id,))).fetchone()
    assert row is not None
    return int(row["seq"])


async def kept_seq(connection: Connection, session_id: UUID) -> int:
    """Return up to which seq something is kept of a log, 0 if nothing is."""
    row = await (await connection.execute("SELECT seq FROM sim_kept WHERE session_id = %s", (session_id,))).fetchone()
    return 0 if row is None else int(row["seq"])


async def compare(connection: Connection, a: UUID, b: UUID) -> list[FigureDiff]:
    """Return the statistics of two sessions side by side."""
    cursor = await connection.execute("SELECT * FROM sim_compare(%s, %s)", (a, b))
    return [FigureDiff(**row) for row in await cursor.fetchall()]


async def first_trade_apart(connection: Connection, ids: Sequence[UUID]) -> list[TradeApart]:
    """Return the first closed trade that is not the same in all sessions, of each that has one; none if all are."""
    cursor = await connection.execute("SELECT * FROM sim_first_trade_apart(%s)", (list(ids),))
    return [TradeApart(**row) for row in await cursor.fetchall()]


async def equity(connection: Connection, session_id: UUID, points: int) -> list[Point]:
    """Return the equity curve with at most `points` points (2 or more), in seq order."""
    cursor = await connection.execute(
        "SELECT seq, ts, equity, drawdown_pct FROM sim_equity_points(%s, max_points => %s)", (session_id, points)
    )
    return [Point(**row) for row in await cursor.fetchall()]


async def equity_sample(connection: Connection, session_id: UUID, points: int) -> list[Point]:
    """Return the equity at `points` positions spread evenly over the log; fast, but it misses spikes between them."""
    cursor = await connection.execute(
        "SELECT seq, ts, equity, drawdown_pct FROM sim_equity_sample(%s, max_points => %s)", (session_id, points)
    )
    return [Point(**row) for row in await cursor.fetchall()]


async def last_trades(connection: Connection, session_id: UUID, limit: int) -> Sequence[Trade]:
    """Return the newest closed trades, oldest first."""
    cursor = await connection.execute("SELECT * FROM sim_last_trades(%s, max_rows => %s)", (session_id, limit))
    return [Trade(**row) for row in reversed(await cursor.fetchall())]
