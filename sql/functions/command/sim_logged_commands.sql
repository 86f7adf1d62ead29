-- The commands in a log after a seq, up to another one, in order: what the events that follow each were computed from.
CREATE OR REPLACE FUNCTION sim_logged_commands(session uuid, after_seq bigint, to_seq bigint, max_rows integer)
RETURNS TABLE (seq bigint, command bigint, cursor_ms bigint, action text, args jsonb)
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  SELECT
    e.seq,
    (e.payload ->> 'command')::bigint,
    (e.payload ->> 'cursorMs')::bigint,
    e.payload ->> 'action',
    e.payload -> 'args'
  FROM sim_events e
  WHERE e.session_id = sim_logged_commands.session
    AND e.seq > sim_logged_commands.after_seq
    AND e.seq <= sim_logged_commands.to_seq
    AND e.type NOT IN ('candle', 'equity', 'plot')
    AND sim_is_command(e.type, e.payload)
  ORDER BY e.seq
  LIMIT sim_logged_commands.max_rows;
$$;

COMMENT ON FUNCTION sim_logged_commands(uuid, bigint, bigint, integer) IS 'Commands in a log after a seq, in order.';
