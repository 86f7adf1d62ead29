-- The digest of a log that has ended is computed once and kept with its session.
-- depends: 0005-fork 0006-built

ALTER TABLE sim_sessions ADD COLUMN digest text;

COMMENT ON COLUMN sim_sessions.digest IS 'sim_log_digest of a session that has ended, once somebody asked for it; null = not computed, or it goes on.';
