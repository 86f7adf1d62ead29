-- The first command that differs between two logs: another action, other arguments, or another place. No row if they
-- have the same commands.
CREATE OR REPLACE FUNCTION sim_diff_command(a uuid, b uuid)
RETURNS TABLE (command bigint, seq_a bigint, seq_b bigint, payload_a jsonb, payload_b jsonb)
LANGUAGE sql STABLE AS $$
  WITH commands AS (
    SELECT e.session_id, e.seq, e.payload, (e.payload ->> 'command')::bigint AS number
    FROM sim_events e
    WHERE e.session_id IN (sim_diff_command.a, sim_diff_command.b)
      AND e.type NOT IN ('candle', 'equity', 'plot')
      AND sim_is_command(e.type, e.payload)
  )
  SELECT number, in_a.seq, in_b.seq, in_a.payload, in_b.payload
  FROM (SELECT c.* FROM commands c WHERE c.session_id = sim_diff_command.a) in_a
  FULL JOIN (SELECT c.* FROM commands c WHERE c.session_id = sim_diff_command.b) in_b USING (number)
  WHERE in_a.payload - 'by' IS DISTINCT FROM in_b.payload - 'by'
  ORDER BY number
  LIMIT 1;
$$;

COMMENT ON FUNCTION sim_diff_command(uuid, uuid) IS 'First command that differs between two logs: its number, both seqs and both payloads.';
