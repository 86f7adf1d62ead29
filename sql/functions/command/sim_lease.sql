-- Take the epoch of a session that is created or paused, to apply commands to it: no status changes, nothing is logged.
-- Returns no row if the session runs or has ended, if another living process holds it, or if only another living process
-- knows its profile.
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
    AND NOT EXISTS (
      SELECT FROM sim_runners r, sim_runners other
      WHERE r.name = sim_lease.runner
        AND NOT sim_knows(r.strategies, sim_used_profiles(s))
        AND other.name <> sim_lease.runner
        AND sim_runner_alive(other.seen_at, other.ttl)
        AND sim_knows(other.strategies, sim_used_profiles(s)))
  RETURNING s.*;
$$;

COMMENT ON FUNCTION sim_lease(uuid, text, bigint) IS 'Take the epoch of a created or paused session to apply commands; returns its row, or nothing.';
