-- Claim running sessions that no living process runs. A session without a runner is claimed. A session whose runner is
-- dead is taken over (`resume`) or paused; after three takeovers without a new tick it fails. A session that only another
-- living server knows how to run is left to that one; one that nobody knows is paused.
--
-- Sessions with the caller's own name are ignored. A runner counts as dead at the earliest one TTL after the start of
-- Postgres, because it could not renew before. The caller's row in sim_runners is locked to the end: a process that
-- leaves waits for its own claims, and a process that has left claims nothing.
CREATE OR REPLACE FUNCTION sim_claim_orphans(runner text, incarnation bigint, resume boolean, max_rows integer)
RETURNS TABLE (session uuid, status text, reason text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  _row sim_sessions;
  _strategies text[];
BEGIN
  SELECT r.strategies INTO _strategies
  FROM sim_runners r
  WHERE r.name = sim_claim_orphans.runner AND r.incarnation = sim_claim_orphans.incarnation
  FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN;
  END IF;

  FOR _row IN
    SELECT s.*
    FROM sim_sessions s
    WHERE s.status = 'running' AND NOT EXISTS (
      SELECT FROM sim_runners r
      WHERE r.name = s.runner AND r.incarnation = s.incarnation
        AND (sim_runner_alive(r.seen_at, r.ttl)
             OR sim_runner_alive(pg_postmaster_start_time(), r.ttl)
             OR r.name = sim_claim_orphans.runner))
      AND (
        s.runner IS NOT NULL AND NOT sim_claim_orphans.resume
        OR sim_knows(_strategies, sim_used_profiles(s))
        OR NOT EXISTS (
          SELECT FROM sim_runners r
          WHERE r.name <> sim_claim_orphans.runner AND sim_runner_alive(r.seen_at, r.ttl)
            AND sim_knows(r.strategies, sim_used_profiles(s))))
    ORDER BY s.id
    LIMIT sim_claim_orphans.max_rows
    FOR NO KEY UPDATE SKIP LOCKED
  LOOP
    RETURN QUERY SELECT * FROM sim_claim_orphan(
      _row, sim_claim_orphans.runner, sim_claim_orphans.incarnation, sim_claim_orphans.resume);
  END LOOP;
END;
$$;

COMMENT ON FUNCTION sim_claim_orphans(text, bigint, boolean, integer) IS 'Claim, take over, pause or fail running sessions that no living process runs; returns the new status and the reason of each.';
