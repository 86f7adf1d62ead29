-- Forks: a session that shares another one's past and goes its own way.
-- depends: 0004-trading

ALTER TABLE sim_sessions
    ADD COLUMN parent_id uuid,
    ADD COLUMN fork_seq bigint,
    ADD COLUMN lineage jsonb NOT NULL DEFAULT '[]';

COMMENT ON COLUMN sim_sessions.parent_id IS 'Session this one was forked from, which may be gone by now; null = none.';
COMMENT ON COLUMN sim_sessions.fork_seq IS 'Up to which seq the log is the parent''s.';
COMMENT ON COLUMN sim_sessions.lineage IS 'Per ancestor, oldest first: sessionId, up to which seq and cursor, profile, config and terms.';
