-- Sessions with commands that nobody has answered yet: their status, the process that has them (null without a living
-- one), and how long the oldest command has waited. Usually none.
CREATE OR REPLACE FUNCTION sim_waiting_commands()
RETURNS TABLE (session uuid, status text, runner text, waited_ms bigint)
LANGUAGE sql STABLE AS $$
  SELECT
    c.session_id,
    s.status,
    (SELECT r.name FROM sim_runners r
     WHERE r.name = s.runner AND r.incarnation = s.incarnation AND r.seen_at + r.ttl > clock_timestamp()),
    (extract(epoch FROM clock_timestamp() - min(c.requested_at)) * 1000)::bigint
  FROM sim_commands c
  LEFT JOIN sim_sessions s ON s.id = c.session_id AND s.deleted_at IS NULL
  WHERE c.answer IS NULL
  GROUP BY c.session_id, s.id;
$$;

COMMENT ON FUNCTION sim_waiting_commands() IS 'Sessions with unanswered commands, the living process that has each, and how long the oldest has waited.';
