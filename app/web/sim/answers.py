"""A session as answers spell it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from app.domain.session import Session
from app.domain.trading.settings import TradingSettings, sizing_to_json


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


Number = Annotated[Decimal, PlainSerializer(_number, return_type=int | float, when_used="json")]
"""An exact decimal, answered as a JSON number."""


class Answer(BaseModel):
    """Data of an answer, in camelCase."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Fetching(Answer):
    """Slots fetched from the venue's source and slots to fetch, as far as known."""

    done: int
    total: int


class Progress(Answer):
    """Slots done and slots in all of a bounded range; `fetching` while missing candles are being fetched."""

    done: int | None
    total: int | None
    pct: float | None
    fetching: Fetching | None = Field(None, exclude_if=lambda value: value is None)


class WaitingAnswer(Answer):
    """The candle a running session waits for at the end of the cache, and that in a sentence with what to type.

    `symbols` are those that have no candle yet; none when it is only not due before `dueMs`.
    """

    symbols: list[str]
    open_time_ms: int
    due_ms: int
    text: str


class SessionAnswer(Answer):
    """A session: what was asked for, and where it stands; `waitingFor` while it waits for a candle."""

    id: UUID
    user_id: str
    kind: Literal["sim", "market"]
    name: str | None
    tags: list[str]
    profile_slug: str
    config: dict[str, Any]
    venue: str
    symbol: str | None
    symbols: list[str]
    timeframe: str
    extra_timeframes: list[str]
    start_ms: int
    end_ms: int | None
    lag_ms: int
    warmup_candles: int
    initial_cash: Number
    fee_bps: Number | None
    maker_fee_bps: Number
    taker_fee_bps: Number
    slippage_bps: Number
    leverage: Number | None
    fill: Literal["next_open", "same_close"]
    limit_fill: Literal["through", "touch"]
    sizing: dict[str, Number]
    volume_share: Number | None
    record: Literal["full", "trades"]
    replay_ms_per_candle: int | None
    speed: int | None
    gap_policy: Literal["fail", "skip", "fill"]
    gap_grace_ms: int
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
    def of(cls, session: Session) -> Self:
        """Spell a session."""
        return cls(**_of_spec(session), **_of_row(session), stream_url=f"/api/sim/sessions/{session.id}/stream")


class SessionsAnswer(Answer):
    """A page of sessions, newest first; the cursor asks for the next one and is null on the last."""

    sessions: list[SessionAnswer]
    next_cursor: str | None


class EventAnswer(Answer):
    """One event of the log."""

    seq: int
    ts: int
    type: str
    payload: dict[str, Any]


class EventsAnswer(Answer):
    """Events in seq order, the last seq of the log, and where to go on reading."""

    events: list[EventAnswer]
    last_seq: int
    next_from_seq: int


class StatsAnswer(Answer):
    """Statistics of a session's log up to `seq`; a figure that has no meaning is null. See docs/statistics.md."""

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
    calmar: float | None
    max_drawdown: float | None
    max_drawdown_pct: float | None
    max_drawdown_ms: int | None
    exposure_pct: float | None
    fees: float | None
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
    """A strategy that sessions can name."""

    slug: str
    parameters: dict[str, Any]
    source: str


class ProfilesAnswer(Answer):
    """Every strategy there is."""

    profiles: list[ProfileAnswer]


class UserAnswer(Answer):
    """Who a token speaks for."""

    user_id: str


class StateAnswer(Answer):
    """How the process is doing."""

    status: str


class EmptyAnswer(Answer):
    """Nothing to tell beyond success."""


def _of_spec(session: Session) -> dict[str, Any]:
    spec = session.spec
    return {
        "kind": spec.kind,
        "name": spec.name,
        "tags": list(spec.tags),
        "profile_slug": spec.profile_slug,
        "config": spec.config,
        "venue": spec.venue,
        "symbol": spec.symbols[0] if len(spec.symbols) == 1 else None,
        "symbols": list(spec.symbols),
        "timeframe": spec.timeframe,
        "extra_timeframes": list(spec.extra_timeframes),
        "start_ms": spec.start_ms,
        "end_ms": spec.end_ms,
        "lag_ms": spec.lag_ms,
        "warmup_candles": spec.warmup_candles,
        **_of_terms(spec.terms),
        "replay_ms_per_candle": spec.pace.ms,
        "speed": spec.pace.speed,
        "gap_policy": spec.gap_policy,
        "gap_grace_ms": spec.gap_grace_ms,
        "mode": "replay",
    }


def _of_terms(terms: TradingSettings) -> dict[str, Any]:
    same = ("initial_cash", "maker_fee_bps", "taker_fee_bps", "slippage_bps", "leverage", "fill", "limit_fill")
    one_fee = terms.maker_fee_bps == terms.taker_fee_bps
    return {
        **{name: getattr(terms, name) for name in (*same, "volume_share", "record")},
        "fee_bps": terms.taker_fee_bps if one_fee else None,
        "sizing": sizing_to_json(terms.sizing),
    }


def _of_row(session: Session) -> dict[str, Any]:
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
    """Spell a time in ISO 8601, UTC, to the millisecond."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
