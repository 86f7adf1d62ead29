-- Whether a runner counts as alive. Both bounds are needed, because the clock of the database may be set: when it was set
-- back, the last sign of life of a dead runner lies in the future.
CREATE OR REPLACE FUNCTION sim_runner_alive(seen_at timestamptz, ttl interval)
RETURNS boolean
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
  SELECT clock_timestamp() BETWEEN sim_runner_alive.seen_at - sim_runner_alive.ttl
                               AND sim_runner_alive.seen_at + sim_runner_alive.ttl;
$$;

COMMENT ON FUNCTION sim_runner_alive(timestamptz, interval) IS 'Whether a runner has given a sign of life within its TTL.';
