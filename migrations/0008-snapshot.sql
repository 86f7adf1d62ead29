-- Snapshots: what a strategy remembered at some tick, so that a long session resumes at once. A cache of the log.
-- depends: 0007-digest

CREATE TABLE sim_snapshots (
    session_id uuid NOT NULL,
    cursor_ms bigint NOT NULL,
    seq bigint NOT NULL,
    log_hash text NOT NULL,
    body_hash text NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, cursor_ms)
);

COMMENT ON TABLE sim_snapshots IS 'States of sessions at some of their ticks, a cache that is never trusted over the log; the two newest of each session.';
COMMENT ON COLUMN sim_snapshots.session_id IS 'Session; no foreign key, as with events.';
COMMENT ON COLUMN sim_snapshots.cursor_ms IS 'openTime of the last slot done, ms since the epoch.';
COMMENT ON COLUMN sim_snapshots.seq IS 'Last event of the log at that moment.';
COMMENT ON COLUMN sim_snapshots.log_hash IS 'Hex SHA-256 of the last events up to seq: other ones make it void.';
COMMENT ON COLUMN sim_snapshots.body_hash IS 'Hex SHA-256 of the body, of all the session was asked for, and of the code that computes it.';
COMMENT ON COLUMN sim_snapshots.body IS 'The state as JSON text, decimals to the last digit.';
COMMENT ON COLUMN sim_snapshots.created_at IS 'When it was taken.';
