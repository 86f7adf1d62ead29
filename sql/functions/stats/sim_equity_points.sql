-- The equity curve in at most max_points. A longer curve is split into max_points / 4 parts of equal length; the result
-- has the first, last, lowest and highest equity of each (M4: Jugel et al., VLDB 2014), so that a drawn line has its
-- ends and every spike. With fewer than 4 points it has only the two ends. What sim_kept_curve has of a long log is used
-- as it is: a part of the result then ends up to 500 events off, but still has all four of its own.
CREATE OR REPLACE FUNCTION sim_equity_points(session uuid, max_points integer)
RETURNS TABLE (seq bigint, ts bigint, equity numeric, drawdown_pct numeric)
LANGUAGE plpgsql STABLE SET max_parallel_workers_per_gather = 0 SET enable_sort = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
  _parts bigint := greatest(sim_equity_points.max_points / 4, 1);
  _kept bigint := coalesce((SELECT k.seq FROM sim_kept k WHERE k.session_id = sim_equity_points.session), 0);
  _first bigint;
  _last bigint;
  _seqs bigint[];
BEGIN
  SELECT array_agg(head.seq), min(head.seq) INTO _seqs, _first FROM (
    SELECT m.seq FROM sim_matching_events(
      sim_equity_points.session, 1, sim_equity_points.max_points + 1, '{equity}') m) head;

  IF cardinality(_seqs) > sim_equity_points.max_points THEN
    _last := sim_tail_seq(sim_equity_points.session, 1, '{equity}');
    SELECT array_agg(DISTINCT k.seq) INTO _seqs
    FROM (
      SELECT min(r.first) AS first, max(r.last) AS last, min(r.low) AS low, max(r.high) AS high
      FROM (
        SELECT c.first_seq AS first, c.last_seq AS last, ARRAY[c.low, c.low_seq] AS low, ARRAY[c.high, -c.high_seq] AS high
        FROM sim_kept_curve c WHERE c.session_id = sim_equity_points.session
        UNION ALL
        SELECT e.seq, e.seq, ARRAY[(e.payload -> 'equity')::numeric, e.seq], ARRAY[(e.payload -> 'equity')::numeric, -e.seq]
        FROM sim_events e WHERE e.session_id = sim_equity_points.session AND e.seq > _kept AND e.type = 'equity') r
      WHERE sim_equity_points.max_points >= 4
      GROUP BY (r.first - _first) * _parts / (_last - _first + 1)) p
    CROSS JOIN LATERAL unnest(ARRAY[p.first, p.last, p.low[2]::bigint, -p.high[2]::bigint]) AS k (seq);
    _seqs := coalesce(_seqs, ARRAY[_first, _last]);
  END IF;

  RETURN QUERY
  SELECT e.seq, e.ts, (e.payload -> 'equity')::numeric, (e.payload -> 'drawdownPct')::numeric
  FROM sim_events e
  WHERE e.session_id = sim_equity_points.session AND e.seq = ANY (_seqs)
  ORDER BY e.seq;
END;
$$;

COMMENT ON FUNCTION sim_equity_points(uuid, integer) IS 'The equity curve in at most max_points points: first, last, lowest and highest of each part of the log.';
