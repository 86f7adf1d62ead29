-- The equity curve in at most max_points. A longer curve is split into max_points / 4 parts of equal length; the result
-- has the first, last, lowest and highest equity of each (M4: Jugel et al., VLDB 2014), so that a drawn line has its
-- ends and every spike. With fewer than 4 points it has only the two ends.
CREATE OR REPLACE FUNCTION sim_equity_points(session uuid, max_points integer)
RETURNS TABLE (seq bigint, ts bigint, equity numeric, drawdown_pct numeric)
LANGUAGE plpgsql STABLE SET max_parallel_workers_per_gather = 0 SET enable_sort = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
  _parts bigint := greatest(sim_equity_points.max_points / 4, 1);
  _first bigint;
  _last bigint;
  _kept bigint[];
BEGIN
  SELECT array_agg(head.seq), min(head.seq) INTO _kept, _first FROM (
    SELECT e.seq FROM sim_events e WHERE e.session_id = sim_equity_points.session AND e.type = 'equity'
    ORDER BY e.seq LIMIT sim_equity_points.max_points + 1) head;

  IF cardinality(_kept) > sim_equity_points.max_points THEN
    SELECT e.seq INTO _last FROM sim_events e WHERE e.session_id = sim_equity_points.session AND e.type = 'equity'
    ORDER BY e.seq DESC LIMIT 1;
    SELECT array_agg(DISTINCT k.seq) INTO _kept
    FROM (
      SELECT min(r.seq) AS first, max(r.seq) AS last,
             min(ARRAY[r.equity, r.seq]) AS low, max(ARRAY[r.equity, -r.seq]) AS high
      FROM (SELECT e.seq, (e.payload -> 'equity')::numeric AS equity FROM sim_events e
            WHERE e.session_id = sim_equity_points.session AND e.type = 'equity') r
      WHERE sim_equity_points.max_points >= 4
      GROUP BY (r.seq - _first) * _parts / (_last - _first + 1)) p
    CROSS JOIN LATERAL unnest(ARRAY[p.first, p.last, p.low[2]::bigint, -p.high[2]::bigint]) AS k (seq);
    _kept := coalesce(_kept, ARRAY[_first, _last]);
  END IF;

  RETURN QUERY
  SELECT e.seq, e.ts, (e.payload -> 'equity')::numeric, (e.payload -> 'drawdownPct')::numeric
  FROM sim_events e
  WHERE e.session_id = sim_equity_points.session AND e.seq = ANY (_kept)
  ORDER BY e.seq;
END;
$$;

COMMENT ON FUNCTION sim_equity_points(uuid, integer) IS 'The equity curve in at most max_points points: first, last, lowest and highest of each part of the log.';
