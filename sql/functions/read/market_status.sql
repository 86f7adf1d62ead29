-- The market dialect has four words where a session has six: it cannot tell paused from stopped or failed.
CREATE OR REPLACE FUNCTION market_status(status text)
RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE market_status.status WHEN 'created' THEN 'CREATED' WHEN 'running' THEN 'RUNNING'
                                   WHEN 'finished' THEN 'DONE' ELSE 'STOPPED' END;
$$;

COMMENT ON FUNCTION market_status(text) IS 'A status in the words of the market dialect.';
