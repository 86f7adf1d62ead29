-- The next events of some types from a seq on (inclusive). Rare types are read from their index, each by itself. The
-- others (candle, equity, plot) are found by reading the log, but not between `_last` and `_kept`: sim_kept says that
-- there are none of them. Each call is planned again.
CREATE OR REPLACE FUNCTION sim_matching_events(session uuid, from_seq bigint, max_rows bigint, types text[])
RETURNS TABLE (seq bigint, ts bigint, type text, payload jsonb)
LANGUAGE plpgsql STABLE
SET enable_sort = off
SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  _dense text[] := sim_dense_types(sim_matching_events.types);
  _kept bigint;
  _last bigint;
BEGIN
  IF cardinality(_dense) > 0 THEN
    SELECT k.kept_seq, k.last_seq INTO _kept, _last FROM sim_kept_types(sim_matching_events.session, _dense) k;
  END IF;

  RETURN QUERY
  SELECT m.seq, m.ts, m.type, m.payload
  FROM (
    SELECT r.*
    FROM (SELECT DISTINCT unnest(sim_matching_events.types) AS type) t
    CROSS JOIN LATERAL (
      SELECT e.seq, e.ts, e.type, e.payload
      FROM sim_events e
      WHERE e.session_id = sim_matching_events.session AND e.seq >= sim_matching_events.from_seq
        AND e.type = t.type AND e.type NOT IN ('candle', 'equity', 'plot')
      ORDER BY e.seq
      LIMIT sim_matching_events.max_rows) r
    UNION ALL
    SELECT d.*
    FROM (VALUES (sim_matching_events.from_seq, _last),
                 (greatest(sim_matching_events.from_seq, _kept + 1), 9223372036854775807)) AS v (first, last)
    CROSS JOIN LATERAL (
      SELECT e.seq, e.ts, e.type, e.payload
      FROM sim_events e
      WHERE e.session_id = sim_matching_events.session AND e.seq BETWEEN v.first AND v.last AND e.type = ANY (_dense)
      ORDER BY e.seq
      LIMIT sim_matching_events.max_rows) d
    WHERE _kept IS NOT NULL
  ) m
  ORDER BY m.seq
  LIMIT sim_matching_events.max_rows;
END;
$$;

COMMENT ON FUNCTION sim_matching_events(uuid, bigint, bigint, text[]) IS 'The next events of some types from a seq on; types that are not there are not searched for in the whole log.';
