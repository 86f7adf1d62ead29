-- Change a status in SQL. A session that already has the status stays as it is; raises ZN002 if the status does not
-- allow it, ZN001 for an unknown session.
CREATE OR REPLACE FUNCTION sim_session_move(session uuid, from_status text[], to_status text, reason text)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  _status text;
BEGIN
  PERFORM sim_transition(
    sim_session_move.session, sim_session_move.from_status, sim_session_move.to_status, sim_session_move.reason,
    current_user::text);

  SELECT s.status INTO _status
  FROM sim_sessions s
  WHERE s.id = sim_session_move.session AND s.deleted_at IS NULL;
  IF _status IS NULL THEN
    RAISE EXCEPTION 'There is no session %.', sim_session_move.session USING ERRCODE = 'ZN001';
  END IF;
  IF _status <> sim_session_move.to_status THEN
    RAISE EXCEPTION 'The session is %, it cannot become %.', _status, sim_session_move.to_status
    USING ERRCODE = 'ZN002',
          HINT = format('Possible from: %s.', array_to_string(sim_session_move.from_status, ', '));
  END IF;
  RETURN _status;
END;
$$;

COMMENT ON FUNCTION sim_session_move(uuid, text[], text, text) IS 'Change a status in SQL; used by sim_pause, sim_resume and sim_stop.';
