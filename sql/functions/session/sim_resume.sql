-- Resume a session: it is marked running without a runner, and a living server claims it. Without a living server it is
-- refused (ZN004), because a session marked running must have a server that can run it. A created session
-- is refused too: before it first runs, its candles are fetched, built and checked, which SQL cannot do.
CREATE OR REPLACE FUNCTION sim_resume(session uuid)
RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM sim_runners r WHERE sim_runner_alive(r.seen_at, r.ttl)) THEN
    RAISE EXCEPTION 'No server process is alive to run the session.'
    USING ERRCODE = 'ZN004', HINT = 'Start one with `zeon serve`.';
  END IF;
  IF EXISTS (SELECT FROM sim_sessions s
             WHERE s.id = sim_resume.session AND s.status = 'created' AND s.deleted_at IS NULL) THEN
    RAISE EXCEPTION 'The session is created, it cannot become running in SQL.'
    USING ERRCODE = 'ZN002',
          HINT = 'Start it with `zeon sessions start` or over HTTP: its candles are fetched, built and checked first.';
  END IF;
  RETURN sim_session_move(sim_resume.session, '{paused}', 'running', 'resumed in SQL');
END;
$$;

COMMENT ON FUNCTION sim_resume(uuid) IS 'Resume a paused session in any living server; returns the status.';
