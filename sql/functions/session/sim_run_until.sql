-- Run a created or paused session up to a limit, then it pauses by itself: after some ticks, at a time, or after an
-- event of a type. The limit is in the row before the first tick; the pause is written in the last tick's transaction.
-- A jump ignores the pace up to its time.
CREATE OR REPLACE FUNCTION sim_run_until(
  session uuid, steps integer, until_ms bigint, until_type text, actor text, runner text, incarnation bigint,
  jump boolean DEFAULT false)
RETURNS SETOF sim_sessions
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  _action text := CASE
    WHEN sim_run_until.jump THEN 'jump' WHEN sim_run_until.steps IS NULL THEN 'runUntil' ELSE 'step' END;
BEGIN
  PERFORM FROM sim_transition(
    session => sim_run_until.session,
    from_status => '{created,paused}',
    to_status => 'running',
    reason => _action,
    by => sim_run_until.actor,
    runner => sim_run_until.runner,
    incarnation => sim_run_until.incarnation);
  IF NOT FOUND THEN
    RETURN;
  END IF;

  PERFORM sim_append_event(sim_run_until.session, NULL, 'control', jsonb_build_object(
    'action', _action, 'by', sim_run_until.actor, 'args', jsonb_strip_nulls(jsonb_build_object(
      'candles', sim_run_until.steps, 'timeMs', sim_run_until.until_ms, 'eventType', sim_run_until.until_type))));
  RETURN QUERY
  UPDATE sim_sessions s
  SET steps_left = sim_run_until.steps,
      until_ms = sim_run_until.until_ms,
      until_type = sim_run_until.until_type,
      jump_ms = CASE WHEN sim_run_until.jump THEN sim_run_until.until_ms ELSE s.jump_ms END
  WHERE s.id = sim_run_until.session
  RETURNING s.*;
END;
$$;

COMMENT ON FUNCTION sim_run_until(uuid, integer, bigint, text, text, text, bigint, boolean) IS 'Run a session up to a number of ticks, a time or an event of a type; returns the row, or nothing if its status does not allow it.';
