"""The tables as SQLAlchemy Core sees them, for reads and CRUD; the log's hot path calls SQL functions instead."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

METADATA = MetaData()

SESSIONS = Table(
    "sim_sessions",
    METADATA,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("user_id", Text),
    Column("kind", Text),
    Column("name", Text),
    Column("tags", ARRAY(Text)),
    Column("profile_slug", Text),
    Column("config", JSONB),
    Column("venue", Text),
    Column("symbols", ARRAY(Text)),
    Column("timeframe", Text),
    Column("start_ms", BigInteger),
    Column("end_ms", BigInteger),
    Column("lag_ms", BigInteger),
    Column("replay_ms_per_candle", BigInteger),
    Column("speed", Integer),
    Column("gap_policy", Text),
    Column("gap_grace_ms", BigInteger),
    Column("mode", Text),
    Column("status", Text),
    Column("cursor_ms", BigInteger),
    Column("last_seq", BigInteger),
    Column("last_ts", BigInteger),
    Column("error", Text),
    Column("error_details", JSONB),
    Column("idempotency_key", Text),
    Column("request_hash", Text),
    Column("runner", Text),
    Column("incarnation", BigInteger),
    Column("epoch", BigInteger),
    Column("takeovers", Integer),
    Column("takeover_cursor_ms", BigInteger),
    Column("deleted_at", DateTime(timezone=True)),
    Column("extra_timeframes", ARRAY(Text)),
    Column("steps_left", Integer),
    Column("until_ms", BigInteger),
    Column("until_type", Text),
    Column("jump_ms", BigInteger),
    Column("warmup_candles", Integer),
    Column("initial_cash", Numeric),
    Column("maker_fee_bps", Numeric),
    Column("taker_fee_bps", Numeric),
    Column("slippage_bps", Numeric),
    Column("leverage", Numeric),
    Column("fill", Text),
    Column("limit_fill", Text),
    Column("sizing", JSONB),
    Column("volume_share", Numeric),
    Column("record", Text),
    Column("strategy_hash", Text),
    Column("warmup_hash", Text),
    Column("candles_hash", Text),
    Column("digest", Text),
    Column("parent_id", UUID(as_uuid=True)),
    Column("fork_seq", BigInteger),
    Column("lineage", JSONB),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

EVENTS = Table(
    "sim_events",
    METADATA,
    Column("session_id", UUID(as_uuid=True), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("ts", BigInteger),
    Column("type", Text),
    Column("payload", JSONB),
    Column("created_at", DateTime(timezone=True)),
)

SNAPSHOTS = Table(
    "sim_snapshots",
    METADATA,
    Column("session_id", UUID(as_uuid=True), primary_key=True),
    Column("cursor_ms", BigInteger, primary_key=True),
    Column("seq", BigInteger),
    Column("log_hash", Text),
    Column("body_hash", Text),
    Column("body", Text),
    Column("created_at", DateTime(timezone=True)),
)

RUNNERS = Table(
    "sim_runners",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("incarnation", BigInteger),
    Column("ttl", Text),
    Column("started_at", DateTime(timezone=True)),
    Column("seen_at", DateTime(timezone=True)),
)

TOKENS = Table(
    "sim_tokens",
    METADATA,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("user_id", Text),
    Column("name", Text),
    Column("token_hash", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
)

REQUESTS = Table(
    "sim_requests",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_hash", Text),
    Column("answer", JSONB),
    Column("created_at", DateTime(timezone=True)),
)

PROFILES = Table(
    "sim_profiles",
    METADATA,
    Column("slug", Text, primary_key=True),
    Column("strategy", Text),
    Column("config", JSONB),
    Column("created_at", DateTime(timezone=True)),
)
