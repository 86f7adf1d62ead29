"""The models of answers: a session, its events, statistics and more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field

from app.domain.event import TYPES
from app.domain.session import Session, SessionSpec, setting_to_json
from app.domain.setting import flatten
from app.web.http.models import Answer
from app.web.sim.setting_models import Number, answers_settings


class Fetching(Answer):
    """Slots fetched from the venue's source, and slots to fetch, as far as known."""

    done: int
    total: int


class Checking(Answer):
    """Slots recomputed with the changed code of the strategy, and slots to recompute."""

    done: int
    total: int


class Progress(Answer):
    """Slots done and total slots of a bounded range.

    `fetching` while missing candles are being fetched, `checking` while the session is recomputed with changed code.
    """

    done: int | None
    total: int | None
    pct: float | None
    fetching: Fetching | None = Field(None, exclude_if=lambda value: value is None)
    checking: Checking | None = Field(None, exclude_if=lambda value: value is None)


class WaitingAnswer(Answer):
    """The candle a running session waits for at the end of the cache; `text` is a sentence with the command to add it.

    `symbols` are those without the candle; none if it is only not due before `dueMs`.
    """

    symbols: list[str]
    open_time_ms: int
    due_ms: int
    text: str


@answers_settings
class _SettingsAnswer(Answer):
    """The settings of a session."""

    id: UUID
    user_id: str


class SessionAnswer(_SettingsAnswer):
    """A session: its settings and its state."""

    symbol: str | None
    fee_bps: Number | None
    mode: Literal["replay"]
    status: Literal["created", "running", "paused", "stopped", "finished", "failed"]
    cursor_ms: int | None
    last_seq: int
    error: str | None
    error_details: Any
    idempotency_key: str | None
    strategy_hash: str | None
    candles_hash: str | None
    digest: str | None
    parent_id: UUID | None
    fork_seq: int | None
    progress: Progress | None
    waiting_for: WaitingAnswer | None = Field(None, exclude_if=lambda value: value is None)
    stream_url: str
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, session: Session, root_path: str = "") -> Self:
        """Return the answer for a session, by a server that is reached below `root_path`."""
        settings = {name: setting_to_json(value) for name, value in flatten(session.spec).items()}
        return cls(
            **settings,
            **_short_forms(session.spec),
            **_row(session),
            stream_url=f"{root_path}/api/sim/sessions/{session.id}/stream",
        )


class SessionsAnswer(Answer):
    """A page of sessions, newest first; `nextCursor` selects the next page and is null on the last."""

    sessions: list[SessionAnswer]
    next_cursor: str | None


class EventAnswer(Answer):
    """One event of the log."""

    seq: int
    ts: int
    type: Annotated[str, Field(json_schema_extra={"enum": list(TYPES)})]
    payload: dict[str, Any]


class EventsAnswer(Answer):
    """Events in seq order, the last seq of the log, and the seq to continue at."""

    events: list[EventAnswer]
    last_seq: int
    next_from_seq: int


class StatsAnswer(Answer):
    """Statistics of a session's log up to `seq`; an undefined figure is null. See docs/statistics.md."""

    seq: int
    from_ms: int | None
    to_ms: int | None
    periods_per_year: float | None
    initial_cash: float
    equity: float | None
    net_profit: float | None
    return_pct: float | None
    buy_and_hold_pct: float | None
    cagr_pct: float | None
    volatility_pct: float | None
    sharpe: float | None
    sortino: float | None
    daily_volatility_pct: float | None
    daily_sharpe: float | None
    daily_sortino: float | None
    calmar: float | None
    max_drawdown: float | None
    max_drawdown_pct: float | None
    max_drawdown_ms: int | None
    exposure_pct: float | None
    fees: float | None
    funding: float | None
    interest: float | None
    trades: int
    wins: int
    losses: int
    win_rate_pct: float | None
    profit_factor: float | None
    expectancy: float | None
    sqn: float | None
    avg_win: float | None
    avg_loss: float | None
    best_trade: float | None
    worst_trade: float | None
    win_streak: int | None
    loss_streak: int | None
    avg_hold_bars: float | None


class PointAnswer(Answer):
    """The equity at a simulated time, ms UTC, and its drawdown in percent of the peak."""

    seq: int
    ts: int
    equity: float
    drawdown_pct: float


class EquityAnswer(Answer):
    """The equity curve in seq order."""

    points: list[PointAnswer]


class ProfileAnswer(Answer):
    """A strategy that sessions can use."""

    slug: str
    parameters: dict[str, Any]
    source: str
    timeframes: list[str]
    warmup: int


class ProfilesAnswer(Answer):
    """All strategies and profiles."""

    profiles: list[ProfileAnswer]


def _short_forms(spec: SessionSpec) -> dict[str, Any]:
    """Return `symbol` and `feeBps`: the only symbol and fee of a session, null if it has several."""
    trading = spec.trading
    return {
        "symbol": spec.symbols[0] if len(spec.symbols) == 1 else None,
        "fee_bps": trading.taker_fee_bps if trading.maker_fee_bps == trading.taker_fee_bps else None,
        "mode": "replay",
    }


def _row(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "user_id": session.user_id,
        "status": session.status,
        "cursor_ms": session.cursor_ms,
        "last_seq": session.last_seq,
        "error": session.error,
        "error_details": session.error_details,
        "idempotency_key": session.idempotency_key,
        "strategy_hash": session.strategy_hash,
        "candles_hash": session.candles_hash,
        "digest": session.digest,
        "parent_id": session.parent_id,
        "fork_seq": session.fork_seq,
        "progress": session.progress(),
        "waiting_for": session.waiting and session.waiting._asdict(),
        "created_at": instant(session.created_at),
        "updated_at": instant(session.updated_at),
    }


def instant(time: datetime) -> str:
    """Return a time in ISO 8601, UTC, to the millisecond."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
