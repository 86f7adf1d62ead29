-- The last seq of the tick or command that contains a seq, in a full log. A tick is gaps, then candles, then the rest; so
-- the next tick starts with a gap or candle that cannot follow the event before it. A command is its control event and
-- what follows from it. Other events that are not simulated may be in between and belong to neither. Null if the log
-- ends before the seq.
CREATE OR REPLACE FUNCTION sim_tick_end(session uuid, seq bigint)
RETURNS bigint
LANGUAGE sql STABLE
SET enable_sort = off AS $$
  WITH here AS (
    SELECT event.seq, event.ts, event.type
    FROM sim_events event
    WHERE event.session_id = sim_tick_end.session AND event.seq <= sim_tick_end.seq
      AND (sim_is_simulated(event.type) OR sim_is_command(event.type, event.payload))
    ORDER BY event.seq DESC
    LIMIT 1
  ), following AS (
    SELECT * FROM here
    UNION ALL (
      SELECT event.seq, event.ts, event.type
      FROM sim_events event
      WHERE event.session_id = sim_tick_end.session AND event.seq > sim_tick_end.seq
        AND (sim_is_simulated(event.type) OR sim_is_command(event.type, event.payload))
      ORDER BY event.seq
      LIMIT 100000  -- no tick has more events
    )
  ), marked AS (
    SELECT
      following.seq,
      lag(following.seq) OVER w AS before,
      following.type = 'control' OR following.type IN ('gap', 'candle') AND (
        lag(following.type) OVER w NOT IN ('gap', 'candle')
        OR lag(following.ts) OVER w <> following.ts
        OR (following.type = 'gap' AND lag(following.type) OVER w = 'candle')
      ) AS begins_tick
    FROM following
    WINDOW w AS (ORDER BY following.seq)
  )
  SELECT CASE
    WHEN NOT EXISTS (SELECT FROM here) THEN sim_tick_end.seq
    ELSE greatest(sim_tick_end.seq, coalesce(
      (SELECT marked.before FROM marked WHERE marked.begins_tick AND marked.before IS NOT NULL ORDER BY marked.seq LIMIT 1),
      (SELECT max(marked.seq) FROM marked)
    ))
  END
  FROM sim_sessions s
  WHERE s.id = sim_tick_end.session AND s.last_seq >= sim_tick_end.seq;
$$;

COMMENT ON FUNCTION sim_tick_end(uuid, bigint) IS 'Last seq of the tick or command that contains a seq, in a full log.';
