-- Hash the last 200 events up to a seq. A snapshot is only used if this hash has not changed since it was taken.
CREATE OR REPLACE FUNCTION sim_log_hash(session uuid, seq bigint)
RETURNS text
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  SELECT encode(sha256(convert_to(
           string_agg(concat_ws(' ', e.seq, e.ts, e.type, e.payload), E'\n' ORDER BY e.seq), 'UTF8')), 'hex')
  FROM sim_events e
  WHERE e.session_id = sim_log_hash.session
    AND e.seq > sim_log_hash.seq - 200
    AND e.seq <= sim_log_hash.seq;
$$;

COMMENT ON FUNCTION sim_log_hash(uuid, bigint) IS 'Hex SHA-256 of the last 200 events up to a seq.';
