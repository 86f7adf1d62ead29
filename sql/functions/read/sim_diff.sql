-- Where two logs part: the first place at which what they simulated differs, leaving out who steered them. No row
-- when one is the other, or its beginning has nothing behind it.
CREATE OR REPLACE FUNCTION sim_diff(a uuid, b uuid)
RETURNS TABLE (place bigint, seq_a bigint, seq_b bigint, event_a jsonb, event_b jsonb) LANGUAGE sql STABLE AS $$
  WITH one AS (
    SELECT row_number() OVER (ORDER BY e.seq) AS place, e.* FROM sim_events e
    WHERE e.session_id = sim_diff.a AND e.type NOT IN ('status', 'control', 'note')
  ), other AS (
    SELECT row_number() OVER (ORDER BY e.seq) AS place, e.* FROM sim_events e
    WHERE e.session_id = sim_diff.b AND e.type NOT IN ('status', 'control', 'note')
  )
  SELECT place, one.seq, other.seq,
         CASE WHEN one.seq IS NOT NULL THEN jsonb_build_object('ts', one.ts, 'type', one.type, 'payload', one.payload) END,
         CASE WHEN other.seq IS NOT NULL THEN jsonb_build_object('ts', other.ts, 'type', other.type, 'payload', other.payload) END
  FROM one FULL JOIN other USING (place)
  WHERE (one.ts, one.type, one.payload) IS DISTINCT FROM (other.ts, other.type, other.payload)
  ORDER BY place LIMIT 1;
$$;

COMMENT ON FUNCTION sim_diff(uuid, uuid) IS 'First place at which two logs differ: both seqs and both events, null where a log has ended.';
