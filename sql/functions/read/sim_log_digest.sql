-- What was simulated, without who steered it: equal input gives an equal digest whatever the pace, pauses or crashes.
CREATE OR REPLACE FUNCTION sim_log_digest(session uuid)
RETURNS text LANGUAGE sql STABLE AS $$
  SELECT encode(sha256(coalesce(string_agg(
           sha256(convert_to(e.ts || ' ' || e.type || ' ' || e.payload::text, 'UTF8')), ''::bytea ORDER BY e.seq), '')), 'hex')
  FROM sim_events e
  WHERE e.session_id = sim_log_digest.session AND e.type NOT IN ('status', 'control', 'note');
$$;

COMMENT ON FUNCTION sim_log_digest(uuid) IS 'Hex SHA-256 over the SHA-256 of each event''s ts, type and payload in seq order, without status, control and note.';
