"""Requests and answers of the market dialect: candles only, and no envelope."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BeforeValidator, Field, model_validator

from app.domain.session import (
    Session,
    SessionSpec,
    Symbol,
    TimeframeName,
    Venue,
    new_spec,
)
from app.domain.setting import TimeMs, UnusableValueError
from app.settings import Settings
from app.strategy_hosts.strategy_catalog import CANDLES_ONLY
from app.web.http.models import Answer, Body, Cursor, Limit, Query
from app.web.market.dialect import MarketStatus, market_status
from app.web.sim.answers import instant
from app.web.sim.requests import FollowQuery


def _parse_time(value: Any) -> Any:
    """Parse ms since the epoch or ISO 8601; a time without a zone is UTC."""
    if not isinstance(value, str):
        return value
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        kind = UnusableValueError if re.search(_TIME_FORM, value) else ValueError
        raise kind("must be ms since the epoch or an ISO 8601 time") from None
    milliseconds = round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)
    if milliseconds < 0:
        raise UnusableValueError("must not be before 1970")
    return milliseconds


_TIME_FORM = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?)?$"
)
"""A time in ISO 8601, as most programs write it; others are taken too."""
_TimeText = Annotated[str, Field(pattern=_TIME_FORM, examples=["2024-01-01T00:00:00Z"])]


def _require_integer(value: Any) -> Any:
    """Refuse values that only equal an integer, such as true."""
    if type(value) is not int:
        raise ValueError("must be a whole number")
    return value


SpeedFactor = Annotated[Literal[1, 5, 10, 50, 100], BeforeValidator(_require_integer)]
TimeInput = Annotated[TimeMs, BeforeValidator(_parse_time, json_schema_input_type=TimeMs | _TimeText)]


class NewMarketSession(Body):
    """A replay of candles in `[start, end)`, in real time or faster by a factor."""

    symbols: Annotated[list[Symbol], Field(min_length=1, max_length=50)]
    timeframe: TimeframeName
    start: TimeInput
    end: TimeInput | None = None
    speed: SpeedFactor
    venue: Venue | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("symbols: one is given twice")
        if self.end is not None and self.end <= self.start:
            raise ValueError("end: must be later than start")
        return self

    def spec(self, settings: Settings) -> SessionSpec:
        """Return the session to create."""
        values = {
            "profile_slug": CANDLES_ONLY,
            "venue": self.venue or settings.venue,
            "symbols": tuple(self.symbols),
            "timeframe": self.timeframe,
            "start_ms": self.start,
            "end_ms": self.end,
            "speed": self.speed,
            "kind": "market",
        }
        return new_spec(values)


class MarketSessionsQuery(Query):
    """Which market sessions to list."""

    limit: Limit = 50
    cursor: Cursor | None = None


class MarketStreamQuery(FollowQuery):
    """Where in the log to start: a seq, inclusive."""


class NewMarketAnswer(Answer):
    """The id of a new session."""

    session_id: UUID


class MarketStatusAnswer(Answer):
    """The status of a session after a call."""

    status: MarketStatus


class MarketSessionAnswer(Answer):
    """A market session; times in ms UTC, `end` null for an endless one."""

    session_id: UUID
    mode: Literal["replay"]
    symbols: list[str]
    timeframe: str
    start: int
    end: int | None
    speed: int | None
    status: MarketStatus
    cursor_ms: int | None
    created_at: str

    @classmethod
    def of(cls, session: Session) -> Self:
        """Return the answer of a session."""
        return cls(
            session_id=session.id,
            mode="replay",
            symbols=list(session.spec.symbols),
            timeframe=session.spec.timeframe,
            start=session.spec.start_ms,
            end=session.spec.end_ms,
            speed=session.spec.pace.speed,
            status=market_status(session),
            cursor_ms=session.cursor_ms,
            created_at=instant(session.created_at),
        )


class MarketSessionsAnswer(Answer):
    """A page of market sessions, newest first."""

    sessions: list[MarketSessionAnswer]
    next_cursor: str | None
