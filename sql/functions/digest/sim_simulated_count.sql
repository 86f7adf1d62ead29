-- How many simulated events a log has up to a seq.
CREATE OR REPLACE FUNCTION sim_simulated_count(session uuid, to_seq bigint)
RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT count(*)
  FROM sim_events e
  WHERE e.session_id = sim_simulated_count.session
    AND e.seq <= sim_simulated_count.to_seq
    AND sim_is_simulated(e.type);
$$;

COMMENT ON FUNCTION sim_simulated_count(uuid, bigint) IS 'Number of simulated events up to a seq.';
