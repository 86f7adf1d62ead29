-- The seq of the first simulated event at or after a time, null if there is none. ts never decreases with seq, so the
-- index on ts gives a position in the log.
CREATE OR REPLACE FUNCTION sim_seq_at(session uuid, ts bigint)
RETURNS bigint
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  SELECT e.seq
  FROM sim_events e
  WHERE e.session_id = sim_seq_at.session AND e.ts >= sim_seq_at.ts AND sim_is_simulated(e.type)
  ORDER BY e.ts, e.seq
  LIMIT 1;
$$;

COMMENT ON FUNCTION sim_seq_at(uuid, bigint) IS 'Seq of the first simulated event at or after a time.';
