"""What Postgres says of a session: its row, its log, the digest; and what is in a log."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from tests.support.postgres import Database


def row(database: Database, session_id: str, column: str) -> Any:
    """Return a column of a session's row."""
    return database.query(f"SELECT {column} FROM sim_sessions WHERE id = %s", session_id)[0][0]


def digest(database: Database, session_id: str) -> str:
    """Return the digest of a session's log."""
    return str(database.query("SELECT sim_log_digest(%s)", session_id)[0][0])


def read_log(database: Database, session_id: str) -> list[dict[str, Any]]:
    """Read a log from its table; fails when seq has a hole, ts decreases or last_seq is another."""
    rows = database.query(
        "SELECT s.last_seq, e.seq, e.ts, e.type, e.payload FROM sim_sessions s"
        " JOIN sim_events e ON e.session_id = s.id WHERE s.id = %s ORDER BY e.seq",
        session_id,
    )
    events = [dict(zip(("seq", "ts", "type", "payload"), each[1:], strict=True)) for each in rows]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert all(a["ts"] <= b["ts"] for a, b in pairwise(events))
    assert {each[0] for each in rows} <= {len(events)}
    return events


def open_times(events: list[dict[str, Any]], symbol: str = "BTCUSDT", timeframe: str = "1m") -> list[int]:
    """Return the open times of a symbol's candles."""
    return [
        event["payload"]["candle"]["openTimeMs"]
        for event in events
        if event["type"] == "candle"
        and (event["payload"]["symbol"], event["payload"]["timeframe"]) == (symbol, timeframe)
    ]
