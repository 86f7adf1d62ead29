-- Delete a session that is not running, 50,000 events per call, so that no call takes long: repeat it until it returns
-- true. The newest events are deleted first, and last_seq is lowered, so that the rest is always a log without gaps. For
-- its owner the session is gone from the first call on.
--
-- The serving role may not delete events, so this function runs with the rights of its owner.
CREATE OR REPLACE FUNCTION sim_delete_session(session uuid, user_id text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
  _max_events CONSTANT integer := 50000;
  _row sim_sessions;
  _last_seq bigint;
BEGIN
  SELECT s.* INTO _row
  FROM sim_sessions s
  WHERE s.id = sim_delete_session.session AND s.user_id = sim_delete_session.user_id
  FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'There is no session %.', sim_delete_session.session USING ERRCODE = 'ZN001';
  END IF;
  IF _row.status = 'running' THEN
    RAISE EXCEPTION 'The session is running.' USING ERRCODE = 'ZN002', HINT = 'Pause or stop it first.';
  END IF;

  _last_seq := greatest(_row.last_seq - _max_events, 0);
  DELETE FROM sim_events e WHERE e.session_id = _row.id AND e.seq > _last_seq;
  DELETE FROM sim_snapshots k WHERE k.session_id = _row.id;
  DELETE FROM sim_kept k WHERE k.session_id = _row.id;
  DELETE FROM sim_kept_curve k WHERE k.session_id = _row.id;
  DELETE FROM sim_commands c WHERE c.session_id = _row.id;
  DELETE FROM sim_tokens t WHERE t.session_id = _row.id;
  IF _last_seq = 0 THEN
    DELETE FROM sim_sessions s WHERE s.id = _row.id;
    PERFORM sim_notify('sim_events', _row.id || ':0');
    RETURN true;
  END IF;
  UPDATE sim_sessions s
  SET last_seq = _last_seq, log_bytes = s.log_bytes * _last_seq / _row.last_seq, deleted_at = coalesce(s.deleted_at, now())
  WHERE s.id = _row.id;
  RETURN false;
END;
$$;

COMMENT ON FUNCTION sim_delete_session(uuid, text) IS 'Delete a session that is not running and its log, 50,000 events per call; returns true when nothing is left.';
