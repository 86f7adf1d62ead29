-- How many commands a log has up to a seq: the number of the last one. Only sessions that have commands are searched.
CREATE OR REPLACE FUNCTION sim_commands_until(session uuid, seq bigint)
RETURNS bigint
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  SELECT coalesce((
    SELECT (e.payload ->> 'command')::bigint
    FROM sim_events e
    WHERE e.session_id = s.id
      AND e.seq <= sim_commands_until.seq
      AND e.type NOT IN ('candle', 'equity', 'plot')
      AND sim_is_command(e.type, e.payload)
    ORDER BY e.seq DESC
    LIMIT 1
  ), 0)
  FROM sim_sessions s
  WHERE s.id = sim_commands_until.session AND s.commands > 0
  UNION ALL
  SELECT 0
  LIMIT 1;
$$;

COMMENT ON FUNCTION sim_commands_until(uuid, bigint) IS 'Number of commands in a log up to a seq.';
