"""A session's statistics and equity curve, computed in Postgres from its log."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from app.db.pool import Connection
from app.errors import NotFoundError

FROM_THE_START = "{}"
"""The state to begin with."""


class Stats(NamedTuple):
    """Figures by their name in SQL, null where one has no meaning, and the state the next ask begins with."""

    figures: dict[str, Any]
    state: str


class Point(NamedTuple):
    """The equity (quote money) and its drawdown (percent of the peak) at a simulated time, ms UTC."""

    seq: int
    ts: int
    equity: Decimal
    drawdown_pct: Decimal


class Trade(NamedTuple):
    """One closed trade as a chart shows it; times in ms UTC, money in quote currency."""

    symbol: str
    side: str
    qty: Decimal
    entry_price: Decimal
    exit_price: Decimal
    entry_ts: int
    exit_ts: int
    net_pnl: Decimal
    fees: Decimal
    reason: str


class Compared(NamedTuple):
    """A figure of two sessions by its name in SQL, and the second less the first; null where it has no meaning."""

    figure: str
    value_a: Decimal | None
    value_b: Decimal | None
    difference: Decimal | None


async def stats(
    connection: Connection, session_id: UUID, state: str = FROM_THE_START, until_seq: int | None = None
) -> Stats:
    """Return the statistics of a log up to a seq, by default of all of it; raises `NotFoundError`.

    With the state of an earlier answer only what was written since is read.
    """
    cursor = await connection.execute(
        "SELECT *, next_state::text AS state FROM sim_stats(%s, %s, %s::jsonb)", (session_id, until_seq, state)
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFoundError("There is no such session.")
    reached = row.pop("state")
    del row["next_state"]
    return Stats(row, reached)


async def compare(connection: Connection, a: UUID, b: UUID) -> list[Compared]:
    """Return the statistics of two sessions side by side."""
    cursor = await connection.execute("SELECT * FROM sim_compare(%s, %s)", (a, b))
    return [Compared(**row) for row in await cursor.fetchall()]


async def equity(connection: Connection, session_id: UUID, points: int) -> list[Point]:
    """Return the equity curve in at most so many points (2 or more), in seq order."""
    cursor = await connection.execute(
        "SELECT seq, ts, equity, drawdown_pct FROM sim_equity_points(%s, %s)", (session_id, points)
    )
    return [Point(**row) for row in await cursor.fetchall()]


async def equity_sample(connection: Connection, session_id: UUID, points: int) -> list[Point]:
    """Return the equity at so many places spread evenly over the log; fast, but blind to spikes between them."""
    cursor = await connection.execute(
        "SELECT seq, ts, equity, drawdown_pct FROM sim_equity_sample(%s, %s)", (session_id, points)
    )
    return [Point(**row) for row in await cursor.fetchall()]


async def last_trades(connection: Connection, session_id: UUID, limit: int) -> Sequence[Trade]:
    """Return the newest closed trades, oldest first."""
    cursor = await connection.execute(
        """
        SELECT symbol, side, qty, entry_price, exit_price, (extract(epoch FROM entered) * 1000)::bigint AS entry_ts,
               (extract(epoch FROM exited) * 1000)::bigint AS exit_ts, net_pnl, fees, reason
        FROM sim_view_trades WHERE session_id = %s ORDER BY seq DESC LIMIT %s
        """,
        (session_id, limit),
    )
    return [Trade(**row) for row in reversed(await cursor.fetchall())]
