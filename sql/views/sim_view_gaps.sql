-- The gap events of sessions.
CREATE OR REPLACE VIEW sim_view_gaps AS
SELECT
  e.session_id,
  e.seq,
  e.ts,
  to_timestamp(e.ts / 1000.0) AS at,
  e.payload ->> 'symbol' AS symbol,
  e.payload ->> 'timeframe' AS timeframe,
  to_timestamp((e.payload ->> 'fromMs')::bigint / 1000.0) AS starts,
  to_timestamp((e.payload ->> 'toMs')::bigint / 1000.0) AS ends,
  (e.payload ->> 'missing')::bigint AS missing
FROM sim_events e
WHERE e.type = 'gap';

COMMENT ON VIEW sim_view_gaps IS 'Gap events with their times.';
