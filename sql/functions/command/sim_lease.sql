-- Take the epoch of a session that is created or paused, to apply commands to it: no status changes, nothing is logged.
-- Returns no row if the session runs or has ended, or if another living process holds it.
CREATE OR REPLACE FUNCTION sim_lease(session uuid, runner text, incarnation bigint)
RETURNS SETOF sim_sessions
LANGUAGE sql AS $$
  UPDATE sim_sessions s
  SET epoch = s.epoch + 1,
      runner = sim_lease.runner,
      incarnation = sim_lease.incarnation
  WHERE s.id = sim_lease.session
    AND s.status IN ('created', 'paused')
    AND s.deleted_at IS NULL
    AND NOT EXISTS (
      SELECT FROM sim_runners r
      WHERE r.name = s.runner
        AND r.incarnation = s.incarnation
        AND r.name <> sim_lease.runner
        AND r.seen_at + r.ttl > clock_timestamp())
  RETURNING s.*;
$$;

COMMENT ON FUNCTION sim_lease(uuid, text, bigint) IS 'Take the epoch of a created or paused session to apply commands; returns its row, or nothing.';
