-- The row goes up for a claim: whichever living process sees it first runs it. Without one alive it is refused
-- (ZN004), since nothing may say running that nobody runs.
CREATE OR REPLACE FUNCTION sim_resume(session uuid)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM sim_runners r WHERE r.seen_at + r.ttl > clock_timestamp()) THEN
    RAISE EXCEPTION 'No server process is alive to run the session.' USING ERRCODE = 'ZN004';
  END IF;
  RETURN sim_move(sim_resume.session, '{paused}', 'running', 'resumed in SQL');
END;
$$;

COMMENT ON FUNCTION sim_resume(uuid) IS 'Let a paused session go on in any living process; answers the status.';
