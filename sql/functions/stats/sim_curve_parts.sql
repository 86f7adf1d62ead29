-- The equity events in (after_seq, until_seq] in parts of part_events seqs: the first and last seq of each, and its
-- lowest and highest equity, each with the seq of its first event (that of the highest is negative).
CREATE OR REPLACE FUNCTION sim_curve_parts(session uuid, after_seq bigint, until_seq bigint, part_events bigint)
RETURNS TABLE (part bigint, first bigint, last bigint, low numeric[], high numeric[])
LANGUAGE sql STABLE
SET enable_sort = off
SET enable_bitmapscan = off
SET max_parallel_workers_per_gather = 0 AS $$
  SELECT r.seq / sim_curve_parts.part_events, min(r.seq), max(r.seq),
         min(ARRAY[r.equity, r.seq]), max(ARRAY[r.equity, -r.seq])
  FROM (
    SELECT e.seq, (e.payload -> 'equity')::numeric AS equity
    FROM sim_events e
    WHERE e.session_id = sim_curve_parts.session AND e.type = 'equity'
      AND e.seq > sim_curve_parts.after_seq AND e.seq <= sim_curve_parts.until_seq) r
  GROUP BY 1;
$$;

COMMENT ON FUNCTION sim_curve_parts(uuid, bigint, bigint, bigint) IS 'First, last, lowest and highest equity of each part of a range of seqs.';
