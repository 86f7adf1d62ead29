-- Hash the simulated events: equal input gives an equal digest, at any pace, with any pauses and crashes.
CREATE OR REPLACE FUNCTION sim_log_digest(session uuid)
RETURNS text
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  SELECT encode(sha256(coalesce(string_agg(
           sha256(convert_to(e.ts || ' ' || e.type || ' ' || e.payload::text, 'UTF8')), ''::bytea
           ORDER BY e.seq), '')), 'hex')
  FROM sim_events e
  WHERE e.session_id = sim_log_digest.session AND sim_is_simulated(e.type);
$$;

COMMENT ON FUNCTION sim_log_digest(uuid) IS 'Hex SHA-256 over the SHA-256 of each simulated event''s ts, type and payload in seq order.';
