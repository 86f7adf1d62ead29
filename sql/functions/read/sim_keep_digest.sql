-- The digest of a log that has ended. It is computed once and kept in the session's row until the session is started
-- again. While one call computes it, others get null and may ask again.
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

  -- Another epoch means that the session was started again meanwhile.
  _digest := sim_log_digest(_row.id);
  UPDATE sim_sessions s
  SET digest = _digest
  WHERE s.id = _row.id AND s.epoch = _row.epoch AND s.deleted_at IS NULL;
  RETURN CASE WHEN FOUND THEN _digest END;
END;
$$;

COMMENT ON FUNCTION sim_keep_digest(uuid) IS 'Digest of a log that has ended, computed once and kept; null while the session goes on or another call computes it.';
