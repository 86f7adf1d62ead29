-- The seq of the simulated event number `number` (from 1) after a seq.
CREATE OR REPLACE FUNCTION sim_simulated_seq(session uuid, number bigint, after_seq bigint DEFAULT 0)
RETURNS bigint
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  SELECT e.seq
  FROM sim_events e
  WHERE e.session_id = sim_simulated_seq.session
    AND e.seq > sim_simulated_seq.after_seq
    AND sim_is_simulated(e.type)
  ORDER BY e.seq
  OFFSET sim_simulated_seq.number - 1
  LIMIT 1;
$$;

COMMENT ON FUNCTION sim_simulated_seq(uuid, bigint, bigint) IS 'Seq of the simulated event with a number, counted from 1 after a seq.';
