-- The state of sim_stats that is kept of a log, up to a seq at most (null: any); null if none is.
CREATE OR REPLACE FUNCTION sim_kept_state(session uuid, until_seq bigint)
RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT k.state
  FROM sim_kept k
  WHERE k.session_id = sim_kept_state.session AND k.seq <= coalesce(sim_kept_state.until_seq, k.seq);
$$;

COMMENT ON FUNCTION sim_kept_state(uuid, bigint) IS 'State of the statistics that is kept of a log.';
