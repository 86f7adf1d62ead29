-- The last seq of the tick that holds a seq, in a log with its candles: a tick is gaps, then candles, then the rest,
-- so the next one begins with a gap or candle that cannot stand where it stands. What others put in between (status,
-- control, note) belongs to no tick. null when the log does not go that far.
CREATE OR REPLACE FUNCTION sim_tick_end(session uuid, seq bigint)
RETURNS bigint LANGUAGE sql STABLE AS $$
  WITH here AS (
    SELECT e.seq, e.ts, e.type FROM sim_events e
    WHERE e.session_id = sim_tick_end.session AND e.seq <= sim_tick_end.seq
      AND e.type NOT IN ('status', 'control', 'note') ORDER BY e.seq DESC LIMIT 1
  ), rest AS (
    SELECT h.* FROM here h UNION ALL
    (SELECT e.seq, e.ts, e.type FROM sim_events e
     WHERE e.session_id = sim_tick_end.session AND e.seq > sim_tick_end.seq
       AND e.type NOT IN ('status', 'control', 'note') ORDER BY e.seq LIMIT 100000)
  ), judged AS (
    SELECT r.seq, lag(r.seq) OVER w AS before,
           r.type IN ('gap', 'candle') AND (lag(r.type) OVER w NOT IN ('gap', 'candle') OR lag(r.ts) OVER w <> r.ts
             OR (r.type = 'gap' AND lag(r.type) OVER w = 'candle')) AS begins
    FROM rest r WINDOW w AS (ORDER BY r.seq)
  )
  SELECT CASE WHEN NOT EXISTS (SELECT FROM here) THEN sim_tick_end.seq ELSE greatest(sim_tick_end.seq, coalesce(
    (SELECT j.before FROM judged j WHERE j.begins AND j.before IS NOT NULL ORDER BY j.seq LIMIT 1),
    (SELECT max(j.seq) FROM judged j))) END
  FROM sim_sessions s WHERE s.id = sim_tick_end.session AND s.last_seq >= sim_tick_end.seq;
$$;

COMMENT ON FUNCTION sim_tick_end(uuid, bigint) IS 'Last seq of the tick that holds a seq, in a log recorded in full.';
