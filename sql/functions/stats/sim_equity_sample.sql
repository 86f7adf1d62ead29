-- A sample of the equity curve: the last equity event of each of max_points equal parts of the log. Each is an index
-- lookup of a few rows, so a log of millions takes milliseconds; spikes between the points are missed.
CREATE OR REPLACE FUNCTION sim_equity_sample(session uuid, max_points integer)
RETURNS TABLE (seq bigint, ts bigint, equity numeric, drawdown_pct numeric)
LANGUAGE sql STABLE SET enable_sort = off SET enable_bitmapscan = off AS $$
  SELECT e.seq, e.ts, (e.payload -> 'equity')::numeric, (e.payload -> 'drawdownPct')::numeric
  FROM sim_sessions s
  CROSS JOIN LATERAL generate_series(1::bigint, sim_equity_sample.max_points) AS p (part)
  CROSS JOIN LATERAL (
    SELECT v.seq, v.ts, v.payload FROM sim_events v
    WHERE v.session_id = s.id AND v.type = 'equity'
      AND v.seq > s.last_seq * (p.part - 1) / sim_equity_sample.max_points
      AND v.seq <= s.last_seq * p.part / sim_equity_sample.max_points
    ORDER BY v.seq DESC LIMIT 1) e
  WHERE s.id = sim_equity_sample.session
  ORDER BY p.part;
$$;

COMMENT ON FUNCTION sim_equity_sample(uuid, integer) IS 'The equity curve at max_points points spread evenly over the log, in milliseconds for any length.';
