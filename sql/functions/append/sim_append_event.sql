-- One event by hand or of a control, in any status, in line with everything else: the row lock gives it the next
-- seq. ts null = the last event's; given, it may not lie before that nor behind the end of the cursor's slot.
CREATE OR REPLACE FUNCTION sim_append_event(session uuid, ts bigint, type text, payload jsonb)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  _row sim_sessions;
  _from bigint;
  _to bigint;
BEGIN
  SELECT s.* INTO _row FROM sim_sessions s
  WHERE s.id = sim_append_event.session AND s.deleted_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'There is no session %.', sim_append_event.session USING ERRCODE = 'ZN001';
  END IF;

  IF sim_append_event.type IS NULL OR sim_append_event.type NOT IN ('note', 'control') THEN
    RAISE EXCEPTION 'type: only note and control are appended by hand.' USING ERRCODE = 'ZN003';
  END IF;
  IF jsonb_typeof(sim_append_event.payload) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION 'payload: must be a JSON object.' USING ERRCODE = 'ZN003';
  END IF;
  IF octet_length(sim_append_event.payload::text) > 65536 THEN
    RAISE EXCEPTION 'payload: at most 65536 bytes are allowed.' USING ERRCODE = 'ZN003';
  END IF;

  _from := coalesce(_row.last_ts, _row.start_ms);
  _to := greatest(_from, coalesce(_row.cursor_ms + timeframe_ms(_row.timeframe), _row.start_ms));
  IF sim_append_event.ts NOT BETWEEN _from AND _to THEN
    RAISE EXCEPTION 'ts: must lie between % and %.', _from, _to USING ERRCODE = 'ZN003';
  END IF;

  UPDATE sim_sessions s SET last_seq = s.last_seq + 1, last_ts = coalesce(sim_append_event.ts, _from), updated_at = now()
  WHERE s.id = _row.id;
  INSERT INTO sim_events (session_id, seq, ts, type, payload)
  VALUES (_row.id, _row.last_seq + 1, coalesce(sim_append_event.ts, _from), sim_append_event.type, sim_append_event.payload);
  PERFORM sim_notify('sim_events', _row.id || ':' || _row.last_seq + 1);
  RETURN _row.last_seq + 1;
END;
$$;

COMMENT ON FUNCTION sim_append_event(uuid, bigint, text, jsonb) IS 'Append one note (or control) event; answers its seq.';
