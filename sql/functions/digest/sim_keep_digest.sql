-- The digest of an ended log. It is computed once and stored in the session's row until the session is started again.
-- While one call computes it, other calls get null and may try again.
CREATE OR REPLACE FUNCTION sim_keep_digest(session uuid)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  _row sim_sessions;
  _digest text;
BEGIN
  SELECT s.* INTO _row
  FROM sim_sessions s
  WHERE s.id = sim_keep_digest.session AND s.deleted_at IS NULL;
  IF NOT FOUND OR _row.digest IS NOT NULL OR _row.status NOT IN ('finished', 'stopped', 'failed') THEN
    RETURN _row.digest;
  END IF;
  IF NOT pg_try_advisory_xact_lock(sim_lock_key('digest', _row.id::text)) THEN
    RETURN NULL;
  END IF;

  -- Another epoch means that the session was started again during the computation.
  _digest := sim_log_digest(_row.id);
  UPDATE sim_sessions s
  SET digest = _digest
  WHERE s.id = _row.id AND s.epoch = _row.epoch AND s.deleted_at IS NULL;
  RETURN CASE WHEN FOUND THEN _digest END;
END;
$$;

COMMENT ON FUNCTION sim_keep_digest(uuid) IS 'Digest of an ended log, computed once and stored; null if the session has not ended or another call computes it.';
