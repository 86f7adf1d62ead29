-- The first position at which the next max_rows simulated events of two logs differ, from 1; no row if they are equal.
CREATE OR REPLACE FUNCTION sim_diff_piece(a uuid, b uuid, after_a bigint, after_b bigint, max_rows bigint)
RETURNS TABLE (place bigint, seq_a bigint, seq_b bigint, event_a jsonb, event_b jsonb)
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  WITH log_a AS (
    SELECT row_number() OVER (ORDER BY e.seq) AS place, e.*
    FROM sim_events e
    WHERE e.session_id = sim_diff_piece.a AND e.seq > sim_diff_piece.after_a AND sim_is_simulated(e.type)
    ORDER BY e.seq
    LIMIT sim_diff_piece.max_rows
  ), log_b AS (
    SELECT row_number() OVER (ORDER BY e.seq) AS place, e.*
    FROM sim_events e
    WHERE e.session_id = sim_diff_piece.b AND e.seq > sim_diff_piece.after_b AND sim_is_simulated(e.type)
    ORDER BY e.seq
    LIMIT sim_diff_piece.max_rows
  )
  SELECT
    place,
    a.seq,
    b.seq,
    CASE WHEN a.seq IS NOT NULL THEN jsonb_build_object('ts', a.ts, 'type', a.type, 'payload', a.payload) END,
    CASE WHEN b.seq IS NOT NULL THEN jsonb_build_object('ts', b.ts, 'type', b.type, 'payload', b.payload) END
  FROM log_a a
  FULL JOIN log_b b USING (place)
  WHERE (a.ts, a.type, a.payload) IS DISTINCT FROM (b.ts, b.type, b.payload)
  ORDER BY place
  LIMIT 1;
$$;

COMMENT ON FUNCTION sim_diff_piece(uuid, uuid, bigint, bigint, bigint) IS 'First position at which a piece of two logs differs.';
