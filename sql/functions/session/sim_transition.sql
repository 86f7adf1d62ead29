-- Change a status: every transition uses this UPDATE, with its status event in the same transaction. It raises the
-- epoch, so that the previous runner can no longer write. Only a transition to running clears the error. Returns no row
-- if the session's status is not in from_status, or its epoch is not the expected one.
CREATE OR REPLACE FUNCTION sim_transition(
  session uuid, from_status text[], to_status text, reason text, by text,
  runner text DEFAULT NULL, incarnation bigint DEFAULT NULL, expected_epoch bigint DEFAULT NULL,
  error text DEFAULT NULL, error_details jsonb DEFAULT NULL)
RETURNS SETOF sim_sessions
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  _keeps_error boolean := sim_transition.error IS NULL AND sim_transition.to_status <> 'running';
  _row sim_sessions;
BEGIN
  UPDATE sim_sessions s
  SET status = sim_transition.to_status,
      epoch = s.epoch + 1,
      last_seq = s.last_seq + 1,
      last_ts = coalesce(s.last_ts, s.start_ms),
      runner = sim_transition.runner,
      incarnation = sim_transition.incarnation,
      error = CASE WHEN _keeps_error THEN s.error ELSE sim_transition.error END,
      error_details = CASE WHEN _keeps_error THEN s.error_details ELSE sim_transition.error_details END,
      steps_left = CASE WHEN s.status = sim_transition.to_status THEN s.steps_left END,
      until_ms = CASE WHEN s.status = sim_transition.to_status THEN s.until_ms END,
      until_type = CASE WHEN s.status = sim_transition.to_status THEN s.until_type END,
      digest = NULL,
      updated_at = now()
  WHERE s.id = sim_transition.session
    AND s.status = ANY (sim_transition.from_status)
    AND s.epoch = coalesce(sim_transition.expected_epoch, s.epoch)
    AND s.deleted_at IS NULL
  RETURNING s.* INTO _row;
  IF NOT FOUND THEN
    RETURN;
  END IF;

  INSERT INTO sim_events (session_id, seq, ts, type, payload)
  VALUES (_row.id, _row.last_seq, _row.last_ts, 'status',
          jsonb_build_object('status', _row.status, 'reason', sim_transition.reason,
                             'cursorMs', _row.cursor_ms, 'by', sim_transition.by)
          || CASE WHEN sim_transition.error IS NULL THEN '{}' ELSE jsonb_build_object('error', sim_transition.error) END);

  DELETE FROM sim_snapshots k WHERE k.session_id = _row.id AND _row.status IN ('finished', 'stopped');
  PERFORM sim_notify('sim_events', _row.id || ':' || _row.last_seq);
  -- The runner that claimed the session with this epoch need not read the row again.
  PERFORM sim_notify('sim_control', concat_ws(':', _row.id, _row.status, _row.runner || ':' || _row.epoch));
  RETURN NEXT _row;
END;
$$;

COMMENT ON FUNCTION sim_transition(uuid, text[], text, text, text, text, bigint, bigint, text, jsonb) IS 'Change a session from one of some statuses to another; returns the new row, or nothing.';
