-- Jump ahead to a time: everything up to it is computed and written as usual, but without pauses. For running sessions.
CREATE OR REPLACE FUNCTION sim_jump(session uuid, time_ms bigint, actor text)
RETURNS SETOF sim_sessions
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  UPDATE sim_sessions s
  SET jump_ms = sim_jump.time_ms, updated_at = now()
  WHERE s.id = sim_jump.session AND s.status = 'running' AND s.deleted_at IS NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'Only a running session can jump.' USING ERRCODE = 'ZN002', HINT = 'Start or resume it first.';
  END IF;

  PERFORM sim_append_event(sim_jump.session, NULL, 'control', jsonb_build_object(
    'action', 'jump', 'by', sim_jump.actor, 'args', jsonb_build_object('timeMs', sim_jump.time_ms)));
  PERFORM sim_notify('sim_control', sim_jump.session || ':jump');
  RETURN QUERY SELECT s.* FROM sim_sessions s WHERE s.id = sim_jump.session;
END;
$$;

COMMENT ON FUNCTION sim_jump(uuid, bigint, text) IS 'Let a running session run without pauses up to a time; returns the row.';
