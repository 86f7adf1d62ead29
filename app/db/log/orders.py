"""Orders and fills in a log, and the closes that value a position."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from app.db.log import events
from app.db.pool import Connection
from app.domain.session import Session


class LoggedEvent(NamedTuple):
    """An event of a log with its payload."""

    seq: int
    ts: int
    type: str
    payload: dict[str, Any]


async def events_after(
    connection: Connection, session_id: UUID, after_seq: int, to_seq: int, limit: int
) -> list[LoggedEvent]:
    """Return the orders, fills, carrying costs and commands of a log in `(after_seq, to_seq]`, in seq order."""
    cursor = await connection.execute(
        """
        SELECT e.seq, e.ts, e.type, e.payload
        FROM sim_events e
        WHERE e.session_id = %s AND e.seq > %s AND e.seq <= %s AND e.type NOT IN ('candle', 'equity', 'plot')
          AND (e.type IN ('order', 'fill', 'funding', 'interest')
          OR (sim_is_command(e.type, e.payload) AND e.payload ->> 'action' = 'order'))
        ORDER BY e.seq LIMIT %s
        """,
        (session_id, after_seq, to_seq, limit),
    )
    return [LoggedEvent(**row) for row in await cursor.fetchall()]


async def fills(
    connection: Connection,
    session_id: UUID,
    *,
    symbol: str | None = None,
    order_id: int | None = None,
    from_seq: int = 0,
    start_ms: int | None = None,
    end_ms: int | None = None,
    newest: bool = False,
    limit: int = 1000,
) -> list[LoggedEvent]:
    """Return fills of a log from a seq on, oldest first; with `newest` the last `limit` of them."""
    direction = "DESC" if newest else "ASC"
    cursor = await connection.execute(
        f"""
        SELECT e.seq, e.ts, e.type, e.payload
        FROM sim_events e
        WHERE e.session_id = %(session)s AND e.type = 'fill' AND e.type NOT IN ('candle', 'equity', 'plot')
          AND e.seq >= %(from)s
          AND (%(symbol)s::text IS NULL OR e.payload ->> 'symbol' = %(symbol)s)
          AND (%(order)s::bigint IS NULL OR (e.payload ->> 'orderId')::bigint = %(order)s)
          AND (%(start)s::bigint IS NULL OR e.ts >= %(start)s) AND (%(end)s::bigint IS NULL OR e.ts <= %(end)s)
        ORDER BY e.seq {direction} LIMIT %(limit)s
        """,
        {
            "session": session_id,
            "from": from_seq,
            "symbol": symbol,
            "order": order_id,
            "start": start_ms,
            "end": end_ms,
            "limit": limit,
        },
    )
    found = [LoggedEvent(**row) for row in await cursor.fetchall()]
    return found[::-1] if newest else found


async def last_closes(connection: Connection, session: Session) -> dict[str, Decimal]:
    """Return the close of each symbol's last candle up to the cursor, from the log or else from the cache."""
    spec = session.spec
    if session.cursor_ms is None:
        return {}
    if spec.trading.record == "full":
        last = await events.last_candles(connection, session.id, spec.symbols, spec.timeframe)
        return {symbol: close for symbol, (_, close) in last.items()}
    cursor = await connection.execute(
        """
        SELECT m.symbol, c.close
        FROM unnest(%s::text[]) AS m (symbol)
        CROSS JOIN LATERAL (
          SELECT k.close FROM market_candles k
          WHERE k.venue = %s AND k.symbol = m.symbol AND k.timeframe = %s AND k.open_time_ms BETWEEN %s AND %s
          ORDER BY k.open_time_ms DESC LIMIT 1
        ) c
        """,
        (list(spec.symbols), spec.venue, spec.timeframe, spec.start_ms, session.cursor_ms),
    )
    return {row["symbol"]: row["close"] for row in await cursor.fetchall()}
