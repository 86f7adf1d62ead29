-- Stop a session for good. After the commit no tick of the session can follow.
CREATE OR REPLACE FUNCTION sim_stop(session uuid)
RETURNS text
LANGUAGE sql AS $$
  SELECT sim_session_move(sim_stop.session, '{created,running,paused,failed}', 'stopped', 'stopped in SQL');
$$;

COMMENT ON FUNCTION sim_stop(uuid) IS 'Stop a session for good; returns the status.';
