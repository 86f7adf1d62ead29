-- The log, the sessions it belongs to, the processes that run them, and who may look.

CREATE TABLE sim_sessions (
    id                   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id              text NOT NULL,
    kind                 text NOT NULL DEFAULT 'sim' CHECK (kind IN ('sim', 'market')),
    name                 text,
    tags                 text[] NOT NULL DEFAULT '{}',
    profile_slug         text NOT NULL,
    config               jsonb NOT NULL DEFAULT '{}',
    venue                text NOT NULL,
    symbols              text[] NOT NULL CHECK (cardinality(symbols) BETWEEN 1 AND 50),
    timeframe            text NOT NULL,
    start_ms             bigint NOT NULL,
    end_ms               bigint CHECK (end_ms > start_ms),
    lag_ms               bigint NOT NULL CHECK (lag_ms >= 0),
    replay_ms_per_candle bigint CHECK (replay_ms_per_candle >= 0),
    speed                integer CHECK (speed BETWEEN 1 AND 200),
    gap_policy           text NOT NULL CHECK (gap_policy IN ('fail', 'skip', 'fill')),
    gap_grace_ms         bigint NOT NULL CHECK (gap_grace_ms >= 0),
    mode                 text NOT NULL DEFAULT 'replay' CHECK (mode = 'replay'),
    status               text NOT NULL DEFAULT 'created'
                         CHECK (status IN ('created', 'running', 'paused', 'stopped', 'finished', 'failed')),
    cursor_ms            bigint,
    last_seq             bigint NOT NULL DEFAULT 0,
    last_ts              bigint,
    error                text,
    error_details        jsonb,
    idempotency_key      text,
    request_hash         text,
    runner               text,
    incarnation          bigint,
    epoch                bigint NOT NULL DEFAULT 0,
    takeovers            integer NOT NULL DEFAULT 0,
    takeover_cursor_ms   bigint,
    deleted_at           timestamptz,
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),
    CHECK ((replay_ms_per_candle IS NULL) <> (speed IS NULL)),
    UNIQUE (user_id, idempotency_key)
) WITH (fillfactor = 50);

CREATE INDEX sim_sessions_user_created ON sim_sessions (user_id, created_at);
CREATE INDEX sim_sessions_status ON sim_sessions (status);

COMMENT ON TABLE sim_sessions IS 'One replay each: what was asked for, where it stands, and the counter its log takes seq from.';
COMMENT ON COLUMN sim_sessions.id IS 'Identity, also in URLs.';
COMMENT ON COLUMN sim_sessions.user_id IS 'Owner, opaque; everyone else sees nothing.';
COMMENT ON COLUMN sim_sessions.kind IS 'sim = full log with strategy; market = candles only, for the market dialect.';
COMMENT ON COLUMN sim_sessions.name IS 'Free text of the owner.';
COMMENT ON COLUMN sim_sessions.tags IS 'Free words of the owner, to filter by.';
COMMENT ON COLUMN sim_sessions.profile_slug IS 'Strategy; none = candles only.';
COMMENT ON COLUMN sim_sessions.config IS 'Parameters of the strategy.';
COMMENT ON COLUMN sim_sessions.venue IS 'Where the candles come from; part of their key.';
COMMENT ON COLUMN sim_sessions.symbols IS 'Symbols in the order they have within a slot.';
COMMENT ON COLUMN sim_sessions.timeframe IS 'Length of a candle: 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w.';
COMMENT ON COLUMN sim_sessions.start_ms IS 'First openTime wanted, inclusive, ms UTC.';
COMMENT ON COLUMN sim_sessions.end_ms IS 'End of the range, exclusive, ms UTC; null = endless, following the market.';
COMMENT ON COLUMN sim_sessions.lag_ms IS 'A candle is due at max(closeTime, openTime + lag_ms).';
COMMENT ON COLUMN sim_sessions.replay_ms_per_candle IS 'Pause between ticks in ms, 0 = unpaced; null when speed is given.';
COMMENT ON COLUMN sim_sessions.speed IS 'Pause between ticks = timeframe / speed; null when the pace is given in ms.';
COMMENT ON COLUMN sim_sessions.gap_policy IS 'What a missing candle does: fail, skip or fill.';
COMMENT ON COLUMN sim_sessions.gap_grace_ms IS 'How long after its close a missing candle is waited for near the live edge, ms.';
COMMENT ON COLUMN sim_sessions.mode IS 'Always replay.';
COMMENT ON COLUMN sim_sessions.status IS 'created, running, paused, stopped, finished or failed.';
COMMENT ON COLUMN sim_sessions.cursor_ms IS 'openTime of the last slot done, emitted or passed over; null before the first.';
COMMENT ON COLUMN sim_sessions.last_seq IS 'Highest seq in the log, which has no holes below it.';
COMMENT ON COLUMN sim_sessions.last_ts IS 'ts of the last event, ms; null while the log is empty.';
COMMENT ON COLUMN sim_sessions.error IS 'Why the session failed, one sentence.';
COMMENT ON COLUMN sim_sessions.error_details IS 'What the sentence is about: gaps, divergence ...';
COMMENT ON COLUMN sim_sessions.idempotency_key IS 'Key of the creating call, unique per user.';
COMMENT ON COLUMN sim_sessions.request_hash IS 'SHA-256 of the creating call''s body, to tell a retry from a reuse.';
COMMENT ON COLUMN sim_sessions.runner IS 'Process that runs the session; null = running and up for a claim, or not running.';
COMMENT ON COLUMN sim_sessions.incarnation IS 'Which life of that process claimed it.';
COMMENT ON COLUMN sim_sessions.epoch IS 'Fencing token: raised by every move; an append must name the present one.';
COMMENT ON COLUMN sim_sessions.takeovers IS 'Takeovers since the cursor last moved.';
COMMENT ON COLUMN sim_sessions.takeover_cursor_ms IS 'Cursor at the last takeover.';
COMMENT ON COLUMN sim_sessions.deleted_at IS 'Deletion began; the session is gone for its owner, rows follow in chunks.';
COMMENT ON COLUMN sim_sessions.created_at IS 'Creation, wall clock.';
COMMENT ON COLUMN sim_sessions.updated_at IS 'Last change, wall clock.';

CREATE TABLE sim_events (
    session_id uuid NOT NULL,
    seq        bigint NOT NULL,
    ts         bigint NOT NULL,
    type       text NOT NULL,
    payload    jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, seq)
);

CREATE INDEX sim_events_session_ts ON sim_events (session_id, ts);

COMMENT ON TABLE sim_events IS 'The log: per session seq is 1, 2, 3 ... without a hole, and commit order is seq order. No foreign key: the append''s own UPDATE proves the session.';
COMMENT ON COLUMN sim_events.session_id IS 'Session the event belongs to.';
COMMENT ON COLUMN sim_events.seq IS 'Place in the session''s log.';
COMMENT ON COLUMN sim_events.ts IS 'Simulated time, ms UTC; never decreases along seq.';
COMMENT ON COLUMN sim_events.type IS 'What happened: status, control, candle, gap, note ...';
COMMENT ON COLUMN sim_events.payload IS 'The event itself, camelCase.';
COMMENT ON COLUMN sim_events.created_at IS 'Wall clock of the append; not part of the stream.';

CREATE TABLE sim_runners (
    name        text PRIMARY KEY,
    incarnation bigint NOT NULL DEFAULT 1,
    ttl         interval NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    seen_at     timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE sim_runners IS 'Server processes; one is alive while seen_at + ttl lies ahead of the database clock.';
COMMENT ON COLUMN sim_runners.name IS 'ZEON_RUNNER, held by an advisory lock.';
COMMENT ON COLUMN sim_runners.incarnation IS 'Raised each time a process takes the name.';
COMMENT ON COLUMN sim_runners.ttl IS 'How long after seen_at the process counts as alive.';
COMMENT ON COLUMN sim_runners.started_at IS 'When this incarnation took the name.';
COMMENT ON COLUMN sim_runners.seen_at IS 'Last sign of life.';

CREATE TABLE sim_tokens (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id    text NOT NULL,
    name       text,
    token_hash text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

COMMENT ON TABLE sim_tokens IS 'Bearer tokens; the token itself is shown once and never stored.';
COMMENT ON COLUMN sim_tokens.id IS 'Identity, to revoke it by.';
COMMENT ON COLUMN sim_tokens.user_id IS 'Whom the token speaks for.';
COMMENT ON COLUMN sim_tokens.name IS 'Where it is used, free text.';
COMMENT ON COLUMN sim_tokens.token_hash IS 'SHA-256 of the token, hex.';
COMMENT ON COLUMN sim_tokens.created_at IS 'Creation.';
COMMENT ON COLUMN sim_tokens.revoked_at IS 'Since when it is worth nothing; null = valid.';

CREATE TABLE sim_requests (
    user_id    text NOT NULL,
    key        text NOT NULL,
    body_hash  text NOT NULL,
    answer     jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);

CREATE INDEX sim_requests_created ON sim_requests (created_at);

COMMENT ON TABLE sim_requests IS 'Answers of control calls that carried an Idempotency-Key, kept for 24 hours.';
COMMENT ON COLUMN sim_requests.user_id IS 'Caller.';
COMMENT ON COLUMN sim_requests.key IS 'Idempotency-Key of the call.';
COMMENT ON COLUMN sim_requests.body_hash IS 'SHA-256 of session and body, to tell a retry from a reuse.';
COMMENT ON COLUMN sim_requests.answer IS 'What was answered.';
COMMENT ON COLUMN sim_requests.created_at IS 'When it was answered.';
