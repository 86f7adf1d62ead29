-- The cursor at the end of a tick, in a full log: the open time of the last base candle or, after a trailing gap, the
-- last slot of the range. Null before the first candle.
CREATE OR REPLACE FUNCTION sim_cursor_at(session uuid, seq bigint)
RETURNS bigint
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  SELECT CASE e.type
    WHEN 'gap' THEN candle_slot_ms(s.timeframe, s.end_ms - 1)
    ELSE (e.payload #>> '{candle,openTimeMs}')::bigint
  END
  FROM sim_sessions s
  CROSS JOIN LATERAL (
    SELECT v.type, v.payload
    FROM sim_events v
    WHERE v.session_id = s.id
      AND v.seq <= sim_cursor_at.seq
      AND (v.type = 'gap' OR (v.type = 'candle' AND v.payload ->> 'timeframe' = s.timeframe))
    ORDER BY v.seq DESC
    LIMIT 1
  ) e
  WHERE s.id = sim_cursor_at.session;
$$;

COMMENT ON FUNCTION sim_cursor_at(uuid, bigint) IS 'Cursor of a session at the end of the tick that ends at a seq.';
