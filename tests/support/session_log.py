"""What Postgres says of a session: its row, its log, the digest; and what is in a log."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import psycopg

from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS


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
    events = [dict(zip(("seq", "ts", "type", "payload"), row[1:], strict=True)) for row in rows]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert all(a["ts"] <= b["ts"] for a, b in pairwise(events))
    assert {row[0] for row in rows} <= {len(events)}
    return events


class LoggedGap(NamedTuple):
    """What a gap event says."""

    symbol: str
    timeframe: str
    from_ms: int
    to_ms: int
    missing: int


def payloads(events: list[dict[str, Any]], type_: str) -> list[dict[str, Any]]:
    """Return the payloads of the events of one type."""
    return [event["payload"] for event in events if event["type"] == type_]


def candles_of(events: list[dict[str, Any]], symbol: str = "BTCUSDT", timeframe: str = "1m") -> list[dict[str, Any]]:
    """Return the payloads of a symbol's candles."""
    wanted = (symbol, timeframe)
    return [candle for candle in payloads(events, "candle") if (candle["symbol"], candle["timeframe"]) == wanted]


def open_times(events: list[dict[str, Any]], symbol: str = "BTCUSDT", timeframe: str = "1m") -> list[int]:
    """Return the open times of a symbol's candles in ms."""
    return [payload["candle"]["openTimeMs"] for payload in candles_of(events, symbol, timeframe)]


def open_minutes(events: list[dict[str, Any]], symbol: str = "BTCUSDT", timeframe: str = "1m") -> list[int]:
    """Return the open times of a symbol's candles in minutes since `START_MS`."""
    return [minute(open_ms) for open_ms in open_times(events, symbol, timeframe)]


def gaps(events: list[dict[str, Any]]) -> list[LoggedGap]:
    """Return the gaps a log tells of, in its order."""
    return [
        LoggedGap(gap["symbol"], gap["timeframe"], gap["fromMs"], gap["toMs"], gap["missing"])
        for gap in payloads(events, "gap")
    ]


def minute(time_ms: int) -> int:
    """Return a time in minutes since `START_MS`."""
    return (time_ms - START_MS) // MINUTE


def lose_events(database: Database, session_id: str, last_seq: int) -> None:
    """Let the log end earlier, as on a standby that was promoted before it had everything."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("DELETE FROM sim_events WHERE session_id = %s AND seq > %s", (session_id, last_seq))
        admin.execute("UPDATE sim_sessions SET last_seq = %s WHERE id = %s", (last_seq, session_id))
