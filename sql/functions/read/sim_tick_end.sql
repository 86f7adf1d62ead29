-- The last seq of the tick or command that contains a seq, in a full log. A tick is gaps, then candles, then the rest; so
-- the next tick starts with a gap or candle that cannot follow the event before it. A command is its control event and
-- what follows from it. Other events that are not simulated may be in between and belong to neither. Null if the log
-- ends before the seq.
CREATE OR REPLACE FUNCTION sim_tick_end(session uuid, seq bigint)
RETURNS bigint
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  WITH here AS (
    SELECT e.seq, e.ts, e.type
    FROM sim_events e
    WHERE e.session_id = sim_tick_end.session AND e.seq <= sim_tick_end.seq
      AND (sim_is_simulated(e.type) OR sim_is_command(e.type, e.payload))
    ORDER BY e.seq DESC
    LIMIT 1
  ), following AS (
    SELECT h.* FROM here h
    UNION ALL (
      SELECT e.seq, e.ts, e.type
      FROM sim_events e
      WHERE e.session_id = sim_tick_end.session AND e.seq > sim_tick_end.seq
        AND (sim_is_simulated(e.type) OR sim_is_command(e.type, e.payload))
      ORDER BY e.seq
      LIMIT 100000  -- no tick has more events
    )
  ), judged AS (
    SELECT
      f.seq,
      lag(f.seq) OVER w AS before,
      f.type = 'control' OR f.type IN ('gap', 'candle') AND (
        lag(f.type) OVER w NOT IN ('gap', 'candle')
        OR lag(f.ts) OVER w <> f.ts
        OR (f.type = 'gap' AND lag(f.type) OVER w = 'candle')
      ) AS begins_tick
    FROM following f
    WINDOW w AS (ORDER BY f.seq)
  )
  SELECT CASE
    WHEN NOT EXISTS (SELECT FROM here) THEN sim_tick_end.seq
    ELSE greatest(sim_tick_end.seq, coalesce(
      (SELECT j.before FROM judged j WHERE j.begins_tick AND j.before IS NOT NULL ORDER BY j.seq LIMIT 1),
      (SELECT max(j.seq) FROM judged j)
    ))
  END
  FROM sim_sessions s
  WHERE s.id = sim_tick_end.session AND s.last_seq >= sim_tick_end.seq;
$$;

COMMENT ON FUNCTION sim_tick_end(uuid, bigint) IS 'Last seq of the tick or command that contains a seq, in a full log.';
