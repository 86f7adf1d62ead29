"""The market dialect: candles and statuses in its own words."""

from __future__ import annotations

import json
from typing import Literal

from app.domain.session import CREATED, FINISHED, RUNNING, Session
from app.web.http.dialect import Dialect

MarketStatus = Literal["CREATED", "RUNNING", "STOPPED", "DONE"]


def market_status(session: Session) -> MarketStatus:
    """Return the session's status in the dialect's words: paused, stopped and failed are STOPPED."""
    words: dict[str, MarketStatus] = {CREATED: "CREATED", RUNNING: "RUNNING", FINISHED: "DONE"}
    return words.get(session.status, "STOPPED")


def _present_status(session: Session) -> bytes:
    """Return the first message of a stream: the session's present status, without an id."""
    message = {
        "type": "session_status",
        "sessionId": str(session.id),
        "status": market_status(session),
        "cursorMs": session.cursor_ms,
    }
    return f"data: {json.dumps(message, separators=(',', ':'))}\n\n".encode()


MARKET = Dialect(
    "market", types=("candle", "status"), opening=_present_status, says_caught_up=False, names_control_frames=False
)
