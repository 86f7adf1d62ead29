-- Sessions to read by eye: times as timestamps, the range's progress in percent.
CREATE OR REPLACE VIEW sim_view_sessions AS
SELECT s.id, s.user_id, s.name, s.kind, s.profile_slug, s.venue, array_to_string(s.symbols, ' ') AS symbols, s.timeframe, s.status,
       to_timestamp(s.start_ms / 1000.0) AS starts, to_timestamp(s.end_ms / 1000.0) AS ends, to_timestamp(s.cursor_ms / 1000.0) AS at,
       round(100.0 * (s.cursor_ms + timeframe_ms(s.timeframe) - s.start_ms) / nullif(s.end_ms - s.start_ms, 0), 1) AS percent,
       s.last_seq, s.runner, s.epoch, s.error, s.created_at, s.updated_at
FROM sim_sessions s
WHERE s.deleted_at IS NULL;

COMMENT ON VIEW sim_view_sessions IS 'Sessions to read by eye.';
