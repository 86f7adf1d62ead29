-- Sessions with readable times and the progress in percent of the slots.
CREATE OR REPLACE VIEW sim_view_sessions AS
SELECT
  s.id,
  s.user_id,
  s.name,
  s.kind,
  s.profile_slug,
  s.venue,
  array_to_string(s.symbols, ' ') AS symbols,
  s.timeframe,
  s.status,
  to_timestamp(s.start_ms / 1000.0) AS starts,
  to_timestamp(s.end_ms / 1000.0) AS ends,
  to_timestamp(s.cursor_ms / 1000.0) AS at,
  coalesce(
    round(100.0 * (coalesce(candle_slot_ms(s.timeframe, s.cursor_ms), g.before_ms) - g.before_ms)
          / nullif(g.last_ms - g.before_ms, 0), 1),
    CASE WHEN s.end_ms IS NOT NULL THEN 100 END
  ) AS percent,
  s.last_seq,
  s.runner,
  s.epoch,
  s.error,
  s.created_at,
  s.updated_at,
  coalesce(s.replay_ms_per_candle, timeframe_ms(s.timeframe) / s.speed) AS pause_ms
FROM sim_sessions s
CROSS JOIN LATERAL (
  SELECT candle_slot_ms(s.timeframe, s.start_ms - 1) AS before_ms, candle_slot_ms(s.timeframe, s.end_ms - 1) AS last_ms) g
WHERE s.deleted_at IS NULL;

COMMENT ON VIEW sim_view_sessions IS 'Sessions with readable times and progress.';
