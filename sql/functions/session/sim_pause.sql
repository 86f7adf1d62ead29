-- Pause a session. Once the call is committed, no tick of the session can follow: the append needs the row lock and the
-- status running.
CREATE OR REPLACE FUNCTION sim_pause(session uuid)
RETURNS text
LANGUAGE sql AS $$
  SELECT sim_session_move(sim_pause.session, '{running}', 'paused', 'paused in SQL');
$$;

COMMENT ON FUNCTION sim_pause(uuid) IS 'Pause a running session; returns the status.';
