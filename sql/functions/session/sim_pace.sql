-- Change the pace: the row, its control event and the notification to the runner, in one transaction. Give exactly one
-- of replay_ms_per_candle and speed.
CREATE OR REPLACE FUNCTION sim_pace(session uuid, replay_ms_per_candle bigint, speed integer, actor text)
RETURNS SETOF sim_sessions
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  _status text;
BEGIN
  UPDATE sim_sessions s
  SET replay_ms_per_candle = sim_pace.replay_ms_per_candle,
      speed = sim_pace.speed,
      updated_at = now()
  WHERE s.id = sim_pace.session AND s.deleted_at IS NULL
  RETURNING s.status INTO _status;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'There is no session %.', sim_pace.session USING ERRCODE = 'ZN001';
  END IF;
  IF _status IN ('finished', 'stopped') THEN
    RAISE EXCEPTION 'The session is %; its pace cannot change.', _status USING ERRCODE = 'ZN002';
  END IF;

  PERFORM sim_append_event(sim_pace.session, NULL, 'control', jsonb_build_object(
    'action', 'pace', 'by', sim_pace.actor, 'args',
    jsonb_strip_nulls(jsonb_build_object('replayMsPerCandle', sim_pace.replay_ms_per_candle, 'speed', sim_pace.speed))));
  PERFORM sim_notify('sim_control', sim_pace.session || ':pace');
  RETURN QUERY SELECT s.* FROM sim_sessions s WHERE s.id = sim_pace.session;
END;
$$;

COMMENT ON FUNCTION sim_pace(uuid, bigint, integer, text) IS 'Change the pace of a session, also while it runs; returns the row.';
