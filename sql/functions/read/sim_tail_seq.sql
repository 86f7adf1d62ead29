-- The seq of the first of the last `events` events (of some types), 1 if there are fewer. As in sim_matching_events, rare
-- types are read from their index, and others only where there may be some. Each call is planned again.
CREATE OR REPLACE FUNCTION sim_tail_seq(session uuid, events bigint, types text[])
RETURNS bigint
LANGUAGE plpgsql STABLE
SET enable_sort = off
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  _dense text[] := sim_dense_types(sim_tail_seq.types);
  _kept bigint;
  _last bigint;
BEGIN
  IF sim_tail_seq.types IS NULL THEN
    RETURN coalesce((
      SELECT greatest(s.last_seq - sim_tail_seq.events + 1, 1)
      FROM sim_sessions s
      WHERE s.id = sim_tail_seq.session), 1);
  END IF;
  IF cardinality(_dense) > 0 THEN
    SELECT k.kept_seq, k.last_seq INTO _kept, _last FROM sim_kept_types(sim_tail_seq.session, _dense) k;
  END IF;

  RETURN coalesce((
    SELECT m.seq
    FROM (
      SELECT r.seq
      FROM (SELECT DISTINCT unnest(sim_tail_seq.types) AS type) t
      CROSS JOIN LATERAL (
        SELECT e.seq
        FROM sim_events e
        WHERE e.session_id = sim_tail_seq.session AND e.type = t.type AND e.type NOT IN ('candle', 'equity', 'plot')
        ORDER BY e.seq DESC
        LIMIT sim_tail_seq.events) r
      UNION ALL
      SELECT d.seq
      FROM (VALUES (_kept + 1, 9223372036854775807), (0, _last)) AS v (first, last)
      CROSS JOIN LATERAL (
        SELECT e.seq
        FROM sim_events e
        WHERE e.session_id = sim_tail_seq.session AND e.seq BETWEEN v.first AND v.last AND e.type = ANY (_dense)
        ORDER BY e.seq DESC
        LIMIT sim_tail_seq.events) d
      WHERE _kept IS NOT NULL
    ) m
    ORDER BY m.seq DESC
    OFFSET sim_tail_seq.events - 1
    LIMIT 1), 1);
END;
$$;

COMMENT ON FUNCTION sim_tail_seq(uuid, bigint, text[]) IS 'Seq of the first of the last events of a log, of some types.';
