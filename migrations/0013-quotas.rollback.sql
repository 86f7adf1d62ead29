CREATE INDEX sim_events_rare ON sim_events (session_id, seq) WHERE type NOT IN ('candle', 'equity', 'plot');
DROP INDEX sim_events_by_type;
DROP TABLE sim_kept_curve;
DROP TABLE sim_kept;
ALTER TABLE sim_sessions DROP COLUMN log_bytes;
