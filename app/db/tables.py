"""The tables in SQLAlchemy Core, for reads and CRUD; the log's hot path calls SQL functions instead."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from app.domain.session import SETTINGS
from app.domain.trading.settings import Sizing

METADATA = MetaData()

_TYPES: dict[Any, Any] = {int: BigInteger, Decimal: Numeric, tuple: ARRAY(Text), dict: JSONB, Sizing: JSONB}
"""The type of a setting's column; text for all others."""

SESSIONS = Table(
    "sim_sessions",
    METADATA,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("user_id", Text),
    *(Column(field.name, _TYPES.get(field.base_type, Text)) for field in SETTINGS),
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
    Column("steps_left", Integer),
    Column("until_ms", BigInteger),
    Column("until_type", Text),
    Column("jump_ms", BigInteger),
    Column("commands", BigInteger),
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
    Column("strategies", ARRAY(Text)),
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
    Column("kind", Text),
    Column("scope", Text),
    Column("session_id", UUID(as_uuid=True)),
    Column("expires_at", DateTime(timezone=True)),
)

LOGINS = Table(
    "sim_logins",
    METADATA,
    Column("login_hash", Text, primary_key=True),
    Column("user_id", Text),
    Column("scope", Text),
    Column("token_id", UUID(as_uuid=True)),
    Column("created_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True)),
)

AUDIT = Table(
    "sim_audit",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("at", DateTime(timezone=True)),
    Column("user_id", Text),
    Column("action", Text),
    Column("subject", Text),
    Column("via", Text),
    Column("address", Text),
    Column("request_id", Text),
    Column("details", JSONB),
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
