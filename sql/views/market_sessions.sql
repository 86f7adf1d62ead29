-- Sessions of the market dialect, with its statuses. A view, because one table holds the sessions of both dialects.
CREATE OR REPLACE VIEW market_sessions AS
SELECT
  s.id,
  s.user_id,
  s.created_at,
  s.mode,
  to_jsonb(s.symbols) AS symbols_json,
  s.timeframe,
  s.start_ms,
  s.end_ms,
  s.speed,
  market_status(s.status) AS status,
  s.cursor_ms
FROM sim_sessions s
WHERE s.kind = 'market' AND s.deleted_at IS NULL;

COMMENT ON VIEW market_sessions IS 'Sessions of the market dialect, with its statuses.';
