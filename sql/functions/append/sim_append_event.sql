-- Append one note or control event, in any status. The row lock gives it the next seq, in order with the ticks. Without
-- ts it gets the ts of the last event; a given ts must not be earlier than that, nor later than the end of the slot at
-- the cursor.
CREATE OR REPLACE FUNCTION sim_append_event(session uuid, ts bigint, type text, payload jsonb)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  _max_payload_bytes CONSTANT integer := 65536;
  _row sim_sessions;
  _from_ms bigint;
  _to_ms bigint;
BEGIN
  SELECT s.* INTO _row
  FROM sim_sessions s
  WHERE s.id = sim_append_event.session AND s.deleted_at IS NULL
  FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'There is no session %.', sim_append_event.session USING ERRCODE = 'ZN001';
  END IF;

  IF sim_append_event.type IS NULL OR sim_append_event.type NOT IN ('note', 'control') THEN
    RAISE EXCEPTION 'type: only note and control are appended by hand.' USING ERRCODE = 'ZN003';
  END IF;
  IF sim_append_event.type = 'control'
    AND sim_append_event.payload ->> 'action' IN ('order', 'cancel', 'close') THEN
    RAISE EXCEPTION 'payload.action: % is written by its command only.', sim_append_event.payload ->> 'action'
    USING ERRCODE = 'ZN003', HINT = 'Use sim_order, sim_cancel or sim_close.';
  END IF;
  IF jsonb_typeof(sim_append_event.payload) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION 'payload: must be a JSON object.' USING ERRCODE = 'ZN003';
  END IF;
  IF octet_length(sim_append_event.payload::text) > _max_payload_bytes THEN
    RAISE EXCEPTION 'payload: at most % bytes are allowed.', _max_payload_bytes USING ERRCODE = 'ZN003';
  END IF;

  _from_ms := coalesce(_row.last_ts, _row.start_ms);
  _to_ms := greatest(_from_ms, coalesce(_row.cursor_ms + timeframe_ms(_row.timeframe), _row.start_ms));
  IF sim_append_event.ts NOT BETWEEN _from_ms AND _to_ms THEN
    RAISE EXCEPTION 'ts: must lie between % and %.', _from_ms, _to_ms
    USING ERRCODE = 'ZN003', HINT = 'Leave it null to use the time of the last event.';
  END IF;

  UPDATE sim_sessions s
  SET last_seq = s.last_seq + 1,
      log_bytes = s.log_bytes + octet_length(sim_append_event.payload::text),
      last_ts = coalesce(sim_append_event.ts, _from_ms),
      updated_at = now()
  WHERE s.id = _row.id
  RETURNING s.* INTO _row;
  INSERT INTO sim_events (session_id, seq, ts, type, payload)
  VALUES (_row.id, _row.last_seq, _row.last_ts, sim_append_event.type, sim_append_event.payload);
  PERFORM sim_notify('sim_events', _row.id || ':' || _row.last_seq);
  RETURN _row.last_seq;
END;
$$;

COMMENT ON FUNCTION sim_append_event(uuid, bigint, text, jsonb) IS 'Append one note (or control) event; answers its seq.';
