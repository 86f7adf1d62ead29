-- Once it has answered and committed, no tick of the session can follow.
CREATE OR REPLACE FUNCTION sim_pause(session uuid)
RETURNS text LANGUAGE sql AS $$
  SELECT sim_move(sim_pause.session, '{running}', 'paused', 'paused in SQL');
$$;

COMMENT ON FUNCTION sim_pause(uuid) IS 'Pause a running session; answers the status.';
