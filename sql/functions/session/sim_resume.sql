-- Resume a session: it is marked running without a runner, and a living server claims it. Without a living server it is
-- refused (ZN004), because a session marked running must have a server that can run it.
CREATE OR REPLACE FUNCTION sim_resume(session uuid)
RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM sim_runners r WHERE r.seen_at + r.ttl > clock_timestamp()) THEN
    RAISE EXCEPTION 'No server process is alive to run the session.'
    USING ERRCODE = 'ZN004', HINT = 'Start one with `zeon serve`.';
  END IF;
  RETURN sim_session_move(sim_resume.session, '{paused}', 'running', 'resumed in SQL');
END;
$$;

COMMENT ON FUNCTION sim_resume(uuid) IS 'Resume a paused session in any living server; returns the status.';
