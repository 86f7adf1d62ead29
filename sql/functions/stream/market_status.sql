-- The market dialect has four statuses, sessions have six: paused, stopped and failed are all STOPPED.
CREATE OR REPLACE FUNCTION market_status(status text)
RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE market_status.status WHEN 'created' THEN 'CREATED' WHEN 'running' THEN 'RUNNING'
                                   WHEN 'finished' THEN 'DONE' ELSE 'STOPPED' END;
$$;

COMMENT ON FUNCTION market_status(text) IS 'The status of the market dialect for a session status.';
