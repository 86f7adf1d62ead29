-- Copy another session's events up to a seq into a new session, and add a status event after them. The new session's row
-- exists already, with an empty log.
CREATE OR REPLACE FUNCTION sim_fork(session uuid, parent uuid, fork_seq bigint, cursor_ms bigint, actor text)
RETURNS SETOF sim_sessions
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  _last_ts bigint;
BEGIN
  INSERT INTO sim_events (session_id, seq, ts, type, payload)
  SELECT sim_fork.session, e.seq, e.ts, e.type, e.payload
  FROM sim_events e
  WHERE e.session_id = sim_fork.parent AND e.seq <= sim_fork.fork_seq
  ORDER BY e.seq;

  -- Ids of orders stay unique in the fork, and its orders keep them.
  INSERT INTO sim_commands (session_id, user_id, action, args, client_order_id, requested_at, answered_seq, answer)
  SELECT sim_fork.session, c.user_id, c.action, c.args, c.client_order_id, c.requested_at, c.answered_seq, c.answer
  FROM sim_commands c
  WHERE c.session_id = sim_fork.parent AND c.answered_seq <= sim_fork.fork_seq
  ORDER BY c.answered_seq;

  SELECT e.ts INTO _last_ts
  FROM sim_events e
  WHERE e.session_id = sim_fork.session AND e.seq = sim_fork.fork_seq;

  UPDATE sim_sessions s
  SET parent_id = sim_fork.parent,
      fork_seq = sim_fork.fork_seq,
      cursor_ms = sim_fork.cursor_ms,
      commands = sim_commands_until(sim_fork.parent, sim_fork.fork_seq),
      last_seq = sim_fork.fork_seq + 1,
      log_bytes = (SELECT p.log_bytes * sim_fork.fork_seq / greatest(p.last_seq, 1)
                   FROM sim_sessions p WHERE p.id = sim_fork.parent),
      last_ts = coalesce(_last_ts, s.start_ms)
  WHERE s.id = sim_fork.session;

  INSERT INTO sim_events (session_id, seq, ts, type, payload)
  SELECT s.id, s.last_seq, s.last_ts, 'status', jsonb_build_object(
    'status', s.status, 'reason', 'forked', 'cursorMs', s.cursor_ms, 'by', sim_fork.actor)
  FROM sim_sessions s
  WHERE s.id = sim_fork.session;

  PERFORM sim_notify('sim_events', sim_fork.session || ':' || sim_fork.fork_seq + 1);
  RETURN QUERY SELECT s.* FROM sim_sessions s WHERE s.id = sim_fork.session;
END;
$$;

COMMENT ON FUNCTION sim_fork(uuid, uuid, bigint, bigint, text) IS 'Copy a log up to a seq into a new session; returns its row.';
